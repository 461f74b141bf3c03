"""Fuse arrays: a pair of photographs, or a stack of frames, with one model on one engine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from threading import Lock
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import PUBLISHED, SIMULTANEOUS, Bundle
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.engines.base import (
    Engine,
    GraphHook,
    TracingEngine,
    bundle_engine,
    get_engine,
    installed_engines,
)
from fusiongcn_edge.runtime.errors import BundleError, EngineError, FusionError, ran_out_of_memory
from fusiongcn_edge.runtime.fusion.blending import blend, select
from fusiongcn_edge.runtime.fusion.decision_map import decision_map
from fusiongcn_edge.runtime.fusion.stack import StackResult, check_frame_count, fold
from fusiongcn_edge.runtime.io.validation import check_pair
from fusiongcn_edge.runtime.networks.registry import open_network
from fusiongcn_edge.runtime.registration.focus_order import focus_order, measure_frames, names_of, sharpness
from fusiongcn_edge.runtime.registration.frames import AlignedFrames
from fusiongcn_edge.runtime.system.resources import default_threads
from fusiongcn_edge.runtime.types import Frames, OnProgress, OnStage

DEFAULT_MODEL = "fusiongcn-lite"
MOST_THREADS = 64  # or as many as the machine has processors; far more only makes an engine hang
ROUNDING = 1e-3  # by which a probability may lie beyond 0 or 1
STAGES = ("superpixels", "graph", "gcn", "cnn", "decision")


@dataclass(frozen=True)
class FusionResult:
    """The result of fusing a pair.

    Attributes
    ----------
    image : uint8 or uint16, shape of the inputs
        The fused photograph.
    decision : bool H x W
        True where the first photograph is the sharper. A model that fuses hard takes it there; one that fuses soft (its
        bundle says which) mixes both by ``probability``.
    probability : float32 H x W in [0, 1]
        How surely the first photograph is the sharp one.
    superpixels : int32 H' x W'
        The superpixels: one label for ``superpixel_stride`` x ``superpixel_stride`` pixels.
    superpixel_stride : int
        Pixels along each side of the square that one label of ``superpixels`` covers.
    timings : dict
        Seconds spent in each of ``STAGES``.
    """

    image: NDArray[Any]
    decision: NDArray[np.bool_]
    probability: NDArray[np.float32]
    superpixels: NDArray[np.int32]
    superpixel_stride: int
    timings: dict[str, float]

    @property
    def labels(self) -> NDArray[np.int32]:
        """The superpixel of each pixel, int32 H x W."""
        labels = self.superpixels.repeat(self.superpixel_stride, axis=0).repeat(self.superpixel_stride, axis=1)
        return labels[: self.decision.shape[0], : self.decision.shape[1]]


def open_bundle(model: str | os.PathLike[str], engine: str | None = None) -> Bundle:
    """The bundle that :meth:`Fuser.open` would open, for this engine or, without a name, for one that is installed.

    Raises :class:`BundleError` as :func:`load_bundle` does, and if the bundle is made for another engine.
    """
    bundle = load_bundle(model, installed_engines() if engine is None else [bundle_engine(engine)])
    _check_engine(bundle, engine)
    return bundle


def _check_engine(bundle: Bundle, engine: str | None) -> None:
    if engine is not None and bundle_engine(engine) != bundle.engine:
        raise BundleError(
            f"The bundle {bundle.path} is made for the engine {bundle.engine!r}, not {engine!r}",
            fix="name no engine, or export the model for that one",
        )


def check_limits(bundle: Bundle, threads: int | None, max_memory: float | None) -> None:
    """Refuse, with a FusionError, threads and memory that :class:`Fuser` cannot be opened with."""
    most = max(MOST_THREADS, os.cpu_count() or 1)
    if threads is not None and not (isinstance(threads, Integral) and 1 <= threads <= most):
        raise FusionError(f"{threads!r} threads cannot be used", fix=f"give a number from 1 to {most}")
    if max_memory is not None and not (isinstance(max_memory, Real) and 0 < max_memory < 1e12):
        raise FusionError(f"{max_memory!r} MB of memory cannot be used", fix="give a number above 0")
    if max_memory is not None and bundle.network == PUBLISHED and not bundle.stages:
        raise FusionError(
            "This model's CNN is one graph and takes the memory it takes", fix="export it in stages, or set no limit"
        )


class Fuser:
    """A model opened on an engine, ready to fuse pairs of photographs.

    For the arguments see :meth:`open`; ``watch`` is told of every run of a graph (graph, inputs), in the thread that
    runs it.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: str | None = None,
        threads: int | None = None,
        max_memory: float | None = None,
        watch: GraphHook | None = None,
    ) -> None:
        _check_engine(bundle, engine)
        check_limits(bundle, threads, max_memory)
        self.bundle = bundle
        self.threads = default_threads() if threads is None else int(threads)
        self.engine: Engine = get_engine(engine or bundle.engine)
        self.engine.check_precision(bundle.precision)
        if watch is not None:
            self.engine = TracingEngine(self.engine, watch)
        limit = None if max_memory is None else int(max_memory * 1e6)
        self.network = open_network(bundle, self.engine, self.threads, limit)

    @classmethod
    def open(
        cls,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        engine: str | None = None,
        threads: int | None = None,
        max_memory: float | None = None,
    ) -> Fuser:
        """Open a shipped model by name or a bundle by path.

        Parameters
        ----------
        model : str or path
        engine : str, optional
            ``"onnx"`` or ``"litert"``; default: the one the bundle is made for and, for a shipped model, the first of
            these that is installed. On a GPU, where the library can: ``"onnx-cuda"`` or ``"onnx-tensorrt"``.
        threads : int, optional
            Threads of the CNN and of OpenCV; default: the fast physical cores that this process may use.
        max_memory : float, optional
            MB (10^6 bytes) that the whole process may hold, as far as the system tells what it holds (Linux does);
            default: what the system has free. With less memory the answer is the same, and takes longer.

        Raises
        ------
        FusionError
            If threads or memory make no sense.
        BundleError, EngineError
            See :func:`fusiongcn_edge.runtime.bundle.reader.load_bundle` and
            :func:`fusiongcn_edge.runtime.engines.base.get_engine`.
        """
        return cls(open_bundle(model, engine), engine=engine, threads=threads, max_memory=max_memory)

    def fuse(
        self,
        first: NDArray[Any],
        second: NDArray[Any],
        *,
        progress: OnStage | None = None,
        share: OnProgress | None = None,
        hard: bool = False,
    ) -> FusionResult:
        """Fuse two photographs of one scene, aligned to each other and focused at different depths.

        Parameters
        ----------
        first, second : uint8 or uint16 H x W, H x W x 3 (BGR) or H x W x 4 (BGR and alpha)
            Same shape and type. Alpha is not looked at; it is taken from the same photograph as the colour.
        progress : callable, optional
            Called with the name of each stage (``STAGES``) as it starts.
        share : callable, optional
            Called with how much of the stage ``cnn`` is done, 0 to 1, where that takes several steps.
        hard : bool
            Take every pixel from the sharper photograph, whatever the bundle says.

        Raises
        ------
        ImageError
            If the arrays cannot be fused.
        EngineError
            If the model's graphs do not give what its bundle says.
        FusionError
            If ``max_memory``, or the memory that there is, does not suffice for photographs of this size.
        """
        check_pair(first, second, self.bundle.minimum_size)
        try:
            with _opencv_threads(self.threads):
                return self._fuse(first, second, progress, share, hard)
        except (MemoryError, RuntimeError, cv2.error) as error:
            if not ran_out_of_memory(error) and "can't start new thread" not in str(error):
                raise
            raise FusionError(
                "Memory ran out",
                found=f"{str(error).splitlines()[0] if str(error) else 'no more could be had'}",
                fix="use smaller photographs or close other programs",
            ) from None

    def _fuse(
        self,
        first: NDArray[Any],
        second: NDArray[Any],
        progress: OnStage | None,
        share: OnProgress | None,
        hard: bool,
    ) -> FusionResult:
        timings: dict[str, float] = {}

        @contextmanager
        def stage(name: str) -> Iterator[None]:
            if progress is not None:
                progress(name)
            start = perf_counter()
            yield
            timings[name] = perf_counter() - start

        network, (height, width) = self.network, first.shape[:2]
        with stage("superpixels"):
            seen = network.preprocess(first, second)
            labels = network.superpixels(seen)
        with stage("graph"):
            graph = network.graph(seen, labels)
            pixels = network.pixels(seen)
            del seen  # what only superpixels and graph needed
        with stage("gcn"):
            embeddings = network.embed(graph)
            del graph
        with stage("cnn"):
            probability = network.classify(pixels, labels, embeddings, share)[:height, :width]
            del pixels
            least, most = probability.min(), probability.max()
            if not (least >= -ROUNDING and most <= 1 + ROUNDING):  # nor if one is no number
                raise EngineError(
                    f"The model {self.bundle.path} gives what are no probabilities", fix="export it again"
                )
            if least < 0 or most > 1:
                probability = probability.clip(0, 1)
        with stage("decision"):
            bundle = self.bundle
            decision = decision_map(
                probability, bundle.threshold, bundle.smallest_component, bundle.component_removal == SIMULTANEOUS
            )
            if bundle.blend == "soft" and not hard:
                image = blend(first, second, probability, decision, bundle.threshold)
            else:
                image = select(first, second, decision)
        return FusionResult(image, decision, probability, labels, network.superpixel_stride, timings)

    def fuse_stack(
        self,
        frames: Frames,
        *,
        names: Sequence[str] | None = None,
        order: Sequence[int] | None = None,
        progress: OnStage | None = None,
    ) -> StackResult:
        """Fuse any number of photographs of one scene, aligned to each other and focused at different depths.

        Parameters
        ----------
        frames : sequence of arrays as :meth:`fuse` takes them
            Each is asked for twice and no more than two are kept, so that a class may read its photographs when
            asked for them. Their order decides nothing but the numbers in ``StackResult.source_index``.
            What :func:`align_frames` returns knows its order of focus: each is asked for once.
        names : sequence of str, optional
            What errors call the frames; default: their numbers, from 1 on.
        order : sequence of int, optional
            The frames in the order of focus, where it is known: each is asked for once then.
        progress : callable, optional
            Called with a few words about each step as it starts.

        Raises
        ------
        ImageError
            If the frames cannot be fused.
        FusionError
            See :meth:`fuse`.
        """
        check_frame_count(len(frames))
        tell = progress or (lambda text: None)
        if order is None and isinstance(frames, AlignedFrames):
            order = frames.order
        if order is None:
            names, smallest = names_of(frames, names), self.bundle.minimum_size
            order = focus_order(np.stack(measure_frames(frames.__getitem__, names, smallest, sharpness, tell)))

        def compare(composite: NDArray[Any], frame: NDArray[Any], step: str) -> FusionResult:
            return self.fuse(
                composite,
                frame,
                progress=lambda stage: tell(f"{step} {stage}"),
                share=lambda done: tell(f"{step} cnn, {done:.0%}"),
                hard=True,
            )

        return fold(frames, order, compare, self.bundle.threshold if self.bundle.blend == "soft" else None)


_opencv = Lock()
_fusing = 0  # fusions under way in this process
_opencv_threads_before = 0


@contextmanager
def _opencv_threads(threads: int) -> Iterator[None]:
    """Let OpenCV use so many threads, which is a setting of the process; the last fusion to end restores it."""
    global _fusing, _opencv_threads_before
    with _opencv:
        if _fusing == 0:
            _opencv_threads_before = cv2.getNumThreads()
        _fusing += 1
        cv2.setNumThreads(threads)
    try:
        yield
    finally:
        with _opencv:
            _fusing -= 1
            if _fusing == 0:
                cv2.setNumThreads(_opencv_threads_before)
