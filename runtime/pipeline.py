"""From image files to fused files: the one sequence behind every command that fuses.

Check names and outputs, decode, register, warn, fuse, encode, write. A frame of a stack is decoded twice: once for all
that is found out about it, and once, in the order of focus, to be warped and fused. A pair is decoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.fuser import DEFAULT_MODEL, STAGES, Fuser, check_limits, open_bundle
from fusiongcn_edge.runtime.fusion.depth_map import frame_colours
from fusiongcn_edge.runtime.fusion.preview import contact_sheet
from fusiongcn_edge.runtime.fusion.stack import MOST_FRAMES, check_frame_count
from fusiongcn_edge.runtime.io.encode import check_format
from fusiongcn_edge.runtime.io.files import check_no_overwrite, write_files
from fusiongcn_edge.runtime.io.images import KEEPING_METADATA, Encoding, check_writable, encode_images, read_photograph
from fusiongcn_edge.runtime.io.metadata import Metadata
from fusiongcn_edge.runtime.registration.checks import SIDE, THOROUGH_SIDE, input_warnings
from fusiongcn_edge.runtime.registration.frames import Registration, register_frames
from fusiongcn_edge.runtime.registration.overview import Overview, overview
from fusiongcn_edge.runtime.registration.pyramid import LEAST_SIDE
from fusiongcn_edge.runtime.types import Frames, OnStage

PREVIEW_HEIGHT = 400  # pixels
Pictures = dict[str | PathLike[str], NDArray[Any]]
Files = Mapping[str | PathLike[str], bytes]


@dataclass(frozen=True)
class FuseOptions:
    """How files are fused and written.

    Attributes
    ----------
    model, engine, threads, max_memory
        As :meth:`fusiongcn_edge.runtime.fuser.Fuser.open` takes them.
    align : one of :data:`fusiongcn_edge.runtime.registration.estimate.MODELS`
    match_exposure, skip_failed : bool
        As :func:`fusiongcn_edge.runtime.registration.frames.align_frames` takes them.
    no_crop : bool
        Show all of the reference, with its own pixels where a registered frame has none.
    check_registration : bool
        Warn about differences in scale and rotation, too, if frames are not aligned.
    encoding : Encoding
    """

    model: str = DEFAULT_MODEL
    engine: str | None = None
    threads: int | None = None
    max_memory: float | None = None
    align: str = "none"
    match_exposure: bool = False
    no_crop: bool = False
    skip_failed: bool = False
    check_registration: bool = False
    encoding: Encoding = field(default_factory=Encoding)

    @property
    def registers(self) -> bool:
        """Whether frames are compared with a reference at all."""
        return self.align != "none" or self.match_exposure


@dataclass(frozen=True)
class PairOutputs:
    """The files to write of a pair: the fused image, and optionally the decision map (white: the first), the focus
    probability (8 bits) and a small picture of all of these."""

    fused: str
    decision_map: str | None = None
    probability: str | None = None
    preview: str | None = None

    @property
    def paths(self) -> list[str]:
        """The files asked for."""
        return [path for path in (self.fused, self.decision_map, self.probability, self.preview) if path is not None]


@dataclass(frozen=True)
class StackOutputs:
    """The files to write of a stack: the fused image, and optionally the depth-index map (16 bits: the number of the
    photograph that a pixel is from) and that in colours."""

    fused: str
    depth_map: str | None = None
    depth_preview: str | None = None

    @property
    def paths(self) -> list[str]:
        """The files asked for."""
        return [path for path in (self.fused, self.depth_map, self.depth_preview) if path is not None]


@dataclass(frozen=True)
class FilesResult:
    """What was done with files.

    Attributes
    ----------
    paths : sequence of str
        The photographs given; elsewhere they are named by their numbers, from 0 on.
    height, width : int
        Pixels of the fused image.
    order : tuple of int
        The photographs that were fused, in the order of focus; of a pair, 0 and 1.
    registration : Registration or None
        The alignments of these to the reference; None if nothing was to be registered.
    first_share : float or None
        Of a pair, the share of pixels in which the first photograph is the sharper.
    warnings : tuple of str
        A sentence on each thing that is odd about the photographs.
    timings : dict of str to float
        Seconds spent in ``read``, ``register``, ``fuse`` and ``write``.
    """

    paths: Sequence[str]
    height: int
    width: int
    order: tuple[int, ...]
    registration: Registration | None
    first_share: float | None
    warnings: tuple[str, ...]
    timings: dict[str, float]

    @property
    def left_out(self) -> list[int]:
        """The photographs that could not be registered."""
        return [number for number in range(len(self.paths)) if number not in self.order]

    @property
    def seconds(self) -> float:
        """Seconds that all of it took."""
        return sum(self.timings.values())


def check_outputs(paths: Sequence[str], outputs: PairOutputs | StackOutputs) -> None:
    """Refuse outputs that replace a photograph or another output, and maps that cannot be written.

    Raises
    ------
    ImageError, OutputError
    """
    check_no_overwrite(paths, outputs.paths)
    for path, picture in _maps(outputs, (1, 1)):
        check_writable(path, picture)


def _maps(outputs: PairOutputs | StackOutputs, size: tuple[int, ...]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The paths of the maps asked for, each with a picture of its type and of this height and width; a preview, which
    is reduced, with a small one."""
    for path in outputs.paths[1:]:
        depth_map = isinstance(outputs, StackOutputs) and path == outputs.depth_map
        reduced = isinstance(outputs, PairOutputs) and path == outputs.preview
        yield path, np.broadcast_to(np.uint16(0) if depth_map else np.uint8(0), (1, 1) if reduced else size)


