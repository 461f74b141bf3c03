"""Warp a frame onto the reference."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.registration.estimate import Alignment
from fusiongcn_edge.runtime.registration.exposure import apply_gain, gain_table
from fusiongcn_edge.runtime.registration.pyramid import inverse, transformed
from fusiongcn_edge.runtime.types import Matrix, Window

ROWS = 256  # of a result that are made at a time
REACH = 4  # pixels of a frame around the one that is interpolated


def valid_region(alignment: Alignment, height: int, width: int) -> Window:
    """A rectangle of the reference, as large as is easily found, in which a frame of the same size has every pixel."""
    if not alignment.is_significant(height, width):
        return Window(0, height, 0, width)
    edges = np.array([(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)], np.float64)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = transformed(inverse(alignment.matrix), edges)
    found = Window(
        math.ceil(max(y0, y1)), math.floor(min(y2, y3)) + 1, math.ceil(max(x0, x2)), math.floor(min(x1, x3)) + 1
    )
    return found.within(Window(0, height, 0, width))


def warp(
    frame: NDArray[Any], alignment: Alignment, area: Window, *, match_exposure: bool, fill: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Warp a frame onto an area of the reference; the result has the frame's type and channels.

    Parameters
    ----------
    frame : uint8 or uint16 H x W, H x W x 3 or H x W x 4
    alignment : Alignment
        Where it moves nothing, the pixels are the frame's own. Otherwise they are interpolated (bicubic), and held
        within the range of the 3 x 3 pixels of the frame around them: no halo, and no value that the frame has not.
    area : Window
    match_exposure : bool
        Multiply the values, not alpha, with the alignment's gain.
    fill : as ``frame``, optional
        The reference, whose pixels are taken where the frame has none; default: the nearest of the frame.
    """
    table = gain_table(alignment.gain, frame.dtype) if match_exposure and alignment.gain != 1 else None
    if not alignment.is_significant(*frame.shape[:2]):
        return np.ascontiguousarray(apply_gain(frame[area.top : area.bottom, area.left : area.right], table))
    result = np.empty((area.bottom - area.top, area.right - area.left, *frame.shape[2:]), frame.dtype)
    for top in range(area.top, area.bottom, ROWS):
        band = Window(top, min(top + ROWS, area.bottom), area.left, area.right)
        rows = result[band.top - area.top : band.bottom - area.top]
        _interpolate(frame, alignment.matrix, band, rows, table, fill)
    return result


def _interpolate(
    frame: NDArray[Any],
    matrix: Matrix,
    area: Window,
    result: NDArray[Any],
    table: NDArray[Any] | None,
    fill: NDArray[Any] | None,
) -> None:
    """Into ``result``, an area of the reference from those rows of the frame that it needs."""
    edges = np.array([(x, y) for x in (area.left, area.right) for y in (area.top, area.bottom)], np.float64)
    rows = transformed(matrix, edges)[:, 1]
    first = int(np.clip(math.floor(rows.min()) - REACH, 0, len(frame) - 1))
    last = int(np.clip(math.ceil(rows.max()) + REACH, first + 1, len(frame)))
    source = frame[first:last]
    own = np.array([(1, 0, 0), (0, 1, -first), (0, 0, 1)]) @ matrix
    own = own @ np.array([(1, 0, area.left), (0, 1, area.top), (0, 0, 1.0)])
    size = area.right - area.left, area.bottom - area.top

    def turned(picture: NDArray[Any], how: int, border: int = cv2.BORDER_REPLICATE) -> NDArray[Any]:
        return np.asarray(cv2.warpPerspective(picture, own, size, flags=how | cv2.WARP_INVERSE_MAP, borderMode=border))

    around = np.ones((3, 3), np.uint8)
    values = turned(source, cv2.INTER_CUBIC)
    cv2.max(values, turned(cv2.erode(source, around), cv2.INTER_NEAREST), dst=values)
    cv2.min(values, turned(cv2.dilate(source, around), cv2.INTER_NEAREST), dst=values)
    result[...] = apply_gain(values, table)
    if fill is not None:  # as bright as it should be already
        missing = turned(np.ones(source.shape[:2], np.uint8), cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) == 0
        result[missing] = fill[area.top : area.bottom, area.left : area.right][missing]
