"""Warnings about frames that can be fused, but hardly should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pairs import find_pairs
from fusiongcn_edge.runtime.registration.checks import SIDE, THOROUGH_SIDE, input_warnings, thumbnail_of
from helpers.paths import EXAMPLE

Picture = NDArray[Any]


def said(
    *photographs: Picture, aligned: bool = False, match_exposure: bool = False, thorough: bool = False
) -> list[str]:
    names = [str(number) for number in range(len(photographs))]
    thumbnails = [thumbnail_of(photograph, THOROUGH_SIDE if thorough else SIDE) for photograph in photographs]
    return input_warnings(names, thumbnails, aligned=aligned, match_exposure=match_exposure, thorough=thorough)


@pytest.fixture(scope="module")
def pair() -> tuple[Picture, Picture]:
    return read_image(EXAMPLE / "near.jpg"), read_image(EXAMPLE / "far.jpg")


def test_nothing_is_said_of_photographs_that_lie_on_each_other(pair: tuple[Picture, Picture]) -> None:
    near, far = pair
    assert said(near, far) == said(far, near) == []
    assert said(near[:, :, 0], far[:, :, 0]) == []
    assert said(near.astype(np.uint16) * 257, far.astype(np.uint16) * 257) == []


def warnings_on_research_pairs(shared: Path, *, thorough: bool) -> dict[tuple[str, ...], list[str]]:
    odd = {}
    for root in (shared / "data" / "pairs", shared / "data" / "truth"):
        for found in find_pairs(root):
            if sentences := said(read_image(found.a), read_image(found.b), thorough=thorough):
                odd[found.a.parts[-3:]] = sentences
    return odd


def test_registered_research_pairs_have_no_shift(shared: Path) -> None:
    odd = warnings_on_research_pairs(shared, thorough=False)
    assert list(odd) == [("mffw", "a", "02.jpg")]
    assert "is 1.11 times as bright as" in odd["mffw", "a", "02.jpg"][0]


def test_the_thorough_check_finds_the_two_research_pairs_of_a_lens_that_breathes(shared: Path) -> None:
    odd = warnings_on_research_pairs(shared, thorough=True)
    assert set(odd) == {("grayscale", "a", "01.bmp"), ("mffw", "a", "01.jpg"), ("mffw", "a", "02.jpg")}
    assert "differ in scale or rotation, by up to 4 pixels" in odd["grayscale", "a", "01.bmp"][0]
    assert "differ in scale or rotation, by up to 4 pixels" in odd["mffw", "a", "01.jpg"][0]


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -3)])
def test_a_shift_of_three_pixels_is_found_in_research_pairs(right: int, down: int, shared: Path) -> None:
    inner, missed, total = (slice(8, -8), slice(8, -8)), list[str](), 0
    for found in find_pairs(shared / "data" / "pairs"):
        total += 1
        first, second = read_image(found.a), np.roll(read_image(found.b), (down, right), (0, 1))
        sentences = said(first[inner], second[inner])
        if not any("misregistered by about" in sentence for sentence in sentences):
            missed.append(str(found.a))
    assert total > 30
    assert missed == []


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -4), (12, 7), (-60, 20)])
def test_a_shift_is_measured(right: int, down: int, thorough: bool, pair: tuple[Picture, Picture]) -> None:
    edge = 60
    rows, columns = (slice(edge, size - edge) for size in pair[0].shape[:2])
    moved = np.roll(cv2.GaussianBlur(pair[0], (0, 0), 2), (down, right), (0, 1))
    (sentence,) = said(pair[0][rows, columns], moved[rows, columns], thorough=thorough)
    assert "try --align similarity" in sentence
    found = sentence.partition("misregistered by about ")[2].split()
    assert abs(int(found[0]) - right) <= 1
    assert abs(int(found[1]) - down) <= 1
    assert said(pair[0][rows, columns], moved[rows, columns], aligned=True, match_exposure=True) == []


@pytest.mark.parametrize(("scale", "degrees"), [(1.01, 0), (0.97, 0), (1.05, 0), (1, 1), (1, -3), (1.03, 2)])
def test_the_thorough_check_measures_scale_and_rotation(
    scale: float, degrees: float, pair: tuple[Picture, Picture]
) -> None:
    height, width = pair[0].shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    moved = cv2.warpAffine(pair[1], turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    corners = np.array([(0, width, 0, width), (0, 0, height, height), (1, 1, 1, 1)])
    most = np.abs(turn @ corners - corners[:2]).max()
    for first, second in ((pair[0], moved), (moved, pair[0])):
        (sentence,) = said(first, second, thorough=True)
        assert "differ in scale or rotation" in sentence
        found = int(sentence.partition("by up to ")[2].split()[0])
        assert abs(found - most) < max(2, 0.2 * most)
        assert said(first, second, aligned=True, thorough=True) == []


@pytest.mark.parametrize("side", [SIDE, THOROUGH_SIDE])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_thumbnail_is_small(side: int, kind: type, pair: tuple[Picture, Picture]) -> None:
    for picture in (pair[0], pair[0][:, :, 0], np.insert(pair[0], 3, 7, axis=2)):
        thumbnail = thumbnail_of(picture.astype(kind), side)
        assert thumbnail.size == pair[0].shape[1::-1]
        assert thumbnail.gray.shape == (side, side)
        assert thumbnail.gray.dtype == kind


def test_a_difference_in_brightness_is_told(pair: tuple[Picture, Picture]) -> None:
    dark = (pair[1] * 0.7).astype(np.uint8)
    assert said(pair[0], dark) == ["1 is 0.70 times as bright as 0: try --match-exposure."]
    assert said(dark, pair[0]) == ["1 is 1.44 times as bright as 0: try --match-exposure."]
    assert said(pair[0], dark, match_exposure=True) == []


@pytest.mark.parametrize("thorough", [False, True])
def test_thumbnails_are_left_as_they_are(thorough: bool, pair: tuple[Picture, Picture]) -> None:
    thumbnails = [thumbnail_of(picture, THOROUGH_SIDE if thorough else SIDE) for picture in pair]
    before = [thumbnail.gray.copy() for thumbnail in thumbnails]
    input_warnings(["near", "far"], thumbnails, aligned=False, match_exposure=False, thorough=thorough)
    for thumbnail, gray in zip(thumbnails, before, strict=True):
        np.testing.assert_array_equal(thumbnail.gray, gray)


def test_half_a_pixel_is_no_shift(pair: tuple[Picture, Picture]) -> None:
    moved = cv2.warpAffine(pair[1], np.array([(1, 0, 0.5), (0, 1, 1.0)]), pair[1].shape[1::-1], borderMode=1)
    assert said(pair[0], moved) == []


def test_photographs_of_different_things_are_told(pair: tuple[Picture, Picture]) -> None:
    (sentence,) = said(pair[0], pair[1][::-1])
    assert "seem to show different scenes" in sentence


def test_the_same_photograph_twice_is_told(pair: tuple[Picture, Picture]) -> None:
    (sentence,) = said(pair[0], pair[0].copy(), aligned=True)
    assert "are the same photograph" in sentence


def test_a_black_photograph_is_told_and_not_compared(pair: tuple[Picture, Picture]) -> None:
    (sentence,) = said(np.zeros_like(pair[0]), pair[1])
    assert sentence.startswith("0 has almost no contrast")


def test_of_a_stack_neighbours_are_compared_and_two_sentences_are_enough(pair: tuple[Picture, Picture]) -> None:
    moved = [np.roll(picture, 9 * number, axis=1) for number, picture in enumerate([*pair, *pair, *pair])]
    assert len(said(*moved)) == 2


def test_small_photographs_are_not_compared(photographs: tuple[Picture, Picture]) -> None:
    assert said(*photographs) == []
