"""Photographs of other scenes, and of shapes that tell little, are not taken for frames of a stack."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import ImageError, align_frames
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.registration.estimate import MODELS, align
from fusiongcn_edge.runtime.registration.pyramid import ImagePyramid

Picture = NDArray[Any]


def scenes(width: int, height: int) -> list[Picture]:
    names = ("coffee", "astronaut", "chelsea", "rocket", "immunohistochemistry")
    found = (getattr(skimage.data, name)()[:, :, ::-1] for name in names)
    return [cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA) for scene in found]


def frames_of(scene: Picture) -> list[Picture]:
    """Four frames of a scene, each shifted by 2 pixels and sharp in a quarter of its own."""
    soft, width = cv2.GaussianBlur(scene, (0, 0), 2), scene.shape[1]
    quarter = np.arange(width)[None, :, None] * 4 // width
    return [np.roll(np.where(quarter == number, scene, soft), 2 * number, axis=1) for number in range(4)]


@pytest.mark.parametrize("size", [(400, 300), (520, 520), (800, 600)])
def test_looking_for_one_frame_does_not_spoil_the_search_for_the_next(size: tuple[int, int]) -> None:
    first, second, *_ = (ImagePyramid(scene) for scene in scenes(*size))
    before = [picture.copy() for picture in first.pictures]
    align(first, second, "similarity")
    for picture, was in zip(first.pictures, before, strict=True):
        np.testing.assert_array_equal(picture, was)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(300, 200), (400, 300), (800, 600)])
def test_strays_are_left_out_and_nothing_else(size: tuple[int, int]) -> None:
    scene, *others = scenes(*size)
    aligned = align_frames([*others, *frames_of(scene)], skip_failed=True)
    assert aligned.numbers == tuple(range(len(others), len(others) + 4))
    assert min(alignment.correlation for alignment in aligned.alignments) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS[1:])
def test_photographs_of_different_scenes_are_not_aligned(model: str) -> None:
    looked_at = [ImagePyramid(scene) for scene in scenes(400, 300)]
    assert [align(*pair, model) for pair in permutations(looked_at, 2)] == [None] * 20


def test_a_long_thin_photograph_is_aligned() -> None:
    rng = np.random.default_rng(5)
    strip = cv2.GaussianBlur(rng.random((20, 4000)).astype(np.float32), (0, 0), 4)
    strip = np.rint(255 * (strip - strip.min()) / np.ptp(strip)).astype(np.uint8)
    found = align(ImagePyramid(strip[:, :-3].copy()), ImagePyramid(strip[:, 3:].copy()), "shift")
    assert found is not None
    assert found.shift == pytest.approx((-3, 0), abs=0.3)


def test_what_is_black_cannot_be_made_as_bright(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scene = scenes(400, 300)[0]
    dark = scene // 100
    found = align(ImagePyramid(scene), ImagePyramid(dark), "none")
    assert found is not None
    assert "brightness unknown" in str(found)
    with pytest.raises(ImageError, match="2 cannot be made as bright as 1"):
        align_frames([scene, dark], "none", match_exposure=True, reference=0)


def test_what_would_need_alignment_says_so_without(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    paths = [str(tmp_path / f"{number}.png") for number in range(2)]
    for path, frame in zip(paths, frames_of(scenes(400, 300)[0]), strict=False):
        write_image(path, frame)
    options = ["--match-exposure", "--no-crop", "--threads", "1"]
    assert main(["fuse", *paths, "-o", str(tmp_path / "fused.png"), *options]) == 0
    printed = capfd.readouterr()
    assert "--no-crop changes nothing without --align." in printed.err
    assert f"{paths[0]}: the others are made as bright" in printed.out
    assert read_image(tmp_path / "fused.png").shape == (300, 400, 3)


def test_a_frame_that_cannot_be_made_as_bright_is_left_out_where_frames_may_be() -> None:
    scene = scenes(400, 300)[0]
    frames = [*frames_of(scene), scene // 100]
    aligned = align_frames(frames, "none", match_exposure=True, skip_failed=True)
    assert aligned.numbers == tuple(range(len(frames) - 1))
    with pytest.raises(ImageError, match="black or white"):
        align_frames(frames, "none", match_exposure=True)
