"""From files to files: what is decoded, warped and ordered, and when warnings come."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from fusiongcn_edge.cli import COMMANDS, main
from fusiongcn_edge.runtime import Fuser, ImageError, align_frames
from fusiongcn_edge.runtime.io.images import read_image, read_photograph, write_image
from fusiongcn_edge.runtime.pipeline import FuseOptions, PairOutputs, StackOutputs, fuse_files
from fusiongcn_edge.runtime.registration import focus_order as focus_order_module
from fusiongcn_edge.runtime.registration import frames as frames_module
from fusiongcn_edge.runtime.registration import overview as overview_module
from fusiongcn_edge.runtime.registration.warp import warp
from helpers.stacks import breathing_frames

Picture = NDArray[Any]
NAMES = [f"{number}.png" for number in range(5)]
CASES = [
    [],
    ["--match-exposure"],
    ["--align", "similarity"],
    ["--align", "similarity", "--no-crop"],
    ["--align", "similarity", "--match-exposure", "--skip-failed"],
    ["--align", "shift", "--no-crop", "--match-exposure", "--skip-failed"],
    ["--check-registration"],
]


@pytest.fixture(scope="module")
def breathing() -> list[Picture]:
    """Five frames of a lens that breathes, each sharp in a fifth of its own and larger and darker than the last."""
    photograph = cv2.resize(skimage.data.coffee()[:, :, ::-1], (240, 160), interpolation=cv2.INTER_AREA)
    return breathing_frames(photograph, 5, blur=2, right=-1.5, down=1.0)


@pytest.fixture
def folder(tmp_path: Path, breathing: list[Picture], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, holding the frames ``0.png`` to ``4.png``."""
    monkeypatch.chdir(tmp_path)
    for name, frame in zip(NAMES, breathing, strict=True):
        write_image(name, frame)
    return tmp_path