def check_model(options: FuseOptions) -> Bundle:
    """Open the bundle that the options name. Refuses what opening a fuser would refuse, but loads no engine: it takes
    hardly any memory."""
    bundle = open_bundle(options.model, options.engine)
    check_limits(bundle, options.threads, options.max_memory)
    return bundle


def open_fuser(options: FuseOptions) -> Fuser:
    """Open the model that the options name on its engine."""
    return Fuser.open(options.model, engine=options.engine, threads=options.threads, max_memory=options.max_memory)


def fuse_files(
    paths: Sequence[str],
    outputs: PairOutputs | StackOutputs,
    options: FuseOptions | None = None,
    *,
    fuser: Fuser | None = None,
    progress: OnStage = lambda text: None,
    warn: Callable[[Sequence[str]], None] = lambda warnings: None,
    write: Callable[[Files, FilesResult], None] = lambda files, result: write_files(files),
) -> FilesResult:
    """Fuse photographs and write the results: all of the files asked for, or none.

    Parameters
    ----------
    paths : sequence of str
        The photographs, of one size: two for ``PairOutputs``, any number for ``StackOutputs``.
    outputs : PairOutputs or StackOutputs
        Decides whether the photographs are fused as a pair, the second registered to the first, or as a stack.
    options : FuseOptions, optional
    fuser : Fuser, optional
        An open one, in place of the model and engine that ``options`` name; default: one is opened when the frames are
        registered, and closed before the results are encoded.
    progress : callable, optional
        Called with a few words about each step as it starts.
    warn : callable, optional
        Called once, before fusion starts, with ``FilesResult.warnings``.
    write : callable, optional
        Called with the encoded files and the result, to write them; default: ``write_files``.

    Raises
    ------
    FusionError
        If something cannot be read, registered, fused or written; see :func:`read_photograph`, :func:`align_frames`,
        :meth:`Fuser.fuse` and :func:`write_files`.
    """
    options, pair, timings = options or FuseOptions(), isinstance(outputs, PairOutputs), dict[str, float]()
    with _timed(timings, "read"):
        check_outputs(paths, outputs)
        for path in (path for path in paths if not Path(path).exists()):
            read_photograph(path)  # says that it is missing, before it is said that there are too few
        check_frame_count(len(paths), 2 if pair else MOST_FRAMES)
        bundle = check_model(options) if fuser is None else fuser.bundle
        seen = _seen(paths, outputs, options, bundle.minimum_size, pair, progress)
    with _timed(timings, "register"):
        frames, registration, order = _registered(seen, options, pair, progress)
        numbers = tuple(range(len(paths))) if registration is None else registration.numbers
        in_focus = tuple(numbers[index] for index in order)
        warnings = _warnings(seen, in_focus, outputs.fused, options)
        metadata = seen.metadata[numbers[0]]
        del seen  # with the photographs of a pair as they were: their memory is needed
    warn(warnings)
    with _timed(timings, "fuse"):
        fuser = fuser or Fuser(bundle, engine=options.engine, threads=options.threads, max_memory=options.max_memory)
        if isinstance(outputs, PairOutputs):
            pictures, first_share = _fuse_pair(fuser, frames, outputs, progress)
        else:
            pictures, first_share = _fuse_stack(fuser, frames, order, numbers, len(paths), outputs, progress), None
        del fuser, frames  # their memory is needed for encoding
    height, width = pictures[outputs.fused].shape[:2]
    result = FilesResult(paths, height, width, in_focus, registration, first_share, tuple(warnings), timings)
    with _timed(timings, "write"):
        write(encode_images(pictures, options.encoding, {outputs.fused: metadata}), result)
    return result


@contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    start = perf_counter()
    yield
    timings[name] = perf_counter() - start


def _seen(
    paths: Sequence[str],
    outputs: PairOutputs | StackOutputs,
    options: FuseOptions,
    minimum_size: int,
    pair: bool,
    progress: OnStage,
) -> Overview:
    """Make the first pass over the photographs; what is of the first one's size and kind must be writable."""
    aligned = options.align != "none"

    def check_first(pixels: NDArray[Any]) -> None:
        check_writable(outputs.fused, pixels)
        for path, picture in _maps(outputs, pixels.shape[:2]):
            check_format(path, picture)  # its place was looked at when nothing was read yet

    return overview(
        paths,
        pair=pair,
        registers=options.registers,
        may_skip=options.skip_failed,
        minimum_size=max(minimum_size, LEAST_SIDE if aligned else 1),
        thumbnail_side=THOROUGH_SIDE if options.check_registration and not aligned else SIDE,
        check_first=check_first,
        progress=progress,
    )


def _registered(
    seen: Overview, options: FuseOptions, pair: bool, progress: OnStage
) -> tuple[Frames, Registration | None, Sequence[int]]:
    """The frames to fuse, as they are or warped to one of them (of a pair, now), and their order of focus."""
    if not options.registers:
        return seen.frames, None, seen.order
    aligned = register_frames(
        seen.frames,
        seen.reduced,
        seen.order,
        seen.sharpness,
        options.align,
        names=seen.paths,
        reference=0 if pair else None,
        match_exposure=options.match_exposure,
        keep_full_frame=options.no_crop,
        skip_failed=options.skip_failed,
        progress=progress,
    )
    return [aligned[0], aligned[1]] if pair else aligned, aligned.registration, aligned.order


def _warnings(seen: Overview, kept: Sequence[int], output: str, options: FuseOptions) -> list[str]:
    """What is odd about the photographs that are ``kept``, in the order of focus, and about writing them."""
    paths, first = seen.paths, min(kept)
    found = input_warnings(
        [paths[number] for number in kept],
        [seen.thumbnails[number] for number in kept],
        aligned=options.align != "none",
        match_exposure=options.match_exposure,
        thorough=options.check_registration,
    )
    other = next((n for n in sorted(kept) if seen.profiles[n] != seen.profiles[first]), None)
    if other is not None:
        found.append(
            f"{paths[first]} and {paths[other]} have different colour profiles: convert them to the same one, "
            "or colours change where the result changes from one to the other."
        )
    if seen.metadata[first] != Metadata() and Path(output).suffix.lower() not in KEEPING_METADATA:
        found.append(f"{output} keeps neither EXIF nor colour profile: use .jpg, .png or .tif if they matter.")
    return found


def _fuse_pair(fuser: Fuser, frames: Frames, outputs: PairOutputs, progress: OnStage) -> tuple[Pictures, float]:
    """The pictures to write, and the share of the first photograph."""
    first, second = frames[0], frames[1]
    steps = {stage: f"[{number}/{len(STAGES)}] {stage}" for number, stage in enumerate(STAGES, start=1)}
    result = fuser.fuse(
        first,
        second,
        progress=lambda stage: progress(steps[stage]),
        share=lambda done: progress(f"{steps['cnn']}, {done:.0%}"),
    )
    decision = result.decision.astype(np.uint8) * 255
    pictures: Pictures = {outputs.fused: result.image}
    if outputs.decision_map is not None:
        pictures[outputs.decision_map] = decision
    if outputs.probability is not None:
        pictures[outputs.probability] = np.rint(result.probability * 255).astype(np.uint8)
    if outputs.preview is not None:
        panels = [("first photograph", first), ("second photograph", second)]
        panels += [("decision (white: first)", decision), ("fused", result.image)]
        pictures[outputs.preview] = contact_sheet(panels, PREVIEW_HEIGHT)
    return pictures, float(result.decision.mean())


def _fuse_stack(
    fuser: Fuser,
    frames: Frames,
    order: Sequence[int],
    numbers: Sequence[int],
    count: int,
    outputs: StackOutputs,
    progress: OnStage,
) -> Pictures:
    """The pictures to write. ``order`` is that of ``frames``, which have these ``numbers`` among all photographs."""
    result = fuser.fuse_stack(frames, order=order, progress=progress)
    pictures: Pictures = {outputs.fused: result.image}
    source = result.source_index if len(numbers) == count else np.array(numbers, np.uint16)[result.source_index]
    if outputs.depth_map is not None:
        pictures[outputs.depth_map] = source
    if outputs.depth_preview is not None:
        pictures[outputs.depth_preview] = frame_colours(source, count)
    return pictures
