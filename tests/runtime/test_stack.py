"""Stacks: any number of frames, in any order, two of them in memory."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from fusiongcn_edge.benchmarks.experiments import stack_quality
from fusiongcn_edge.benchmarks.experiments.stack_quality import made_stack
from fusiongcn_edge.benchmarks.metrics.conversion import to_gray
from fusiongcn_edge.benchmarks.metrics.gradient import q_g_of_stack
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import Fuser, FusionError, ImageError
from fusiongcn_edge.runtime.fusion.depth_map import frame_colours
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.pixels import psnr
from fusiongcn_edge.runtime.registration.focus_order import focus_order, sharpness

Picture = NDArray[Any]


@pytest.fixture(scope="module")
def fuser(random_bundle: Path) -> Fuser:
    """A network that decides at random, so that every frame has its share."""
    return Fuser.open(random_bundle, threads=1)


@pytest.fixture(scope="module")
def photograph() -> Picture:
    return cv2.resize(skimage.data.coffee()[:, :, ::-1], (180, 120), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def frames(photograph: Picture) -> list[Picture]:
    return made_stack(photograph, 4, seed=1)[0]


def variant(frames: Sequence[Picture], kind: str) -> list[Picture]:
    if kind == "gray":
        return [frame[:, :, 1] for frame in frames]
    if kind == "alpha":
        return [np.insert(frame, 3, 10 * number, axis=2) for number, frame in enumerate(frames)]
    return [frame.astype(np.uint16) * 257 for frame in frames] if kind == "16 bits" else list(frames)


@pytest.mark.parametrize("kind", ["colour", "gray", "alpha", "16 bits"])
def test_every_pixel_is_that_of_the_frame_in_the_map(kind: str, fuser: Fuser, frames: list[Picture]) -> None:
    given = variant(frames, kind)
    result = fuser.fuse_stack(given)
    assert result.image.shape == given[0].shape
    assert result.image.dtype == given[0].dtype
    assert result.source_index.dtype == np.uint16
    assert sorted(result.order) == [0, 1, 2, 3]
    assert len(np.unique(result.source_index)) >= 3
    for number, frame in enumerate(given):
        here = result.source_index == number
        np.testing.assert_array_equal(result.image[here], frame[here])


def test_the_order_of_the_frames_decides_nothing(fuser: Fuser, frames: list[Picture]) -> None:
    expected = fuser.fuse_stack(frames)
    for order in list(permutations(range(4)))[1::4]:
        found = fuser.fuse_stack([frames[number] for number in order])
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_array_equal(np.array(order)[found.source_index], expected.source_index)
        assert tuple(order[number] for number in found.order) == expected.order


def test_a_stack_of_two_is_a_pair_fused_hard(fuser: Fuser, frames: list[Picture]) -> None:
    stack = fuser.fuse_stack(frames[:2])
    first, second = (frames[number] for number in stack.order)
    pair = fuser.fuse(first, second, hard=True)
    np.testing.assert_array_equal(stack.image, pair.image)
    np.testing.assert_array_equal(stack.source_index == stack.order[0], pair.decision)


def test_hard_takes_whole_pixels_where_a_model_would_mix(photographs: tuple[Picture, Picture]) -> None:
    first, second = photographs
    fuser = Fuser.open(threads=1)
    assert fuser.bundle.blend == "soft"
    hard, soft = fuser.fuse(first, second, hard=True), fuser.fuse(first, second)
    np.testing.assert_array_equal(hard.image, np.where(hard.decision[:, :, None], first, second))
    np.testing.assert_array_equal(hard.decision, soft.decision)
    assert (hard.image != soft.image).any()


class Counted:
    """Frames that are made when they are asked for; counts how many there are at once."""

    def __init__(self, frames: list[Picture]) -> None:
        self.frames, self.alive, self.most, self.asked = frames, 0, 0, [0] * len(frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, number: int) -> Picture:
        frame = self.frames[number].copy()
        self.asked[number] += 1
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(frame, self._gone)
        return frame

    def _gone(self) -> None:
        self.alive -= 1


def test_no_more_than_two_frames_are_kept_however_many_there_are(fuser: Fuser, frames: list[Picture]) -> None:
    counted = Counted(frames)
    result = fuser.fuse_stack(counted)
    assert counted.most == 2
    assert counted.asked == [2, 2, 2, 2]
    assert counted.alive == 0
    np.testing.assert_array_equal(result.image, fuser.fuse_stack(frames).image)


def test_each_step_is_told(fuser: Fuser, frames: list[Picture]) -> None:
    told: list[str] = []
    fuser.fuse_stack(frames, names=["a", "b", "c", "d"], progress=told.append)
    assert told[:4] == ["reading a", "reading b", "reading c", "reading d"]
    assert told[-1] == "[3/3] decision"


@pytest.mark.parametrize("count", [0, 1])
def test_one_photograph_is_no_stack(count: int, fuser: Fuser, frames: list[Picture]) -> None:
    with pytest.raises(ImageError, match=f"{count} photographs? cannot be fused: give at least 2"):
        fuser.fuse_stack(frames[:count])


def test_frames_that_do_not_go_together_are_named(fuser: Fuser, frames: list[Picture]) -> None:
    with pytest.raises(ImageError, match=r"Photographs 1 and 3: the photographs differ in size \(180x120 and 179x120"):
        fuser.fuse_stack([*frames[:2], frames[2][:, 1:]])
    with pytest.raises(ImageError, match="Photographs near and far: the photographs differ in bits per channel"):
        fuser.fuse_stack([frames[0], frames[1].astype(np.uint16)], names=["near", "far"])
    with pytest.raises(FusionError, match="There are 2 photographs and 1 name: give one for each"):
        fuser.fuse_stack(frames[:2], names=["near"])


# the order of focus


@pytest.mark.parametrize("count", [3, 5, 11])
def test_the_order_of_focus_is_found(count: int, photograph: Picture) -> None:
    frames, _ = made_stack(photograph, count, seed=2)
    rows = np.stack([sharpness(frame) for frame in frames])
    for seed in range(5):
        shuffle = np.random.default_rng(seed).permutation(count)
        found = [int(shuffle[row]) for row in focus_order(rows[shuffle])]
        assert found in (list(range(count)), list(range(count))[::-1])


def test_the_order_of_focus_does_not_depend_on_the_order_of_the_rows() -> None:
    rows = np.random.default_rng(0).integers(0, 3, (7, 4)).astype(np.float32)  # with many equal distances
    expected = [rows[row].tolist() for row in focus_order(rows)]
    for seed in range(20):
        shuffled = rows[np.random.default_rng(seed).permutation(7)]
        assert [shuffled[row].tolist() for row in focus_order(shuffled)] == expected


@pytest.mark.parametrize("kind", ["gray", "alpha", "16 bits"])
def test_sharpness_is_the_same_whatever_the_form(kind: str, frames: list[Picture]) -> None:
    np.testing.assert_allclose(sharpness(variant(frames, kind)[1]), sharpness(frames[1]), rtol=0, atol=1e-4)


# how good it is


@pytest.mark.parametrize("count", [3, 5, 11])
def test_a_made_stack_is_fused_as_well_as_a_pair(count: int) -> None:
    photograph = cv2.resize(skimage.data.coffee()[:, :, ::-1], (300, 200), interpolation=cv2.INTER_AREA)
    fuser = Fuser.open(threads=1)
    first, second = made_stack(photograph, 2, seed=3)[0]
    pairwise = psnr(fuser.fuse(first, second).image, photograph)
    frames, sharp = made_stack(photograph, count, seed=3)
    found = fuser.fuse_stack(frames)
    assert (found.image >= np.min(frames, axis=0)).all()
    assert (found.image <= np.max(frames, axis=0)).all()
    assert psnr(found.image, photograph) > pairwise - 0.5
    assert np.mean(np.abs(found.source_index.astype(int) - sharp) <= 1) > 0.95


def test_a_real_triple_comes_out_sharper_than_any_two_of_its_frames(shared: Path) -> None:
    frames = [read_image(path) for path in sorted((shared / "data" / "triples" / "lytro" / "01").iterdir())]
    sources = [to_gray(frame) for frame in frames]
    fuser = Fuser.open()
    stack = q_g_of_stack(sources, to_gray(fuser.fuse_stack(frames).image))
    pairs = [q_g_of_stack(sources, to_gray(fuser.fuse(a, b).image)) for a, b in combinations(frames, 2)]
    assert stack > max(pairs)


@pytest.mark.parametrize("kind", ["gray", "alpha", "16 bits"])
def test_a_soft_model_mixes_beside_boundaries_alone_and_within_the_range_of_its_sources(
    kind: str, frames: list[Picture]
) -> None:
    given = np.stack(variant(frames, kind))
    found = Fuser.open(threads=1).fuse_stack(list(given))
    assert (found.image >= given.min(axis=0)).all()
    assert (found.image <= given.max(axis=0)).all()
    taken = np.take_along_axis(
        given.reshape(4, 120, 180, -1), found.source_index[None, :, :, None].astype(int), axis=0
    )[0]
    mixed = (found.image.reshape(120, 180, -1) != taken).any(axis=2)
    assert 0.001 < mixed.mean() < 0.5
    if kind == "alpha":
        np.testing.assert_array_equal(found.image[:, :, 3], 10 * found.source_index)


def test_the_benchmark_prints_both_tables(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "real" / "one").mkdir(parents=True)
    photograph = read_image(next(iter(photo_folder.iterdir())))
    for number, frame in enumerate(made_stack(photograph, 3, seed=0)[0]):
        write_image(tmp_path / "real" / "one" / f"{number}.png", frame)
    monkeypatch.setattr(stack_quality, "COUNTS", (3,))
    arguments = ["--photos", photo_folder, "--count", 1, "--triples", tmp_path / "real"]
    monkeypatch.setattr(sys, "argv", ["stacks", *map(str, arguments)])
    assert stack_quality.main() == 0
    lines = capsys.readouterr().out.splitlines()
    pair, three, real = (next(line for line in lines if line.split()[:1] == [key]) for key in ("pair", "3", "one"))
    assert 20 < float(pair.split()[1]) < 60
    assert 20 < float(three.split()[1]) < 60
    assert three.endswith(" 0.00%")
    assert 0 < float(real.split()[3]) < float(real.split()[2]) < 1


# the command


@pytest.fixture
def folder(tmp_path: Path, frames: list[Picture], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, holding the frames ``0.png`` to ``3.png``, the first with EXIF."""
    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[0x0110] = "Camera 7"
    for number, frame in enumerate(frames):
        extra = {"exif": exif} if number == 0 else {}
        Image.fromarray(frame[:, :, ::-1]).save(f"{number}.png", **extra)
    return tmp_path


