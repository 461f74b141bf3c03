"""Order the frames of a stack by focus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError, ImageError
from fusiongcn_edge.runtime.io.validation import check_pair
from fusiongcn_edge.runtime.text import pluralize
from fusiongcn_edge.runtime.types import Frames, OnStage

if TYPE_CHECKING:
    pass

CELLS = 32  # along each side of the grid on which the order of focus is judged
LEAST_SHARPNESS = 0.1  # gray levels of 255: what is flatter counts as flat


def names_of(frames: Frames, names: Sequence[str] | None) -> Sequence[str]:
    """What errors call the frames; their numbers, from 1 on, where no names are given."""
    if names is None:
        return [str(number) for number in range(1, len(frames) + 1)]
    if len(names) != len(frames):
        raise FusionError(
            f"There are {pluralize(len(frames), 'photograph')} and {pluralize(len(names), 'name')}",
            fix="give one for each",
        )
    return names


def sharpnesses(frames: Frames, names: Sequence[str], minimum_size: int, tell: OnStage) -> NDArray[np.float32]:
    """The :func:`sharpness` of every frame, one row each.

    Raises
    ------
    ImageError
        If two frames do not go together, or they are smaller than ``minimum_size``; see
        :func:`fusiongcn_edge.runtime.io.validation.check_pair`.
    """
    first = frames[0]

    def checked(name: str, frame: NDArray[Any]) -> NDArray[np.float32]:
        tell(f"looked at {name}")
        check_named((names[0], name), first, frame, minimum_size)
        return sharpness(frame)

    others = [checked(names[number], frames[number]) for number in range(1, len(frames))]
    return np.stack([sharpness(first), *others])


def check_named(names: Sequence[str], first: NDArray[Any], second: NDArray[Any], minimum_size: int) -> None:
    """As :func:`fusiongcn_edge.runtime.io.validation.check_pair`, with the photographs' names in what it says."""
    try:
        check_pair(first, second, minimum_size)
    except ImageError as error:
        sentence = str(error)
        raise ImageError(f"Photographs {names[0]} and {names[1]}", fix=f"{sentence[0].lower()}{sentence[1:]}") from None


def sharpness(frame: NDArray[Any]) -> NDArray[np.float32]:
    """How much detail there is in each cell of a grid over a frame, as a logarithm, of its green; float32, flat."""
    green = np.ascontiguousarray(frame if frame.ndim == 2 else frame[:, :, 1])  # OpenCV takes no row that is repeated
    detail = cv2.Laplacian(green, cv2.CV_32F)
    np.abs(detail, out=detail)
    cells = cv2.resize(detail, (CELLS, CELLS), interpolation=cv2.INTER_AREA) * (255 / np.iinfo(frame.dtype).max)
    return np.log(cells + np.float32(LEAST_SHARPNESS)).ravel().astype(np.float32)


def focus_order(sharpnesses: NDArray[np.float32]) -> list[int]:
    """The order of focus of frames (N x cells): of the paths that go from a frame always to the one most like it among
    those left, the shortest. It depends on the frames, and not on the order of the rows.
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
