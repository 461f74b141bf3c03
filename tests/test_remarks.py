"""What is said of photographs that can be fused, but hardly should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.runtime.images import read_image
from fusiongcn_edge.runtime.pairs import find_pairs
from fusiongcn_edge.runtime.remarks import LookedAt, look_at, remarks

Picture = NDArray[Any]
EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "example"


def said(*photographs: Picture, aligned: bool = False) -> list[str]:
    return remarks(
        [str(n) for n in range(len(photographs))], [look_at(photograph) for photograph in photographs], aligned=aligned
    )


@pytest.fixture(scope="module")
def pair() -> tuple[Picture, Picture]:
    return read_image(EXAMPLE / "near.jpg"), read_image(EXAMPLE / "far.jpg")


def test_nothing_is_said_of_photographs_that_lie_on_each_other(pair: tuple[Picture, Picture]) -> None:
    near, far = pair
    assert said(near, far) == said(far, near) == []
    assert said(near[:, :, 0], far[:, :, 0]) == []
    assert said(near.astype(np.uint16) * 257, far.astype(np.uint16) * 257) == []


def test_nothing_is_said_of_real_pairs_that_are_registered(shared: Path) -> None:
    for root in (shared / "data" / "pairs", shared / "data" / "truth"):
        for found in find_pairs(root):
            assert said(read_image(found.a), read_image(found.b)) == [], found


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
    assert said(pair[0][rows, columns], moved[rows, columns], aligned=True) == []


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
    frames = LookedAt(list(pair))
    assert len(frames) == 2
    assert frames[1] is pair[1]
    first = frames.looks[1]
    assert frames[1] is pair[1]
    assert frames.looks == {1: first}
