"""Photographing at several positions of the lens, on a stand-in for picamera2."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.experiments.stack_quality import made_stack
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import Fuser, ImageError, pipeline
from fusiongcn_edge.runtime.capture.picamera import photographs_at
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pixels import psnr
from helpers.fake_camera import SETTLING, Picamera2


@pytest.fixture
def scene() -> NDArray[np.uint8]:
    return cv2.resize(skimage.data.coffee()[:, :, ::-1], (300, 200), interpolation=cv2.INTER_AREA)


@pytest.fixture
def camera(scene: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    module = types.ModuleType("picamera2")
    stand_in = type("Picamera2", (Picamera2,), {"opened": [], "scene": made_stack(scene, 3, seed=3)[0]})
    module.Picamera2 = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return stand_in


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


CAPTURE = ["capture", "--positions", "0.5,2,6", "-o", "fused.png", "--threads", "1"]


def test_one_photograph_is_taken_at_each_position_all_exposed_alike(camera: type[Picamera2]) -> None:
    photographs = list(photographs_at([0.5, 2, 6]))
    for photograph, expected in zip(photographs, camera.scene, strict=True):
        np.testing.assert_array_equal(photograph, expected)
    (used,) = camera.opened
    assert used.closed
    assert [taken["LensPosition"] for taken in used.captured] == [0.5, 2, 6]
    assert {taken["AfMode"] for taken in used.captured} == {0}
    assert {taken["AeEnable"] or taken["AwbEnable"] for taken in used.captured} == {False}
    assert {taken["ExposureTime"] for taken in used.captured} == {1000 + 100 * SETTLING + 25}  # settled, where it began
    assert {(taken["AnalogueGain"], taken["ColourGains"]) for taken in used.captured} == {(1.5, (2.0, 1.5))}


def test_what_was_photographed_is_fused(
    camera: type[Picamera2], folder: Path, scene: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*CAPTURE, "--align", "none", "--depth-map", "depth.png"]) == 0
    fused = read_image("fused.png")
    np.testing.assert_array_equal(fused, Fuser.open(threads=1).fuse_stack(camera.scene).image)
    assert psnr(fused, scene) > max(psnr(frame, scene) for frame in camera.scene) + 5
    assert sorted(path.name for path in folder.iterdir()) == ["depth.png", "fused.png"]
    printed = capfd.readouterr()
    assert printed.out.startswith("fused.png: 300x200 from 3 photographs")
    assert printed.err == ""


@pytest.mark.usefixtures("camera")
def test_photographs_are_aligned_by_default(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(CAPTURE) == 0
    assert capfd.readouterr().out.count("shift") == 2
    assert (folder / "fused.png").is_file()


def test_the_photographs_are_kept_if_that_is_wanted(camera: type[Picamera2], folder: Path) -> None:
    assert main([*CAPTURE, "--keep-frames", "new/frames"]) == 0
    names = sorted(path.name for path in (folder / "new" / "frames").iterdir())
    assert names == ["01-0.5-dioptres.png", "02-2-dioptres.png", "03-6-dioptres.png"]
    for name, frame in zip(names, camera.scene, strict=True):
        np.testing.assert_array_equal(read_image(folder / "new" / "frames" / name), frame)


@pytest.mark.usefixtures("camera")
def test_photographs_that_were_kept_are_not_replaced(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kept = folder / "kept" / "02-2-dioptres.png"
    kept.parent.mkdir()
    kept.write_bytes(b"of yesterday")
    assert main([*CAPTURE, "--keep-frames", "kept"]) == 2
    assert "02-2-dioptres.png is there already" in capfd.readouterr().err
    assert list(kept.parent.iterdir()) == [kept]
    assert kept.read_bytes() == b"of yesterday"


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"cameras": []}, ["--keep-frames", "new"], "No camera was found"),
        ({"controls": {}}, [], "lens cannot be moved"),
        ({}, ["--positions", "1,20"], "cannot go to 20 dioptres: give positions from 0 to 15"),
        ({"stuck": True}, [], "did not go to 6 dioptres"),
        ({"stuck": True}, ["--depth-map", "depth.jpg"], "cannot hold 16 bits"),
        ({"stuck": True}, ["--model", "none"], "No model 'none'"),
        ({}, ["-o", "fused.txt"], "known image format"),
        ({}, ["--keep-frames", "file"], "folder file cannot be made"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    change: dict[str, Any], options: list[str], message: str, camera: type[Picamera2], folder: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name, value in change.items():
        monkeypatch.setattr(camera, name, value)
    (folder / "file").write_text("")
    assert main([*CAPTURE, *options]) == 2
    told = capfd.readouterr().err
    assert message in told
    assert not (folder / "new").exists()
    assert told.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert all(used.closed for used in camera.opened)


def test_a_camera_in_use_is_told(
    camera: type[Picamera2], folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def busy(self: Picamera2) -> None:
        raise RuntimeError("Camera __init__ sequence did not complete.")

    monkeypatch.setattr(camera, "__init__", busy)
    assert main(CAPTURE) == 2
    assert "close what else uses it" in capfd.readouterr().err
    assert list(folder.iterdir()) == []


def test_without_picamera2_one_sentence_says_where_it_comes_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    assert main(CAPTURE) == 2
    told = capfd.readouterr().err
    assert "apt install python3-picamera2" in told
    assert told.count("\n") == 1
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("positions", ["2", "2,2", "1,far", "", "-1,2", "nan,1"])
def test_positions_that_make_no_sense(positions: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["capture", f"--positions={positions}", "-o", "fused.png"])
    assert caught.value.code == 2
    assert "two or more different dioptres" in capfd.readouterr().err


@pytest.mark.usefixtures("camera")
def test_photographs_that_could_not_be_fused_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise ImageError("They cannot be aligned.")

    monkeypatch.setattr(pipeline, "register_frames", full)
    assert main(CAPTURE) == 2
    (kept,) = folder.iterdir()
    assert capfd.readouterr().err == f"fusiongcn: They cannot be aligned; the photographs are in {kept.name}.\n"
    assert [read_image(path).shape for path in sorted(kept.iterdir())] == [(200, 300, 3)] * 3

    def stopped(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt(15)

    monkeypatch.setattr(pipeline, "register_frames", stopped)
    assert main([*CAPTURE, "--keep-frames", "kept"]) == 128 + 15
    assert capfd.readouterr().err == "fusiongcn: interrupted; the photographs are in kept.\n"
    assert len(list((folder / "kept").iterdir())) == 3


def test_only_a_folder_that_was_made_for_the_photographs_is_removed(
    camera: type[Picamera2], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mine").mkdir()
    assert main([*CAPTURE, "--keep-frames", "new", "--depth-map", "no/depth.png"]) == 2
    monkeypatch.setattr(camera, "stuck", True)
    for name in ("mine", "new"):
        monkeypatch.setattr(camera, "cameras", [])
        assert main([*CAPTURE, "--keep-frames", name]) == 2
    assert [path.name for path in folder.iterdir()] == ["mine"]
