"""Order the frames of a stack by focus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError, ImageError
from fusiongcn_edge.runtime.io.validation import check_pair
from fusiongcn_edge.runtime.text import pluralize
from fusiongcn_edge.runtime.types import Frames, OnStage

Measure = TypeVar("Measure")
CELLS = 32  # along each side of the grid on which the order of focus is judged
LEAST_SHARPNESS = 0.1  # gray levels of 255: what is flatter counts as flat


def names_of(frames: Frames, names: Sequence[str] | None) -> Sequence[str]:
    """Return what errors call the frames: their numbers, from 1 on, where no names are given."""
    if names is None:
        return [str(number) for number in range(1, len(frames) + 1)]
    if len(names) != len(frames):
        raise FusionError(
            f"There are {pluralize(len(frames), 'photograph')} and {pluralize(len(names), 'name')}",
            fix="give one for each",
        )
    return names


def measure_frames(
    read: Callable[[int], NDArray[Any]],
    names: Sequence[str],
    minimum_size: int,
    measure: Callable[[NDArray[Any]], Measure],
    progress: OnStage,
) -> list[Measure]:
    """Read every frame once, check that it goes with the first, and return what is measured of each.

    Parameters
    ----------
    read : callable
        Returns the frame of a number. No more than two frames are kept at a time.
    names : sequence of str
        What errors and ``progress`` call the frames, one for each.
    minimum_size : int
        Pixels that a frame must have on each side.
    measure : callable
        Is given a frame that passed the check.

    Raises
    ------
    ImageError
        If two frames differ in size, channels or type, or are too small; see
        :func:`fusiongcn_edge.runtime.io.validation.check_pair`.
    """
    progress(f"reading {names[0]}")
    first = read(0)

    def checked(number: int) -> Measure:
        progress(f"reading {names[number]}")
        frame = read(number)
        check_named((names[0], names[number]), first, frame, minimum_size)
        return measure(frame)

    others = [checked(number) for number in range(1, len(names))]
    return [measure(first), *others]


def check_named(names: Sequence[str], first: NDArray[Any], second: NDArray[Any], minimum_size: int) -> None:
    """Check as :func:`fusiongcn_edge.runtime.io.validation.check_pair` does, and name the photographs in errors."""
    try:
        check_pair(first, second, minimum_size)
    except ImageError as error:
        problem = f"Photographs {names[0]} and {names[1]}: {error.problem[0].lower()}{error.problem[1:]}"
        raise ImageError(problem, found=error.found, allowed=error.allowed, fix=error.fix) from None


def sharpness(frame: NDArray[Any]) -> NDArray[np.float32]:
    """Return the focus measure of a frame: the log mean absolute Laplacian of green in each cell of a grid, float32."""
    green = np.ascontiguousarray(frame if frame.ndim == 2 else frame[:, :, 1])  # OpenCV takes no row that is repeated
    detail = cv2.Laplacian(green, cv2.CV_32F)
    np.abs(detail, out=detail)
    cells = cv2.resize(detail, (CELLS, CELLS), interpolation=cv2.INTER_AREA) * (255 / np.iinfo(frame.dtype).max)
    return np.log(cells + np.float32(LEAST_SHARPNESS)).ravel().astype(np.float32)


def focus_order(sharpnesses: NDArray[np.float32]) -> list[int]:
    """Order frames by their focus measures (N x cells): of the paths that go from a frame always to the one most like
    it among those left, the shortest. It depends on the frames, and not on the order of the rows.
    """
    rows = sorted(range(len(sharpnesses)), key=lambda row: sharpnesses[row].tobytes())
    values = sharpnesses[rows]
    distances = np.stack([np.abs(values - value).mean(1, dtype=np.float64) for value in values])
    paths = [_nearest_path(distances, start) for start in range(len(rows))]
    return [rows[row] for row in min(paths)[1]]


def _nearest_path(distances: NDArray[np.float64], start: int) -> tuple[float, list[int]]:
    path, length = [start], 0.0
    left = np.ones(len(distances), bool)
    left[start] = False
    while left.any():
        away = np.where(left, distances[path[-1]], np.inf)
        path.append(int(away.argmin()))
        length += float(away[path[-1]])
        left[path[-1]] = False
    return length, path
