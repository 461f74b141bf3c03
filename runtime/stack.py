"""Any number of photographs in, one out: the composite so far is compared with one photograph after another.

They are taken in the order of their focus, which they tell themselves: in two that were focused at nearly the same
depth, the same places are sharp. The order in which they are given decides nothing.

Mixing by the probability everywhere, as a pair is fused, would blur with every step a little more where neighbours in
focus are nearly equally sharp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.decision import blend
from fusiongcn_edge.runtime.errors import FusionError, ImageError
from fusiongcn_edge.runtime.images import check_pair
from fusiongcn_edge.runtime.progress import Tell
from fusiongcn_edge.runtime.words import counted

if TYPE_CHECKING:
    from fusiongcn_edge.runtime.fuser import Fuser

MIXED = 8  # pixels on either side of a boundary
ROWS = 256  # that are mixed at a time
MOST_FRAMES = 1 << 16  # that a map of 16 bits tells apart
CELLS = 32  # along each side of the grid on which the order of focus is judged
LEAST_SHARPNESS = 0.1  # gray levels of 255: what is flatter counts as flat


class Frames(Protocol):
    """Frames by number, as a list of arrays is, or what reads them when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> NDArray[Any]: ...


@dataclass(frozen=True)
class StackResult:
    """What the fusion of a stack gives.

    Attributes
    ----------
    image : uint8 or uint16, shape of the frames
        The fused photograph. Pixels are taken from frames unchanged; only beside the boundaries between two are they
        mixed, if the model fuses soft. They never leave the range of their sources.
    frame : uint16 H x W
        Which frame a pixel is from: its number, from 0 on, in the order given. If that is the order of focus, this is
        a map of depth.
    order : tuple of int
        The frames in the order of their focus as it was found, from either end.
    """

    image: NDArray[Any]
    frame: NDArray[np.uint16]
    order: tuple[int, ...]


def names_of(frames: Frames, names: Sequence[str] | None) -> Sequence[str]:
    """What errors call the frames; their numbers, from 1 on, where no names are given."""
    if names is None:
        return [str(number) for number in range(1, len(frames) + 1)]
    if len(names) != len(frames):
        raise FusionError(
            f"There are {counted(len(frames), 'photograph')} and {counted(len(names), 'name')}: give one for each."
        )
    return names


def fuse_stack(
    fuser: Fuser,
    frames: Frames,
    names: Sequence[str] | None = None,
    progress: Tell | None = None,
) -> StackResult:
    """Fuse a stack; for the arguments see :meth:`fusiongcn_edge.runtime.fuser.Fuser.fuse_stack`."""
    if not 2 <= len(frames) <= MOST_FRAMES:
        allowed = "at least 2" if len(frames) < 2 else f"at most {MOST_FRAMES:,}"
        raise ImageError(f"{counted(len(frames), 'photograph')} cannot be fused: give {allowed}.")
    tell = progress or (lambda text: None)
    order = focus_order(sharpnesses(frames, names_of(frames, names), fuser.bundle.minimum_size, tell))
    composite = frames[order[0]]
    frame = np.full(composite.shape[:2], order[0], np.uint16)
    for step, number in enumerate(order[1:], start=1):
        composite, kept = _compared(fuser, composite, frames[number], f"[{step}/{len(order) - 1}]", tell)
        frame[~kept] = number
        del kept  # its memory is needed by the next step
    return StackResult(composite, frame, tuple(order))


def _compared(
    fuser: Fuser, composite: NDArray[Any], frame: NDArray[Any], step: str, tell: Tell
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The next composite, and where it is the last one. Nothing else of the fusion is kept in memory."""
    found = fuser.fuse(
        composite,
        frame,
        progress=lambda stage: tell(f"{step} {stage}"),
        share=lambda done: tell(f"{step} cnn, {done:.0%}"),
        hard=True,
    )
    image, decision = found.image, found.decision
    if fuser.bundle.blend == "soft":
        near = _near_boundary(decision)
        for top in range(0, len(image), ROWS):
            band = slice(top, top + ROWS)
            here = near[band]
            if not here.any():
                continue
            first, second = composite[band][here][:, None], frame[band][here][:, None]
            probability, kept = found.probability[band][here][:, None], decision[band][here][:, None]
            image[band][here] = blend(first, second, probability, kept, fuser.bundle.threshold)[:, 0]
    return image, decision


def _near_boundary(decision: NDArray[np.bool_]) -> NDArray[np.bool_]:
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MIXED + 1, 2 * MIXED + 1))
    first = decision.view(np.uint8)
    return np.asarray(cv2.dilate(first, window) != cv2.erode(first, window))


def sharpnesses(frames: Frames, names: Sequence[str], minimum_size: int, tell: Tell) -> NDArray[np.float32]:
    """The :func:`sharpness` of every frame, one row each.

    Raises
    ------
    ImageError
        If two frames do not go together, or they are smaller than ``minimum_size``; see
        :func:`fusiongcn_edge.runtime.images.check_pair`.
    """
    first = frames[0]

    def checked(name: str, frame: NDArray[Any]) -> NDArray[np.float32]:
        tell(f"looked at {name}")
        check_named((names[0], name), first, frame, minimum_size)
        return sharpness(frame)

    others = [checked(names[number], frames[number]) for number in range(1, len(frames))]
    return np.stack([sharpness(first), *others])


def check_named(names: Sequence[str], first: NDArray[Any], second: NDArray[Any], minimum_size: int) -> None:
    """As :func:`fusiongcn_edge.runtime.images.check_pair`, with the photographs' names in what it says."""
    try:
        check_pair(first, second, minimum_size)
    except ImageError as error:
        sentence = str(error)
        raise ImageError(f"Photographs {names[0]} and {names[1]}: {sentence[0].lower()}{sentence[1:]}") from None


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


def frame_colours(frame: NDArray[np.uint16], count: int) -> NDArray[np.uint8]:
    """A map of frames 0 ... ``count`` - 1 in colours, from violet (the first) to dark red; uint8 H x W x 3, BGR."""
    shades = np.rint(np.arange(count) * (255 / max(count - 1, 1))).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(shades[frame], cv2.COLORMAP_TURBO), np.uint8)