class Calls:
    """How often each photograph was decoded, and frames were warped and ordered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded, self.warped, self.ordered = Counter[str](), 0, 0
        photographed, ordered = read_photograph, focus_order_module.focus_order

        def counted_read(path: Any) -> Any:
            self.decoded[str(path)] += 1
            return photographed(path)

        def counted_warp(frame: Picture, alignment: Any, *arguments: Any, **options: Any) -> Picture:
            self.warped += alignment.is_significant(*frame.shape[:2])
            return warp(frame, alignment, *arguments, **options)

        def counted_order(*arguments: Any) -> list[int]:
            self.ordered += 1
            return ordered(*arguments)

        monkeypatch.setattr("fusiongcn_edge.runtime.io.images.read_photograph", counted_read)
        monkeypatch.setattr(overview_module, "read_photograph", counted_read)
        monkeypatch.setattr(frames_module, "warp", counted_warp)
        for module in ("fuser", "registration.frames", "registration.overview"):
            monkeypatch.setattr(f"fusiongcn_edge.runtime.{module}.focus_order", counted_order)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("options", CASES)
def test_stack_decodes_a_frame_twice_warps_it_once_and_orders_the_frames_once(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    assert main(["stack", *NAMES, "-o", "fused.png", "--threads", "1", *options]) == 0
    assert calls.decoded == dict.fromkeys(NAMES, 2)
    assert calls.warped == (4 if "--align" in options else 0)
    assert calls.ordered == 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("options", [case for case in CASES if "--skip-failed" not in case])
def test_fuse_decodes_a_photograph_once(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    assert main(["fuse", *NAMES[:2], "-o", "fused.png", "--threads", "1", *options]) == 0
    assert calls.decoded == dict.fromkeys(NAMES[:2], 1)
    assert calls.warped == ("--align" in options)
    assert calls.ordered == 0


def test_a_stack_without_its_first_frame_is_decoded_no_more_often(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 240, 3)).astype(np.uint8)
    write_image(folder / "alien.png", noise)
    calls = Calls(monkeypatch)
    options = ["--align", "similarity", "--skip-failed", "--no-crop", "--threads", "1"]
    assert main(["stack", "alien.png", *NAMES, "-o", "fused.png", *options]) == 0
    assert calls.decoded == {"alien.png": 1, **dict.fromkeys(NAMES, 2)}


def test_no_command_of_the_runtime_imports_another() -> None:
    commands = {module for module, _, _ in COMMANDS.values() if ".runtime.cli." in module}
    assert len(commands) == 5
    for command in commands:
        source = importlib.util.find_spec(command)
        assert source is not None
        assert source.origin is not None
        imported = set(re.findall(r"^from (\S+) import", Path(source.origin).read_text("utf-8"), re.MULTILINE))
        assert imported, command
        assert not imported & commands, command


class Asked:
    """Frames that count how often each is asked for."""

    def __init__(self, frames: list[Picture]) -> None:
        self.frames, self.asked = frames, [0] * len(frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, number: int) -> Picture:
        self.asked[number] += 1
        return self.frames[number]


@pytest.mark.parametrize("keep_full_frame", [False, True])
def test_frames_aligned_and_fused_by_hand_are_asked_for_twice(keep_full_frame: bool, breathing: list[Picture]) -> None:
    asked, fuser = Asked(breathing), Fuser.open(threads=1)
    result = fuser.fuse_stack(align_frames(asked, match_exposure=True, keep_full_frame=keep_full_frame))
    assert asked.asked == [2] * 5
    assert (result.image.shape == breathing[0].shape) == keep_full_frame


@pytest.mark.usefixtures("folder")
def test_the_order_of_focus_is_that_of_the_frames_that_are_kept(breathing: list[Picture]) -> None:
    write_image("alien.png", np.random.default_rng(0).integers(0, 256, (160, 240, 3)).astype(np.uint8))
    options = FuseOptions(align="similarity", skip_failed=True, threads=1)
    result = fuse_files(["alien.png", *NAMES], StackOutputs("fused.png"), options)
    aligned = align_frames(breathing, "similarity")
    assert result.order == tuple(number + 1 for number in aligned.order)
    assert result.left_out == [0]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("outputs", [PairOutputs("fused.png"), StackOutputs("fused.png")])
def test_warnings_come_once_and_before_the_work(
    outputs: PairOutputs | StackOutputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Any] = []
    fuse = Fuser.fuse
    monkeypatch.setattr(Fuser, "fuse", lambda *args, **options: events.append("fuse") or fuse(*args, **options))
    paths = ["0.png", "0.png"]
    result = fuse_files(paths, outputs, FuseOptions(threads=1), warn=lambda warnings: events.append(list(warnings)))
    assert events == [list(result.warnings), "fuse"]
    assert "are the same photograph" in result.warnings[0]


@pytest.mark.usefixtures("folder")
def test_scale_is_looked_for_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    for command in (["fuse", "0.png", "4.png"], ["stack", "0.png", "4.png"]):
        for options, expected in (
            ([], False),
            (["--check-registration"], True),
            (["--check-registration", "--align", "similarity"], False),
        ):
            assert main([*command, "-o", "fused.png", "--threads", "1", *options]) == 0
            told = capfd.readouterr().err
            assert ("differ in scale or rotation" in told) == expected
            assert ("--check-registration changes nothing with --align" in told) == (len(options) == 3)


@pytest.mark.usefixtures("folder")
def test_every_phase_is_timed_and_the_writer_is_given_the_files() -> None:
    given: list[Any] = []
    result = fuse_files(
        NAMES[:2],
        PairOutputs("fused.png", decision_map="map.png"),
        FuseOptions(threads=1),
        write=lambda files, result: given.append((files, result)),
    )
    assert list(result.timings) == ["read", "register", "fuse", "write"]
    assert result.seconds == sum(result.timings.values()) > 0
    ((files, same),) = given
    assert same is result
    assert list(files) == ["fused.png", "map.png"]
    assert not Path("fused.png").exists()
    Path("fused.png").write_bytes(files["fused.png"])
    assert read_image("fused.png").shape == (result.height, result.width, 3)


@pytest.mark.parametrize("name", ["missing.png", "no-*.png"])
def test_a_missing_photograph_is_said_to_be_missing_before_there_are_too_few(name: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        fuse_files([str(tmp_path / name)], StackOutputs(str(tmp_path / "fused.png")))
    assert caught.value.problem == f"There is no file {tmp_path / name}"


def test_a_map_that_its_format_cannot_hold_is_refused_before_anything_is_fused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = np.zeros((16, 16_384), np.uint8)  # a pixel more than WebP holds
    wide[:, ::2] = 200
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, wide)
    monkeypatch.setattr(Fuser, "fuse", None)
    outputs = PairOutputs(str(tmp_path / "fused.png"), decision_map=str(tmp_path / "map.webp"))
    with pytest.raises(ImageError) as caught:
        fuse_files([str(tmp_path / "a.png"), str(tmp_path / "b.png")], outputs)
    assert "map.webp" in caught.value.problem
    assert not (tmp_path / "fused.png").exists()


def test_a_preview_is_not_held_against_the_size_of_the_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(*_: object, **__: object) -> None:
        raise RuntimeError("fusing")

    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, np.zeros((16, 16_384), np.uint8))  # a pixel more than WebP holds
    monkeypatch.setattr(Fuser, "fuse", reached)
    outputs = PairOutputs(str(tmp_path / "fused.png"), preview=str(tmp_path / "preview.webp"))
    with pytest.raises(RuntimeError, match="fusing"):
        fuse_files([str(tmp_path / "a.png"), str(tmp_path / "b.png")], outputs)
