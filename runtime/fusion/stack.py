"""Fuse a stack sequentially: the composite so far is compared with one frame after another, in the order of focus.

Blending by the probability everywhere, as a pair is fused, would blur with every step a little more where neighbours in
focus are nearly equally sharp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import ImageError
from fusiongcn_edge.runtime.fusion.blending import blend
from fusiongcn_edge.runtime.text import pluralize
from fusiongcn_edge.runtime.types import Frames

MIXED = 8  # pixels on either side of a boundary
ROWS = 256  # that are mixed at a time
MOST_FRAMES = 1 << 16  # that a map of 16 bits tells apart


@dataclass(frozen=True)
class StackResult:
    """The result of fusing a stack.

    Attributes
    ----------
    image : uint8 or uint16, shape of the frames
        The fused photograph. Pixels are taken from frames unchanged; only beside the boundaries between two are they
        mixed, if the model fuses soft. They never leave the range of their sources.
    source_index : uint16 H x W
        The frame that each pixel is from: its number, from 0 on, in the order given. If that is the order of focus,
        this is a depth-index map.
    order : tuple of int
        The frames in the order of focus, from either end.
    """

    image: NDArray[Any]
    source_index: NDArray[np.uint16]
    order: tuple[int, ...]


class Comparison(Protocol):
    """What comparing two frames gives; see :class:`fusiongcn_edge.runtime.fuser.FusionResult`."""

    @property
    def image(self) -> NDArray[Any]: ...

    @property
    def decision(self) -> NDArray[np.bool_]: ...

    @property
    def probability(self) -> NDArray[np.float32]: ...


def check_frame_count(count: int, most: int = MOST_FRAMES) -> None:
    """Refuse, with an ImageError, fewer frames than two or more than ``most``."""
    if not 2 <= count <= most:
        allowed = "at least 2" if count < 2 else f"at most {most:,}"
        raise ImageError(f"{pluralize(count, 'photograph')} cannot be fused", fix=f"give {allowed}")


def fold(
    frames: Frames,
    order: Sequence[int],
    compare: Callable[[NDArray[Any], NDArray[Any], str], Comparison],
    soft_threshold: float | None,
) -> StackResult:
    """Fuse frames one after the other: the composite so far against the next frame.

    Parameters
    ----------
    frames : Frames
        Each is asked for once.
    order : sequence of int
        The frames in the order in which they are compared, that of focus.
    compare : callable
        Fuses the composite and a frame, hard; the last argument says which step it is, ``[2/9]``.
    soft_threshold : float or None
        Blend within ``MIXED`` pixels of a boundary by the probability, with this decision threshold; None: nowhere.
    """
    composite = frames[order[0]]
    source = np.full(composite.shape[:2], order[0], np.uint16)
    for step, number in enumerate(order[1:], start=1):
        frame = frames[number]
        composite, kept = _compared(
            compare(composite, frame, f"[{step}/{len(order) - 1}]"), composite, frame, soft_threshold
        )
        source[~kept] = number
        del frame, kept  # their memory is needed by the next step
    return StackResult(composite, source, tuple(order))


def _compared(
    found: Comparison, composite: NDArray[Any], frame: NDArray[Any], soft_threshold: float | None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The next composite, and where it is the last one."""
    image, decision = found.image, found.decision
    if soft_threshold is not None:
        near = _near_boundary(decision)
        for top in range(0, len(image), ROWS):
            band = slice(top, top + ROWS)
            here = near[band]
            if not here.any():
                continue
            first, second = composite[band][here][:, None], frame[band][here][:, None]
            probability, kept = found.probability[band][here][:, None], decision[band][here][:, None]
            image[band][here] = blend(first, second, probability, kept, soft_threshold)[:, 0]
    return image, decision


def _near_boundary(decision: NDArray[np.bool_]) -> NDArray[np.bool_]:
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MIXED + 1, 2 * MIXED + 1))
    first = decision.view(np.uint8)
    return np.asarray(cv2.dilate(first, window) != cv2.erode(first, window))
