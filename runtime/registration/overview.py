"""Decode photographs once, and keep what warnings, the order of focus and registration need of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.io.images import read_image, read_photograph
from fusiongcn_edge.runtime.io.metadata import Metadata
from fusiongcn_edge.runtime.io.validation import Layout, check_layouts
from fusiongcn_edge.runtime.registration.checks import Thumbnail, thumbnail_of
from fusiongcn_edge.runtime.registration.focus_order import focus_order, measure_frames, sharpness
from fusiongcn_edge.runtime.registration.pyramid import ReducedImage, reduced
from fusiongcn_edge.runtime.types import Frames, OnStage


@dataclass(frozen=True)
class Overview:
    """What is known of photographs after each was decoded once.

    Attributes
    ----------
    paths : sequence of str
    frames : Frames
        The pixels of a pair, or the photographs of a stack, decoded anew whenever they are asked for.
    thumbnails : list of Thumbnail
    reduced : list of ReducedImage
        What frames are registered by; empty if they are not to be.
    sharpness : float32 N x cells
        The focus measure of each frame of a stack; empty for a pair.
    order : list of int
        The order of focus; of a pair, the order given.
    metadata : dict of int to Metadata
        Of the first photograph, and of all if some of them may be left out.
    profiles : list of int
        Of each photograph, a hash of its colour profile.
    """

    paths: Sequence[str]
    frames: Frames
    thumbnails: list[Thumbnail]
    reduced: list[ReducedImage]
    sharpness: NDArray[np.float32]
    order: list[int]
    metadata: dict[int, Metadata]
    profiles: list[int]


def overview(
    paths: Sequence[str],
    *,
    pair: bool,
    registers: bool,
    may_skip: bool,
    minimum_size: int,
    thumbnail_side: int,
    check_first: Callable[[NDArray[Any]], None],
    progress: OnStage,
) -> Overview:
    """Decode photographs once, and check that they go together.

    Parameters
    ----------
    paths : sequence of str
    pair : bool
        Keep the pixels, and take the order as it is given.
    registers, may_skip : bool
        Whether the frames are to be registered, and may be left out if they cannot.
    minimum_size : int
        Pixels that a photograph must have on each side.
    thumbnail_side : int
    check_first : callable
        Is given the pixels of the first photograph before the others are read, to refuse what cannot be done with them.
    progress : callable

    Raises
    ------
    ImageError
        If one cannot be read, or they do not go together.
    """
    files = _FirstPass(paths, may_skip, check_first)
    pixels = [files.read(number) for number in range(len(paths))] if pair else []

    def measure(frame: NDArray[Any]) -> _Measured:
        image = reduced(frame) if registers else None
        return _Measured(thumbnail_of(frame, thumbnail_side), image, None if pair else sharpness(frame))

    measured = measure_frames(pixels.__getitem__ if pair else files.read, paths, minimum_size, measure, progress)
    rows = [frame.sharpness for frame in measured if frame.sharpness is not None]
    table = np.stack(rows) if rows else np.empty((0, 0), np.float32)
    return Overview(
        paths,
        pixels if pair else _Files(paths),
        [frame.thumbnail for frame in measured],
        [frame.reduced for frame in measured if frame.reduced is not None],
        table,
        list(range(len(paths))) if pair else focus_order(table),
        files.metadata,
        files.profiles,
    )


class _Measured(NamedTuple):
    thumbnail: Thumbnail
    reduced: ReducedImage | None
    sharpness: NDArray[np.float32] | None


@dataclass(frozen=True)
class _Files:
    """Photographs by number, decoded each time that they are asked for."""

    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> NDArray[Any]:
        return read_image(self.paths[number])


@dataclass
class _FirstPass:
    """Reads photographs, the first one first, and notes what their files say besides; for the fields see
    :func:`overview`."""

    paths: Sequence[str]
    may_skip: bool
    check_first: Callable[[NDArray[Any]], None]
    metadata: dict[int, Metadata] = field(default_factory=dict)
    profiles: list[int] = field(default_factory=list)
    layouts: dict[str, Layout] = field(default_factory=dict)

    def read(self, number: int) -> NDArray[Any]:
        path = self.paths[number]
        photograph = read_photograph(path)
        if number == 0:
            self.check_first(photograph.pixels)
        self.layouts[path] = photograph.layout
        check_layouts(self.layouts)
        if number == 0 or self.may_skip:  # they may be large
            self.metadata[number] = photograph.metadata
        self.profiles.append(hash(photograph.metadata.profile))
        return photograph.pixels
