"""What is said of photographs that can be fused, but hardly should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pairs import find_pairs
from fusiongcn_edge.runtime.registration.checks import FramesWithThumbnails, input_warnings, thumbnail_of
from helpers.paths import EXAMPLE

Picture = NDArray[Any]


def said(*photographs: Picture, aligned: bool = False, match_exposure: bool = False) -> list[str]:
    return input_warnings(
        [str(n) for n in range(len(photographs))], [thumbnail_of(photograph) for photograph in photographs],
        aligned=aligned, match_exposure=match_exposure,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pair() -> tuple[Picture, Picture]:
    return read_image(EXAMPLE / "near.jpg"), read_image(EXAMPLE / "far.jpg")


def test_nothing_is_said_of_photographs_that_lie_on_each_other(pair: tuple[Picture, Picture]) -> None:
    near, far = pair
    assert said(near, far) == said(far, near) == []
    assert said(near[:, :, 0], far[:, :, 0]) == []
    assert said(near.astype(np.uint16) * 257, far.astype(np.uint16) * 257) == []


def test_nothing_is_said_of_real_pairs_that_are_registered(shared: Path) -> None:
    odd = {}
    for root in (shared / "data" / "pairs", shared / "data" / "truth"):
        for found in find_pairs(root):
            if sentences := said(read_image(found.a), read_image(found.b)):
                odd[found.a.parts[-3:]] = sentences
    # two are from a lens that breathes, and one is brighter than the other
    assert set(odd) == {("grayscale", "a", "01.bmp"), ("mffw", "a", "01.jpg"), ("mffw", "a", "02.jpg")}
    assert "differ in scale or rotation, by up to 4 pixels" in odd["grayscale", "a", "01.bmp"][0]
    assert "differ in scale or rotation, by up to 4 pixels" in odd["mffw", "a", "01.jpg"][0]
    assert "is 1.11 times as bright as" in odd["mffw", "a", "02.jpg"][0]


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -4), (12, 7), (-60, 20)])
def test_a_shift_is_told(right: int, down: int, pair: tuple[Picture, Picture]) -> None:
    edge = 60
    rows, columns = (slice(edge, size - edge) for size in pair[0].shape[:2])
    moved = np.roll(cv2.GaussianBlur(pair[0], (0, 0), 2), (down, right), (0, 1))
    (sentence,) = said(pair[0][rows, columns], moved[rows, columns])
    assert "try --align similarity" in sentence
    found = sentence.partition("by about ")[2].split()
    assert abs(int(found[0]) - right) <= 1
    assert abs(int(found[1]) - down) <= 1
    assert said(pair[0][rows, columns], moved[rows, columns], aligned=True, match_exposure=True) == []


@pytest.mark.parametrize(("scale", "degrees"), [(1.01, 0), (0.97, 0), (1.05, 0), (1, 1), (1, -3), (1.03, 2)])
def test_scale_and_rotation_are_told(scale: float, degrees: float, pair: tuple[Picture, Picture]) -> None:
    height, width = pair[0].shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    moved = cv2.warpAffine(pair[1], turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    corners = np.array([(0, width, 0, width), (0, 0, height, height), (1, 1, 1, 1)])
    most = np.abs(turn @ corners - corners[:2]).max()
    for first, second in ((pair[0], moved), (moved, pair[0])):
        (sentence,) = said(first, second)
        assert "differ in scale or rotation" in sentence
        found = int(sentence.partition("by up to ")[2].split()[0])
        assert abs(found - most) < max(2, 0.2 * most)
        assert said(first, second, aligned=True) == []


def test_a_difference_in_brightness_is_told(pair: tuple[Picture, Picture]) -> None:
    dark = (pair[1] * 0.7).astype(np.uint8)
    assert said(pair[0], dark) == ["1 is 0.70 times as bright as 0: try --match-exposure."]
    assert said(dark, pair[0]) == ["1 is 1.44 times as bright as 0: try --match-exposure."]
    assert said(pair[0], dark, match_exposure=True) == []


def test_looking_changes_nothing_in_what_is_looked_at(pair: tuple[Picture, Picture]) -> None:
    looks = [thumbnail_of(picture) for picture in pair]
    before = [look.picture.copy() for look in looks]
    input_warnings(["near", "far"], looks, aligned=False, match_exposure=False)
    for look, picture in zip(looks, before, strict=True):
        np.testing.assert_array_equal(look.picture, picture)


def test_half_a_pixel_is_no_shift(pair: tuple[Picture, Picture]) -> None:
    moved = cv2.warpAffine(pair[1], np.array([(1, 0, 0.5), (0, 1, 1.0)]), pair[1].shape[1::-1], borderMode=1)
    assert said(pair[0], moved) == []


def test_photographs_of_different_things_are_told(pair: tuple[Picture, Picture]) -> None:
    (sentence,) = said(pair[0], pair[1][::-1])
    assert "hardly show the same" in sentence


def test_the_same_photograph_twice_is_told(pair: tuple[Picture, Picture]) -> None:
    (sentence,) = said(pair[0], pair[0].copy(), aligned=True)
    assert "are the same photograph" in sentence


def test_a_black_photograph_is_told_and_not_compared(pair: tuple[Picture, Picture]) -> None:
    (sentence,) = said(np.zeros_like(pair[0]), pair[1])
    assert sentence.startswith("0 shows hardly anything but one colour")


def test_of_a_stack_neighbours_are_compared_and_two_sentences_are_enough(pair: tuple[Picture, Picture]) -> None:
    moved = [np.roll(picture, 9 * number, axis=1) for number, picture in enumerate([*pair, *pair, *pair])]
    assert len(said(*moved)) == 2


def test_small_photographs_are_not_compared(photographs: tuple[Picture, Picture]) -> None:
    assert said(*photographs) == []


def test_frames_are_looked_at_once(pair: tuple[Picture, Picture]) -> None:
    frames = FramesWithThumbnails(list(pair))
    assert len(frames) == 2
    assert frames[1] is pair[1]
    first = frames.looks[1]
    assert frames[1] is pair[1]
    assert frames.looks == {1: first}
