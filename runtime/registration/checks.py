"""What a command says of photographs that can be fused, but hardly should be: cheap to find, and never in the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.registration.estimate import correlation, phase_shift
from fusiongcn_edge.runtime.types import Frames, Gray

SIDE = 384  # cells along each side of what is compared: a size that Fourier transforms are fast in
FINE, COARSE = 2, 10  # cells on either side that a mean is taken over; what lies between is compared
LEAST_CONTRAST = 0.005  # of the full range: what is flatter counts as flat
SHIFTED = 2.0, 0.3  # pixels and cells; the pairs of Lytro, MFFW, MFI-WHU and NYU-D reach 1.1 pixels
TURNED = 2.6  # pixels that the corners move beside a shift; two of the same pairs reach 4
BETTER = 0.01  # correlation that a shift must gain to be believed
UNEQUAL = 0.08  # of the brightness; of 69 pairs for research one reaches 0.1, and the next one 0.05
UNRELATED = 0.4  # correlation: pairs of one scene reach 0.7 at least
DARK = 0.02  # of the full range
STOP = cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 30, 1e-4  # of the search for scale and rotation
SMOOTHED = 5  # cells on which it looks at once
SMALLEST = 128  # pixels on the shorter side: in smaller photographs single pixels would be compared
CORNERS = np.array([(0, SIDE, 0, SIDE), (0, 0, SIDE, SIDE), (1, 1, 1, 1)], np.float64)
Moves = NDArray[np.float64]  # 2 x 3: from a cell (x, y, 1) to where what it shows is in the other picture


class Thumbnail(NamedTuple):
    """What is kept of a photograph to compare it with others.

    ``size``: width and height; ``picture``: local contrast, float32 ``SIDE`` x ``SIDE``; ``seen``: the range of gray
    levels, of 1; ``brightness``: their mean; ``content``: a number that equal photographs have in common.
    """

    size: tuple[int, int]
    picture: Gray
    seen: float
    brightness: float
    content: int


def thumbnail_of(photograph: NDArray[Any]) -> Thumbnail:
    """A photograph (uint8 or uint16, H x W, H x W x 3 or H x W x 4) as it is compared with others."""
    small = cv2.resize(photograph, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    gray = small if small.ndim == 2 else cv2.cvtColor(small[:, :, :3], cv2.COLOR_BGR2GRAY)
    gray = gray.astype(np.float32) / np.float32(np.iinfo(photograph.dtype).max)
    picture = _mean(_mean(gray, FINE), FINE) - _mean(gray, COARSE)
    picture /= np.sqrt(_mean(picture * picture, COARSE) + np.float32(LEAST_CONTRAST**2))
    rows, columns = photograph.shape[:2]
    return Thumbnail(
        (columns, rows), picture, float(gray.max() - gray.min()), float(gray.mean()), hash(small.tobytes())
    )


def _mean(picture: Gray, around: int) -> Gray:
    return np.asarray(cv2.blur(picture, (2 * around + 1, 2 * around + 1)), np.float32)


def input_warnings(
    names: Sequence[str], looks: Sequence[Thumbnail], *, aligned: bool, match_exposure: bool
) -> list[str]:
    """A sentence on each kind of thing that is odd about photographs of one scene, neighbours in focus side by side.

    ``aligned``: they were turned onto each other, so that how they lie need not be looked at; ``exposed``: they were
    made equally bright.
    """
    found = []
    flat = [name for name, look in zip(names, looks, strict=True) if look.seen < DARK]
    if flat:
        found.append(f"{flat[0]} shows hardly anything but one colour: check the photograph.")
    for (name, look), (other, other_look) in pairwise(zip(names, looks, strict=True)):
        if look.content == other_look.content:
            found.append(f"{name} and {other} are the same photograph: give ones that are focused at different depths.")
        elif not flat:
            displaced = [] if aligned else _displaced(name, look, other, other_look)
            found += displaced or ([] if match_exposure else _unequal(name, look, other, other_look))
        if len(found) > 1:
            break
    return found


def _unequal(name: str, look: Thumbnail, other: str, other_look: Thumbnail) -> list[str]:
    """Blurring leaves the mean what it is, so it tells how they were exposed."""
    ratio = other_look.brightness / look.brightness
    if abs(math.log(ratio)) < UNEQUAL:
        return []
    return [f"{other} is {ratio:.2f} times as bright as {name}: try --match-exposure."]


def _displaced(name: str, look: Thumbnail, other: str, other_look: Thumbnail) -> list[str]:
    if min(look.size) < SMALLEST:
        return []
    first, second = look.picture, other_look.picture
    shifted = np.eye(2, 3)
    shifted[:, 2] = phase_shift(first, second)
    before, after = _likeness(first, second, shifted)
    turned = _turned(first, second, shifted if after > before + BETTER else np.eye(2, 3))
    at_last = _likeness(first, second, turned)[1]
    if max(before, after, at_last) < UNRELATED:
        return [f"{name} and {other} hardly show the same: try --align similarity, or give photographs of one scene."]
    pixels = np.array(look.size) / SIDE  # of a cell
    apart = _corners(turned)
    beside = np.abs(apart - apart.mean(axis=1, keepdims=True)).max(axis=1)  # that no shift explains
    if (beside * pixels).max() > TURNED and at_last > max(before, after) + BETTER:
        most = (np.abs(apart).max(axis=1) * pixels).max()
        return [
            f"{name} and {other} seem to differ in scale or rotation, by up to {most:.0f} pixels: "
            "try --align similarity."
        ]
    least, cells = SHIFTED
    right, down = shifted[:, 2] * pixels
    if max(abs(right), abs(down)) > least and np.abs(shifted[:, 2]).max() > cells and after > before + BETTER:
        return [
            f"{name} and {other} seem to be shifted against each other, by about {right:+.0f} {down:+.0f} pixels: "
            "try --align similarity."
        ]
    return []


def _turned(first: Gray, second: Gray, start: Moves) -> Moves:
    """Shift, rotation, scale and shear that lay ``second`` on ``first`` (ECC: Evangelidis and Psarakis, TPAMI 2008);
    where none are found, those to start with."""
    to, onto = (cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for picture in (first, second))
    to_half = np.array([(1, 1, 0.5)])  # cells of the halves are twice as large
    moves = (start * to_half).astype(np.float32)
    try:
        cv2.findTransformECC(to, onto, moves, cv2.MOTION_AFFINE, STOP, None, SMOOTHED)  # type: ignore[call-overload]
    except cv2.error:  # it did not converge
        return start
    return moves / to_half


def _corners(moves: Moves) -> NDArray[np.float64]:
    """How far to the right and down the corners of a picture move, in cells; 2 x 4."""
    return np.asarray(moves @ CORNERS - CORNERS[:2])


def _moved(picture: Gray, moves: Moves) -> Gray:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, moves, (SIDE, SIDE), flags=flags), np.float32)


def _likeness(first: Gray, second: Gray, moves: Moves) -> tuple[float, float]:
    """Correlation before and after the second is moved, where both show something."""
    edge = math.ceil(np.abs(_corners(moves)).max()) + 1
    if 4 * edge >= SIDE:
        before = correlation(first, second)
        return before, before
    inner = slice(edge, -edge)
    return tuple(correlation(first[inner, inner], p[inner, inner]) for p in (second, _moved(second, moves)))  # type: ignore[return-value]


class FramesWithThumbnails:
    """Frames (see :class:`fusiongcn_edge.runtime.types.Frames`) that are looked at when they are first asked for."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self.looks: dict[int, Thumbnail] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int, /) -> NDArray[Any]:
        frame = self._frames[number]
        if number not in self.looks:
            self.looks[number] = thumbnail_of(frame)
        return frame
