"""The frames of a stack turned onto one of them: found out one frame at a time, and turned when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError, ImageError
from fusiongcn_edge.runtime.registration.estimate import MODELS, Alignment, align
from fusiongcn_edge.runtime.registration.focus_order import focus_order, names_of, sharpnesses
from fusiongcn_edge.runtime.registration.pyramid import LEAST_SIDE, ImagePyramid
from fusiongcn_edge.runtime.registration.warp import valid_region, warp
from fusiongcn_edge.runtime.text import pluralize
from fusiongcn_edge.runtime.types import Frames, Matrix, OnStage, Window


class AlignedFrames:
    """Frames by number, as :class:`fusiongcn_edge.runtime.types.Frames`, that lie on each other; made by
    :func:`align_frames`.

    Attributes
    ----------
    numbers : tuple of int
        Which of the frames given these are, in their order; without those that were skipped.
    alignments : tuple of Alignment
        How each of these lay, in the same order.
    reference : int
        The frame given that the others were turned onto.
    area : Area
        What of the reference is shown.

    Parameters
    ----------
    frames : Frames
        As they were given.
    found : dict of int to Alignment
        Of the frames that are shown, how each lies against the reference.
    reference : int
    area : Area
    exposed : bool
        Whether all are made as bright as the reference.
    filled : bool
        Whether the reference's pixels are shown where a frame has none. It is then read beside each frame that moves:
        one photograph more is in memory.
    """

    def __init__(
        self,
        frames: Frames,
        found: dict[int, Alignment],
        reference: int,
        area: Window,
        match_exposure: bool,
        filled: bool,
    ) -> None:
        self.numbers, self.reference, self.area = tuple(sorted(found)), reference, area
        self.alignments = tuple(found[number] for number in self.numbers)
        self._frames, self._exposed, self._filled = frames, match_exposure, filled

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> NDArray[Any]:
        alignment = self.alignments[index]
        frame = self._frames[self.numbers[index]]
        fill = None
        if self._filled and alignment.is_significant(*frame.shape[:2]):
            fill = self._frames[self.reference]
        return warp(frame, alignment, self.area, match_exposure=self._exposed, fill=fill)


@dataclass(frozen=True)
class _Search:
    """For how frames lie against one of them; for the fields see :func:`align_frames`."""

    frames: Frames
    names: Sequence[str]
    model: str
    match_exposure: bool
    skip_failed: bool
    tell: OnStage

    def onto(self, base: ImagePyramid, order: Sequence[int], place: int) -> dict[int, Alignment]:
        """How frames lie against the one that has this place in the order of focus (``base``), which is among them."""
        name = self.names[order[place]]
        found = {order[place]: Alignment.none()}
        for direction in (order[place + 1 :], order[:place][::-1]):  # neighbours in focus lie alike
            start = None
            for number in direction:
                alignment = self._against(base, name, number, start)
                if alignment is not None:
                    found[number], start = alignment, alignment.matrix
        return found

    def _against(self, base: ImagePyramid, name: str, number: int, start: Matrix | None) -> Alignment | None:
        """How one lies, ``start`` being a guess; None if it is to be left out."""
        own = self.names[number]
        self.tell(f"aligned {own}")
        frame = ImagePyramid(self.frames[number])
        alignment = align(base, frame, self.model, start)
        if alignment is None and start is not None:
            alignment = align(base, frame, self.model)
        if alignment is None and not self.skip_failed:
            raise ImageError(
                f"{own} cannot be aligned to {name}, for they hardly show the same",
                fix="give photographs of one scene (of a stack, --skip-failed leaves others out)",
            )
        if alignment is not None and self.match_exposure and math.isnan(alignment.gain):
            raise ImageError(
                f"{own} cannot be made as bright as {name}, for in one of them nearly everything is black or white",
                fix="give others, or leave --match-exposure out",
            )
        return alignment


def align_frames(
    frames: Frames,
    model: str = "similarity",
    *,
    names: Sequence[str] | None = None,
    reference: int | None = None,
    match_exposure: bool = False,
    keep_full_frame: bool = False,
    skip_failed: bool = False,
    progress: OnStage | None = None,
) -> AlignedFrames:
    """Find how photographs of one scene, focused at different depths, lie against each other.

    Parameters
    ----------
    frames : sequence of uint8 or uint16 arrays H x W, H x W x 3 or H x W x 4
        As :meth:`fusiongcn_edge.runtime.fuser.Fuser.fuse_stack` takes them, but for their alignment. No more than two
        are kept.
    model : one of :data:`fusiongcn_edge.runtime.registration.estimate.MODELS`
    names : sequence of str, optional
        What errors call the frames; default: their numbers, from 1 on.
    reference : int, optional
        The frame to turn the others onto; default: the middle one in the order of focus, so that the order in which
        the frames are given decides nothing. If frames may be skipped and most cannot be aligned to that one, the one
        nearest to it, in the order of focus, to which they can.
    match_exposure : bool
        Make all as bright as the reference.
    whole : bool
        Show all of the reference, with its own pixels where a frame has none; default: what all frames show.
    skip : bool
        Leave out a frame that cannot be aligned, instead of refusing.
    progress : callable, optional
        Called with a few words about each step as it starts.

    Raises
    ------
    ImageError
        If the frames do not go together, one cannot be aligned or made as bright, or there is nothing that all of them
        show.
    FusionError
        If there is no such model or reference.
    """
    if model not in MODELS:
        raise FusionError(f"There is no alignment {model!r}", fix=f"choose one of {', '.join(MODELS)}")
    if reference is not None and not 0 <= reference < len(frames):
        raise FusionError(f"There is no frame {reference}", fix=f"give a reference from 0 to {len(frames) - 1}")
    names = names_of(frames, names)
    tell = progress or (lambda text: None)
    if len(frames) < 2:
        raise ImageError(f"{pluralize(len(frames), 'photograph')} cannot be aligned", fix="give at least 2")
    order = focus_order(sharpnesses(frames, names, 1 if model == "none" else LEAST_SIDE, tell))
    middle = order.index(reference) if reference is not None else (len(order) - 1) // 2
    onto, found = order[middle], dict[int, Alignment]()
    search = _Search(frames, names, model, match_exposure, skip_failed, tell)
    for place in sorted(range(len(order)), key=lambda place: abs(place - middle)):
        base = ImagePyramid(frames[order[place]])
        those = search.onto(base, order, place)
        if len(those) > len(found):
            onto, found = order[place], those
        if reference is not None or not skip_failed or 2 * len(found) > len(order):
            break  # else it is not what most of them show
    if len(found) < 2:
        raise ImageError(f"No photograph can be aligned to {names[onto]}", fix="give photographs of one scene")
    size = base.height, base.width
    area = Window(0, size[0], 0, size[1])
    if not keep_full_frame:
        area = reduce(Window.within, (valid_region(alignment, *size) for alignment in found.values()), area)
        if area.top >= area.bottom or area.left >= area.right:
            raise ImageError("There is nothing that all photographs show", fix="leave some out, or keep the whole area")
    return AlignedFrames(frames, found, onto, area, match_exposure, keep_full_frame)
