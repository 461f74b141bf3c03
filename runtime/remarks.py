"""What a command says of photographs that can be fused, but hardly should be: cheap to find, and never in the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.align import correlation
from fusiongcn_edge.runtime.stack import Frames

SIDE = 384  # cells along each side of what is compared: a size that Fourier transforms are fast in
FINE, COARSE = 2, 10  # cells on either side that a mean is taken over; what lies between is compared
LEAST_CONTRAST = 0.005  # of the full range: what is flatter counts as flat
SHIFTED = 2.0, 0.3  # pixels and cells; the pairs of Lytro, MFFW, MFI-WHU and NYU-D reach 1.1 pixels
BETTER = 0.01  # correlation that a shift must gain to be believed
UNRELATED = 0.4  # correlation: pairs of one scene reach 0.7 at least
DARK = 0.02  # of the full range
SMALLEST = 128  # pixels on the shorter side: in smaller photographs single pixels would be compared

Gray = NDArray[np.float32]


class Look(NamedTuple):
    """What is kept of a photograph to compare it with others.

    ``size``: width and height; ``picture``: local contrast, float32 ``SIDE`` x ``SIDE``; ``seen``: the range of gray
    levels, of 1; ``content``: a number that equal photographs have in common.
    """

    size: tuple[int, int]
    picture: Gray
    seen: float
    content: int


def look_at(photograph: NDArray[Any]) -> Look:
    """A photograph (uint8 or uint16, H x W, H x W x 3 or H x W x 4) as it is compared with others."""
    small = cv2.resize(photograph, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    gray = small if small.ndim == 2 else cv2.cvtColor(small[:, :, :3], cv2.COLOR_BGR2GRAY)
    gray = gray.astype(np.float32) / np.float32(np.iinfo(photograph.dtype).max)
    picture = _mean(_mean(gray, FINE), FINE) - _mean(gray, COARSE)
    picture /= np.sqrt(_mean(picture * picture, COARSE) + np.float32(LEAST_CONTRAST**2))
    rows, columns = photograph.shape[:2]
    return Look((columns, rows), picture, float(gray.max() - gray.min()), hash(small.tobytes()))


def _mean(picture: Gray, around: int) -> Gray:
    return np.asarray(cv2.blur(picture, (2 * around + 1, 2 * around + 1)), np.float32)


def remarks(names: Sequence[str], looks: Sequence[Look], *, aligned: bool) -> list[str]:
    """A sentence on each kind of thing that is odd about photographs of one scene, neighbours in focus side by side.

    ``aligned``: they were turned onto each other, so that how they lie need not be looked at.
    """
    found = []
    flat = [name for name, look in zip(names, looks, strict=True) if look.seen < DARK]
    if flat:
        found.append(f"{flat[0]} shows hardly anything but one colour: check the photograph.")
    for (name, look), (other, other_look) in pairwise(zip(names, looks, strict=True)):
        if look.content == other_look.content:
            found.append(f"{name} and {other} are the same photograph: give ones that are focused at different depths.")
        elif not flat and not aligned:
            found += _displaced(name, look, other, other_look)
        if len(found) > 1:
            break
    return found


def _displaced(name: str, look: Look, other: str, other_look: Look) -> list[str]:
    if min(look.size) < SMALLEST:
        return []
    window = cv2.createHanningWindow((SIDE, SIDE), cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(look.picture, other_look.picture, window)
    before = after = correlation(look.picture, other_look.picture)
    edge = math.ceil(max(abs(x), abs(y))) + 1
    if 4 * edge < SIDE:
        moves = np.array([(1, 0, x), (0, 1, y)])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = np.asarray(cv2.warpAffine(other_look.picture, moves, (SIDE, SIDE), flags=flags), np.float32)
        inner = slice(edge, -edge)
        before, after = (correlation(look.picture[inner, inner], p[inner, inner]) for p in (other_look.picture, moved))
    width, height = look.size
    right, down = x * width / SIDE, y * height / SIDE
    if max(before, after) < UNRELATED:
        return [f"{name} and {other} hardly show the same: try --align similarity, or give photographs of one scene."]
    pixels, cells = SHIFTED
    if max(abs(right), abs(down)) > pixels and max(abs(x), abs(y)) > cells and after > before + BETTER:
        return [
            f"{name} and {other} seem to be shifted against each other, by about {right:+.0f} {down:+.0f} pixels: "
            "try --align similarity."
        ]
    return []


class LookedAt:
    """Frames (see :class:`fusiongcn_edge.runtime.stack.Frames`) that are looked at when they are first asked for."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self.looks: dict[int, Look] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int, /) -> NDArray[Any]:
        frame = self._frames[number]
        if number not in self.looks:
            self.looks[number] = look_at(frame)
        return frame
