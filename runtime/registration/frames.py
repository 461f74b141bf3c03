"""Register the frames of a stack to one of them, and warp each when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError, ImageError
from fusiongcn_edge.runtime.registration.estimate import MODELS, Alignment, align
from fusiongcn_edge.runtime.registration.focus_order import focus_order, measure_frames, names_of, sharpness
from fusiongcn_edge.runtime.registration.pyramid import LEAST_SIDE, ImagePyramid, ReducedImage, reduced
from fusiongcn_edge.runtime.registration.warp import valid_region, warp
from fusiongcn_edge.runtime.text import pluralize
from fusiongcn_edge.runtime.types import Frames, Matrix, OnStage, Window


@dataclass(frozen=True)
class Registration:
    """The registration of a stack.

    Attributes
    ----------
    alignments : dict of int to Alignment
        That of each frame to the reference, by number; those left out are missing.
    reference : int
        The frame that the others are registered to.
    area : Window
        The part of the reference that is kept.
    """

    alignments: dict[int, Alignment]
    reference: int
    area: Window

    @property
    def numbers(self) -> tuple[int, ...]:
        """The frames that are kept, in the order in which they were given."""
        return tuple(sorted(self.alignments))


class AlignedFrames:
    """Registered frames by number, as :class:`fusiongcn_edge.runtime.types.Frames`; made by :func:`align_frames`.

    A frame is read and warped each time that it is asked for.

    Attributes
    ----------
    numbers : tuple of int
        Which of the frames given these are, in their order; without those that were left out.
    order : tuple of int
        The order of focus, as indices into these frames.
    alignments : tuple of Alignment
        The alignment of each of these frames.
    reference : int
        The frame given that the others are registered to.
    area : Window
        The part of the reference that is shown.
    registration : Registration
        What these are taken from.

    Parameters
    ----------
    frames : Frames
        As they were given.
    registration : Registration
    order : sequence of int
    match_exposure : bool
        Whether all are made as bright as the reference.
    filled : bool
        Whether the reference's pixels are shown where a frame has none. The reference is then read once, when the
        first frame that moves is asked for, and kept: one frame more is in memory.
    """

    def __init__(
        self,
        frames: Frames,
        registration: Registration,
        order: Sequence[int],
        *,
        match_exposure: bool,
        filled: bool,
    ) -> None:
        self.registration, self.numbers, self.order = registration, registration.numbers, tuple(order)
        self.reference, self.area = registration.reference, registration.area
        self.alignments = tuple(registration.alignments[number] for number in self.numbers)
        self._frames, self._match_exposure = frames, match_exposure
        whole = self.area.bottom, self.area.right  # of the reference, if frames are filled
        self._filled = filled and any(alignment.is_significant(*whole) for alignment in self.alignments)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> NDArray[Any]:
        fill = self._reference if self._filled else None
        number = self.numbers[index]
        frame = fill if fill is not None and number == self.reference else self._frames[number]
        return warp(frame, self.alignments[index], self.area, match_exposure=self._match_exposure, fill=fill)

    @cached_property
    def _reference(self) -> NDArray[Any]:
        return self._frames[self.reference]


@dataclass(frozen=True)
class _Search:
    """Finds the alignments of frames to one of them; for the fields see :func:`register_frames`."""

    images: Sequence[ReducedImage]
    names: Sequence[str]
    order: Sequence[int]
    model: str
    match_exposure: bool
    skip_failed: bool
    progress: OnStage

    def onto(self, place: int) -> dict[int, Alignment]:
        """The alignments to the frame that has this place in the order of focus, its own among them."""
        reference = self.order[place]
        base = ImagePyramid(self.images[reference])
        found = {reference: Alignment.none()}
        for direction in (self.order[place + 1 :], self.order[:place][::-1]):  # neighbours in focus are aligned alike
            start = None
            for number in direction:
                alignment = self._against(base, self.names[reference], number, start)
                if alignment is not None:
                    found[number], start = alignment, alignment.matrix
        return found

    def _against(self, base: ImagePyramid, name: str, number: int, start: Matrix | None) -> Alignment | None:
        """The alignment of one frame, ``start`` being a guess; None if it is to be left out."""
        own = self.names[number]
        self.progress(f"registering {own}")
        frame = ImagePyramid(self.images[number])
        alignment = align(base, frame, self.model, start)
        if alignment is None and start is not None:
            alignment = align(base, frame, self.model)
        if alignment is None and not self.skip_failed:
            raise ImageError(
                f"{own} cannot be aligned to {name}, for they hardly show the same",
                fix="give photographs of one scene (of a stack, --skip-failed leaves others out)",
            )
        if alignment is not None and self.match_exposure and math.isnan(alignment.gain):
            if self.skip_failed:
                return None
            raise ImageError(
                f"{own} cannot be made as bright as {name}, for in one of them nearly everything is black or white",
                fix="give others, or leave --match-exposure out",
            )
        return alignment


def register_frames(
    frames: Frames,
    images: Sequence[ReducedImage],
    order: Sequence[int],
    sharpnesses: NDArray[np.float32],
    model: str,
    *,
    names: Sequence[str],
    reference: int | None = None,
    match_exposure: bool = False,
    keep_full_frame: bool = False,
    skip_failed: bool = False,
    progress: OnStage,
) -> AlignedFrames:
    """Register frames by what a pass over them has measured; none of ``frames`` is asked for.

    ``images`` are the reduced gray levels of all frames, ``order`` is that of focus, by the focus measures
    ``sharpnesses`` (float32 N x cells). For the other parameters, the result and what is raised, see
    :func:`align_frames`.
    """
    middle = order.index(reference) if reference is not None else (len(order) - 1) // 2
    onto, found = order[middle], dict[int, Alignment]()
    search = _Search(images, names, order, model, match_exposure, skip_failed, progress)
    for place in sorted(range(len(order)), key=lambda place: abs(place - middle)):
        alignments = search.onto(place)
        if len(alignments) > len(found):
            onto, found = order[place], alignments
        if reference is not None or not skip_failed or 2 * len(found) > len(order):
            break  # most frames show what this one shows: it needs no other to be tried
    if len(found) < 2:
        raise ImageError(f"No photograph can be aligned to {names[onto]}", fix="give photographs of one scene")
    size = images[onto].height, images[onto].width
    area = Window(0, size[0], 0, size[1])
    if not keep_full_frame:
        area = reduce(Window.within, (valid_region(alignment, *size) for alignment in found.values()), area)
        if area.top >= area.bottom or area.left >= area.right:
            raise ImageError("There is nothing that all photographs show", fix="leave some out, or keep the whole area")
    registration = Registration(found, onto, area)
    if len(found) < len(order):  # indices into the frames that are kept
        order = focus_order(sharpnesses[list(registration.numbers)])
    return AlignedFrames(frames, registration, order, match_exposure=match_exposure, filled=keep_full_frame)


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
    """Register frames of one scene, focused at different depths, to one of them.

    Parameters
    ----------
    frames : sequence of uint8 or uint16 arrays H x W, H x W x 3 or H x W x 4
        As :meth:`fusiongcn_edge.runtime.fuser.Fuser.fuse_stack` takes them, but for their alignment. Each is asked for
        once, and no more than two are kept, beside gray levels of at most 1024 x 1024 pixels of each.
    model : one of :data:`fusiongcn_edge.runtime.registration.estimate.MODELS`
    names : sequence of str, optional
        What errors call the frames; default: their numbers, from 1 on.
    reference : int, optional
        The frame that the others are registered to; default: the middle one in the order of focus, so that the order in
        which the frames are given decides nothing. If frames may be left out and most cannot be registered to that one,
        the one nearest to it, in the order of focus, to which they can.
    match_exposure : bool
        Make all as bright as the reference.
    keep_full_frame : bool
        Show all of the reference, with its own pixels where a frame has none; default: what all frames show.
    skip_failed : bool
        Leave out a frame that cannot be registered, instead of refusing.
    progress : callable, optional
        Called with a few words about each step as it starts.

    Returns
    -------
    AlignedFrames
        Reads and warps a frame when it is asked for. :meth:`fusiongcn_edge.runtime.fuser.Fuser.fuse_stack` asks for
        each once, for their order of focus is known: every frame is read twice in all.

    Raises
    ------
    ImageError
        If the frames do not go together, one cannot be registered or made as bright, or there is nothing that all of
        them show.
    FusionError
        If there is no such model or reference.
    """
    if model not in MODELS:
        raise FusionError(f"There is no alignment {model!r}", fix=f"choose one of {', '.join(MODELS)}")
    if reference is not None and not 0 <= reference < len(frames):
        raise FusionError(f"There is no frame {reference}", fix=f"give a reference from 0 to {len(frames) - 1}")
    names = names_of(frames, names)
    if len(frames) < 2:
        raise ImageError(f"{pluralize(len(frames), 'photograph')} cannot be aligned", fix="give at least 2")
    progress = progress or (lambda text: None)
    smallest = 1 if model == "none" else LEAST_SIDE
    measured = measure_frames(
        frames.__getitem__, names, smallest, lambda frame: (sharpness(frame), reduced(frame)), progress
    )
    rows = np.stack([row for row, _ in measured])
    return register_frames(
        frames,
        [image for _, image in measured],
        focus_order(rows),
        rows,
        model,
        names=names,
        reference=reference,
        match_exposure=match_exposure,
        keep_full_frame=keep_full_frame,
        skip_failed=skip_failed,
        progress=progress,
    )
