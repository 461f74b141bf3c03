"""``fusiongcn fuse``: what it writes, what it refuses, and what it remarks."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.pixels import eight_bit_colour
from fusiongcn_edge.runtime.pipeline import PREVIEW_HEIGHT
from helpers.common import Fails, contents
from helpers.disks import fill_after
from helpers.paths import EXAMPLE
from helpers.pictures import shows

Picture = NDArray[Any]


# what is written


def test_fuse_writes_what_the_fuser_gives(
    folder: Path, random_bundle: Path, photographs: tuple[Picture, Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    outputs = ["-o", "fused.png", "--decision-map", "map.png", "--probability", "probability.png"]
    assert main(["fuse", "a.png", "b.png", *outputs, "--model", str(random_bundle), "--threads", "1"]) == 0
    expected = Fuser.open(random_bundle, threads=1).fuse(*photographs)
    assert 0.05 < expected.decision.mean() < 0.95
    np.testing.assert_array_equal(read_image("fused.png"), expected.image)
    np.testing.assert_array_equal(read_image("map.png"), np.where(expected.decision, 255, 0))
    probability = read_image("probability.png")
    assert probability.dtype == np.uint8
    np.testing.assert_allclose(probability, expected.probability * 255, rtol=0, atol=0.5001)
    assert sorted(contents(folder)) == ["a.png", "b.png", "fused.png", "map.png", "probability.png"]
    printed = capfd.readouterr()
    assert printed.out.startswith("fused.png: 128x96, ")
    assert printed.out.count("\n") == 1
    assert printed.err == ""


def test_fuse_writes_nothing_but_what_is_asked_for(folder: Path, random_bundle: Path) -> None:
    assert main(["fuse", "a.png", "b.png", "-o", "fused.jpg", "--model", str(random_bundle), "--engine", "onnx"]) == 0
    assert sorted(contents(folder)) == ["a.png", "b.png", "fused.jpg"]


def test_fuse_keeps_sixteen_bits_and_alpha(folder: Path, random_bundle: Path) -> None:
    for name, alpha in (("a", 1000), ("b", 65_535)):
        image = np.insert(read_image(f"{name}.png").astype(np.uint16) * 257, 3, alpha, axis=2)
        write_image(f"{name}.tif", image)
    assert main(["fuse", "a.tif", "b.tif", "-o", "fused.png", "--model", str(random_bundle)]) == 0
    fused = read_image("fused.png")
    assert fused.dtype == np.uint16
    assert set(np.unique(fused[:, :, 3])) == {1000, 65_535}


@pytest.mark.parametrize("form", ["colour", "gray", "16 bits with alpha"])
def test_a_preview_shows_both_photographs_the_decision_and_the_result(
    form: str, folder: Path, random_bundle: Path
) -> None:
    for name in ("a.png", "b.png"):
        image = read_image(name)
        if form == "gray":
            image = image[:, :, 1]
        elif form == "16 bits with alpha":
            image = np.insert(image.astype(np.uint16) * 257, 3, 9, axis=2)
        write_image(name, image)
    outputs = ["-o", "fused.png", "--preview", "preview.png", "--decision-map", "map.png"]
    assert main(["fuse", "a.png", "b.png", *outputs, "--model", str(random_bundle)]) == 0
    preview = read_image("preview.png")
    for name in ("a.png", "b.png", "map.png", "fused.png"):  # photographs this small are shown as they are
        assert shows(preview, eight_bit_colour(read_image(name)))


def test_a_preview_of_large_photographs_is_small(folder: Path, random_bundle: Path) -> None:
    for name in ("a.png", "b.png"):
        write_image(name, cv2.resize(read_image(name), (96, 512)))
    outputs = ["-o", "fused.png", "--preview", "preview.jpg"]
    assert main(["fuse", "a.png", "b.png", *outputs, "--model", str(random_bundle)]) == 0
    assert PREVIEW_HEIGHT <= len(read_image("preview.jpg")) < 1.1 * PREVIEW_HEIGHT


def test_fuse_replaces_an_older_output(folder: Path, random_bundle: Path) -> None:
    (folder / "fused.png").write_text("older")
    assert main(["fuse", "a.png", "b.png", "-o", "fused.png", "--model", str(random_bundle)]) == 0
    assert read_image("fused.png").shape == (96, 128, 3)


@pytest.mark.usefixtures("folder")
def test_fuse_shows_its_stages_on_a_terminal_and_wipes_them(
    random_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["fuse", "a.png", "b.png", "-o", "fused.png", "--model", str(random_bundle)]) == 0
    shown = terminal.getvalue()
    assert "[1/5] superpixels" in shown
    assert "[4/5] cnn" in shown
    assert shown.endswith("\r\033[K")
    assert "\n" not in shown


def test_the_example_pair_of_the_repository_can_be_fused(random_bundle: Path, tmp_path: Path) -> None:
    example = EXAMPLE
    near, far = (cv2.imread(str(example / f"{name}.jpg")) for name in ("near", "far"))
    assert near.shape == far.shape
    near, far = (image[100:196, 200:328] for image in (near, far))
    assert Fuser.open(random_bundle).fuse(near, far).image.shape == near.shape


# what is refused: the photographs


def test_a_missing_photograph(fails: Fails, random_bundle: Path) -> None:
    assert "no file none.png" in fails("fuse", "none.png", "b.png", "-o", "out.png", "--model", random_bundle)
    assert "no file none.png" in fails("fuse", "a.png", "none.png", "-o", "out.png", "--model", random_bundle)


def test_a_folder_for_a_photograph(fails: Fails, folder: Path, random_bundle: Path) -> None:
    assert "is a folder" in fails("fuse", folder, "b.png", "-o", "out.png", "--model", random_bundle)


def test_a_photograph_that_may_not_be_read(fails: Fails, random_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.open

    def denied(path: str | Path, *arguments: Any, **named: Any) -> int:
        if path == Path("a.png"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path, *arguments, **named)

    monkeypatch.setattr(os, "open", denied)
    assert "check its permissions" in fails("fuse", "a.png", "b.png", "-o", "out.png", "--model", random_bundle)


@pytest.mark.parametrize("length", [0, 8, 40, 5000])
def test_a_damaged_photograph(length: int, fails: Fails, folder: Path, random_bundle: Path) -> None:
    (folder / "half.png").write_bytes((folder / "a.png").read_bytes()[:length])
    assert "half.png is no image" in fails("fuse", "half.png", "b.png", "-o", "out.png", "--model", random_bundle)


def test_a_text_for_a_photograph(fails: Fails, folder: Path, random_bundle: Path) -> None:
    (folder / "notes.jpg").write_text("sharp at the front")
    assert "notes.jpg is no image" in fails("fuse", "a.png", "notes.jpg", "-o", "out.png", "--model", random_bundle)


def test_a_photograph_of_floating_point_samples(fails: Fails, random_bundle: Path) -> None:
    Image.fromarray(np.ones((96, 128), np.float32)).save("float.tif")
    assert "samples of type float32" in fails("fuse", "float.tif", "b.png", "-o", "out.png", "--model", random_bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: image[:, :-1], "differ in size (128x96 and 127x96 pixels)"),
        (lambda image: image[:, :, 0], "differ in their channels"),
        (lambda image: image.astype(np.uint16), "differ in bits per channel"),
    ],
)
def test_photographs_that_do_not_match(
    change: Callable[[Picture], Picture], message: str, fails: Fails, random_bundle: Path
) -> None:
    write_image("other.png", change(read_image("b.png")))
    sentence = fails("fuse", "a.png", "other.png", "-o", "out.png", "--model", random_bundle)
    assert f"Photographs a.png and other.png: the photographs {message}" in sentence


def test_photographs_smaller_than_the_network_can_serve(fails: Fails, random_bundle: Path) -> None:
    write_image("small.png", read_image("a.png")[:15])
    sentence = fails("fuse", "small.png", "small.png", "-o", "out.png", "--model", random_bundle)
    assert "128x15 pixels, expected at least 16 on each side" in sentence


# what is refused: names and numbers


def test_no_threads(fails: Fails, random_bundle: Path) -> None:
    sentence = fails("fuse", "a.png", "b.png", "-o", "out.png", "--model", random_bundle, "--threads", "0")
    assert "from 1 to" in sentence


@pytest.mark.parametrize("option", ["a", "--model", "-o"])
def test_a_name_that_is_too_long(option: str, fails: Fails, random_bundle: Path) -> None:
    long = "x" * 300 + ".png"
    names = {"a": "a.png", "--model": str(random_bundle), "-o": "out.png", option: long}
    fails("fuse", names["a"], "b.png", "-o", names["-o"], "--model", names["--model"])


# what is refused: the output


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("-o", "out", "known image format"),
        ("--decision-map", "out.txt", "known image format"),
        ("--probability", "no/such/folder/out.png", "does not exist: create it first"),
        ("--preview", "folder.png", "is a folder"),
        ("-o", "a.png", "is one of the photographs"),
        ("--preview", "./b.png", "is one of the photographs"),
        ("--decision-map", "3.png", "is named twice as an output"),
    ],
)
def test_an_output_that_cannot_be(
    option: str, name: str, message: str, fails: Fails, folder: Path, random_bundle: Path
) -> None:
    (folder / "folder.png").mkdir()
    outputs = {"-o": "1.png", "--decision-map": "2.png", "--probability": "3.png", "--preview": "4.png", option: name}
    arguments = [part for pair in outputs.items() for part in pair]
    assert message in fails("fuse", "a.png", "b.png", *arguments, "--model", random_bundle)


def test_a_link_to_a_photograph_as_output(fails: Fails, folder: Path, random_bundle: Path) -> None:
    (folder / "link.png").symlink_to("a.png")
    assert "is one of the photographs" in fails("fuse", "a.png", "b.png", "-o", "link.png", "--model", random_bundle)


def test_an_output_folder_that_may_not_be_written_to(
    fails: Fails, folder: Path, random_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == folder and mode == os.W_OK))
    assert "cannot be written to" in fails("fuse", "a.png", "b.png", "-o", "out.png", "--model", random_bundle)


@pytest.mark.parametrize(
    "change",
    [lambda image: image.astype(np.uint16), lambda image: np.insert(image, 3, 9, axis=2)],
    ids=["16 bits", "alpha"],
)
def test_a_format_that_cannot_hold_the_photographs(
    change: Callable[[Picture], Picture], fails: Fails, random_bundle: Path
) -> None:
    for name in ("a.png", "b.png"):
        write_image(name, change(read_image(name)))
    assert "cannot hold" in fails("fuse", "a.png", "b.png", "-o", "out.jpg", "--model", random_bundle)


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("successes", [0, 1, 2])
def test_a_disk_that_is_full_at_any_moment(
    step: str, successes: int, fails: Fails, random_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_after(monkeypatch, step, successes)
    outputs = ["-o", "fused.png", "--decision-map", "map.png", "--probability", "probability.png"]
    sentence = fails("fuse", "a.png", "b.png", *outputs, "--model", random_bundle)
    assert "cannot be written (No space left on device)" in sentence


def test_an_interruption_ends_quietly(
    folder: Path, random_bundle: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Fuser, "fuse", interrupted)
    before = contents(folder)
    assert main(["fuse", "a.png", "b.png", "-o", "out.png", "--model", str(random_bundle)]) == 130
    assert capfd.readouterr().err == "fusiongcn: interrupted; no unfinished file was left.\n"
    assert contents(folder) == before


@pytest.mark.usefixtures("folder")
def test_a_bug_is_not_told_as_a_mistake_of_the_user_s(random_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(Fuser, "fuse", broken)
    with pytest.raises(ValueError, match="a bug"):
        main(["fuse", "a.png", "b.png", "-o", "out.png", "--model", str(random_bundle)])


# what is done, with a remark


@pytest.fixture
def remarked(folder: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Runs a command that succeeds, and gives the lines on standard error."""

    def run(*arguments: str | Path) -> list[str]:
        capfd.readouterr()
        assert main([str(argument) for argument in arguments]) == 0
        return capfd.readouterr().err.splitlines()

    return run


def test_the_same_photograph_twice_is_told(remarked: Callable[..., list[str]], random_bundle: Path) -> None:
    for command in ("fuse", "stack"):
        (told,) = remarked(command, "a.png", "a.png", "-o", "out.png", "--model", random_bundle)
        assert told.startswith("fusiongcn: warning: a.png and a.png are the same photograph")


@pytest.mark.parametrize("option", [["--png-compression", "9"], ["--jpeg-quality", "90"]])
def test_an_option_of_a_format_that_is_not_written_is_told(
    option: list[str], remarked: Callable[..., list[str]], random_bundle: Path
) -> None:
    arguments = ["fuse", "a.png", "b.png", "-o", "out.tif", *option, "--model", random_bundle]
    assert f"{option[0]} changes nothing" in remarked(*arguments)[0]
    used = ["--decision-map", "map.png" if "png" in option[0] else "map.jpg"]
    assert remarked(*arguments, *used) == []