FILES = ["0.png", "1.png", "2.png", "3.png"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", [["fuse", *FILES[:2]], ["stack", *FILES]])
def test_a_format_that_keeps_no_exif_is_told(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    told = (
        "fusiongcn: warning: fused.webp keeps neither EXIF nor colour profile: use .jpg, .png or .tif if they matter.\n"
    )
    for output, expected in (("fused.webp", told), ("fused.jpg", "")):
        assert main([*command, "-o", output, "--threads", "1"]) == 0
        assert capfd.readouterr().err == expected


def test_stack_writes_what_the_fuser_gives(
    folder: Path, random_bundle: Path, fuser: Fuser, frames: list[Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    outputs = ["-o", "fused.png", "--depth-map", "depth.png", "--depth-preview", "colours.png"]
    assert main(["stack", *FILES, *outputs, "--model", str(random_bundle), "--threads", "1"]) == 0
    expected = fuser.fuse_stack(frames)
    np.testing.assert_array_equal(read_image("fused.png"), expected.image)
    depth = read_image("depth.png")
    assert depth.dtype == np.uint16
    np.testing.assert_array_equal(depth, expected.source_index)
    np.testing.assert_array_equal(read_image("colours.png"), frame_colours(expected.source_index, 4))
    with Image.open("fused.png") as image:
        assert image.getexif()[0x0110] == "Camera 7"
    assert sorted(path.name for path in folder.iterdir()) == [*FILES, "colours.png", "depth.png", "fused.png"]
    printed = capfd.readouterr()
    assert printed.out.startswith("fused.png: 180x120 from 4 photographs, ")
    assert printed.err == ""


def test_the_colours_go_from_blue_to_red() -> None:
    colours = frame_colours(np.arange(5, dtype=np.uint16)[None], 5)[0].astype(int)
    assert len({tuple(colour) for colour in colours}) == 5
    assert colours[0, 0] > colours[0, 2]
    assert colours[4, 2] > colours[4, 0] + 50
    assert frame_colours(np.zeros((1, 1), np.uint16), 1).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*FILES, "-o", "1.png"], "is one of the photographs"),
        ([*FILES, "-o", "a.png", "--depth-map", "a.png"], "is named twice"),
        ([*FILES, "-o", "a.txt"], "known image format"),
        ([*FILES, "-o", "a.png", "--depth-map", "depth.jpg"], "cannot hold 16 bits"),
        ([*FILES, "-o", "a.png", "--depth-preview", "no/depth.jpg"], "does not exist"),
        (["0.png", "none.png", "-o", "a.png"], "no file none.png"),
        (["0.png", "-o", "a.png"], "1 photograph cannot be fused"),
        (["0.png", "small.png", "-o", "a.png"], "Photographs 0.png and small.png: the photographs differ in size"),
        (["0.png", "1.png", "broken.png", "-o", "a.png"], "broken.png is no image"),
        (["up.png", "left.png", "-o", "a.png"], "up.png and left.png lie alike"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    arguments: list[str], message: str, folder: Path, random_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = Image.open("0.png")
    picture.resize((90, 60)).save("small.png")
    for name, orientation in (("up.png", 1), ("left.png", 8)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture.save(name, exif=exif)
    (folder / "broken.png").write_bytes(b"broken")
    before = sorted(folder.iterdir())
    capfd.readouterr()
    assert main(["stack", *arguments, "--model", str(random_bundle)]) == 2
    told = capfd.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_a_frame_that_vanishes_is_told_and_nothing_is_written(
    folder: Path, random_bundle: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fuse = Fuser.fuse

    def losing(self: Fuser, *arguments: Any, **options: Any) -> Any:
        for name in FILES:
            Path(name).unlink(missing_ok=True)
        return fuse(self, *arguments, **options)

    monkeypatch.setattr(Fuser, "fuse", losing)
    assert main(["stack", *FILES, "-o", "fused.png", "--model", str(random_bundle)]) == 2
    assert "There is no file" in capfd.readouterr().err
    assert list(folder.iterdir()) == []


def test_a_frame_of_one_row_repeated_is_a_frame() -> None:
    frame = np.broadcast_to(np.arange(64, dtype=np.uint8), (64, 64))
    np.testing.assert_array_equal(sharpness(frame), sharpness(frame.copy()))
