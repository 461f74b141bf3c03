"""The CNN in row bands: a chain of stage graphs with sums over the whole image between them.

A bundle may hold the CNN as stages (``export/stages.py`` makes them) instead of one graph. Each stage reads rows of
images that earlier stages gave and gives rows of its own; what it needs to know of the whole image are means and
variances, which come from sums that earlier stages collected. So the working set is a few rows, however large the
photograph is. What is kept between stages and what is computed again is decided by the memory that there is
(:func:`plan`); the result is the same, bit for bit.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle import Bundle, Stage
from fusiongcn_edge.runtime.engines.base import OpenGraph
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.graph import superpixel_patterns
from fusiongcn_edge.runtime.machine import free_memory, resident_memory

Array = NDArray[Any]
BAND_PIXELS = 8192  # of a stage's outputs: small enough for a core's cache, large enough that calls do not count
LEAST_ROWS = 8
RESULT = "probability"
FLOATS_PER_PIXEL = 600  # that a stage needs at most at once, for a pixel of its band with its crop


class BandedCnn:
    """The stages of a bundle, opened."""

    def __init__(self, bundle: Bundle, open_graph: Callable[[str], OpenGraph], threads: int) -> None:
        self.bundle = bundle
        self._graphs = {stage.graph: open_graph(stage.graph) for stage in bundle.stages}
        self._threads = threads

    def run(
        self,
        images: NDArray[np.float32],
        labels: NDArray[np.int32],
        shallow: NDArray[np.float32],
        deep: NDArray[np.float32],
        memory: int | None,
    ) -> NDArray[np.float32]:
        """The probability H x W of a pair.

        Parameters
        ----------
        images : float32 2 x 3 x H x W
        labels : int32 H x W
            Superpixels.
        shallow, deep : float32 2 x N x C
            Their embeddings.
        memory : int, optional
            Bytes that may be used beyond what the process holds; default: what the system has free, or as little as
            possible if that does not suffice.

        Raises
        ------
        FusionError
            If ``memory`` is given and does not suffice.
        """
        places, patterns = superpixel_patterns(labels)
        tables = self._graphs[self.bundle.stages[0].graph].run(
            {
                "shallow": shallow,
                "deep": deep,
                "counts": np.bincount(labels.ravel()).astype(np.float32),
                "patterns": patterns,
            }
        )
        height, width = labels.shape
        chosen = plan(self.bundle, height, width, free_memory() if memory is None else memory, self._threads)
        if memory is not None and chosen.bytes > memory:
            raise FusionError(
                f"Photographs of {width}x{height} need about {(resident_memory() + chosen.bytes) / 1e6:.0f} MB: "
                "allow more memory, or use smaller ones."
            )
        rows = {"images": images, "labels": labels, "places": places}
        return _Pass(self.bundle, self._graphs, tables, rows, chosen).probability()


@dataclass(frozen=True)
class Plan:
    """How a pair goes through the stages."""

    kept: frozenset[str]  # images that are kept whole; others are computed again where they are read
    threads: int
    bytes: int  # at most at once


def plan(bundle: Bundle, height: int, width: int, memory: int, threads: int) -> Plan:
    """The fastest way that fits into ``memory`` bytes; the leanest if none does.

    Images are given up in the order that the bundle states (``keep``: cheapest first), then threads.
    """
    candidates = [
        _plan(bundle, height, width, bundle.keep[given_up:], n)
        for n in dict.fromkeys((threads, 1))
        for given_up in range(len(bundle.keep) + 1)
    ]
    return next((c for c in candidates if c.bytes <= memory), candidates[-1])


def _plan(bundle: Bundle, height: int, width: int, keep: tuple[str, ...], threads: int) -> Plan:
    kept = frozenset((*keep, RESULT))
    stages = bundle.stages[1:]
    channels = {
        name: math.prod(d for d in shape if isinstance(d, int))
        for stage in stages
        for name, (_, shape) in bundle.graphs[stage.graph].outputs.items()
        if name in kept
    }
    live: set[str] = set()
    most = 0
    for number, stage in enumerate(stages):
        if swept(stage, kept):
            live |= kept & set(stage.outputs)
            most = max(most, sum(channels[name] for name in live))
            live &= still_read(stages[number + 1 :], kept, stages) | {RESULT}
    rows = max(band_rows(stage, width) + 2 * stage.crop for stage in stages)
    deep = 1 + (len(keep) < len(bundle.keep))  # what is computed again is held beside what it is computed for
    working = threads * FLOATS_PER_PIXEL * deep * min(rows, height) * width
    return Plan(kept, threads, 4 * (most * height * width + working))


def swept(stage: Stage, kept: frozenset[str]) -> bool:
    """Whether a stage is run over the whole image for its own sake, not only where another one reads its output."""
    return bool(stage.sums) or not kept.isdisjoint(stage.outputs)


def still_read(later: Sequence[Stage], kept: frozenset[str], stages: Sequence[Stage]) -> set[str]:
    """Names of the images that later stages read, directly or through what has to be computed again."""
    producer = {name: stage for stage in stages for name in stage.outputs}
    needed: set[str] = set()
    found = [name for stage in later if swept(stage, kept) for name in stage.inputs]
    while found:
        name = found.pop()
        if name not in needed and name not in kept and name in producer:
            found += producer[name].inputs
        needed.add(name)
    return needed


def band_rows(stage: Stage, width: int) -> int:
    """Rows of a stage's outputs that are computed at once; more where much is cut off."""
    rows = max(LEAST_ROWS, BAND_PIXELS // width)
    return max(rows, 4 * stage.crop, min(8 * stage.crop, 4 * rows))


class Image:
    """Rows of H x W or n x C x H x W, kept as the bands they were computed in."""

    def __init__(self, bands: list[Array], outside: int = 0) -> None:
        self._bands, self._axis, self._outside = bands, _row_axis(bands[0].shape), outside
        self._starts = np.cumsum([0, *(band.shape[self._axis] for band in bands)]).tolist()

    def read(self, first: int, last: int) -> Array:
        """Rows ``first`` to ``last``, also beyond the edges; a band that was kept as it is is not copied."""
        starts = self._starts
        begin = max(bisect_right(starts, first) - 1, 0)
        if begin < len(self._bands) and (first, last) == (starts[begin], starts[begin + 1]):
            return self._bands[begin]
        shape = list(self._bands[0].shape)
        shape[self._axis] = last - first
        rows = np.empty(shape, self._bands[0].dtype)
        rows[_cut(self._axis, 0, max(-first, 0))] = self._outside
        rows[_cut(self._axis, max(min(starts[-1], last) - first, 0), last - first)] = self._outside
        for start, band in zip(starts[begin:], self._bands[begin:], strict=False):
            end = start + band.shape[self._axis]
            if start >= last:
                break
            low, high = max(start, first), min(end, last)
            rows[_cut(self._axis, low - first, high - first)] = band[_cut(self._axis, low - start, high - start)]
        return rows


class _Pass:
    """One pair on its way through the stages."""

    def __init__(
        self,
        bundle: Bundle,
        graphs: Mapping[str, OpenGraph],
        tables: Mapping[str, Array],
        rows: Mapping[str, Array],
        chosen: Plan,
    ) -> None:
        self.stages, self.graphs, self.plan = bundle.stages[1:], graphs, chosen
        self.producer = {name: stage for stage in self.stages for name in stage.outputs}
        self.whole: dict[str, Array] = dict(tables)  # what a stage gets as it is: tables and statistics
        outside = {"places": len(tables["graph"]) - 1}
        self.images = {name: Image([array], outside.get(name, 0)) for name, array in rows.items()}
        self.height, self.width = rows["labels"].shape

    def probability(self) -> NDArray[np.float32]:
        with ThreadPoolExecutor(self.plan.threads) as pool:
            for number, stage in enumerate(self.stages):
                if swept(stage, self.plan.kept):
                    self._sweep(stage, pool)
                    needed = still_read(self.stages[number + 1 :], self.plan.kept, self.stages) | {RESULT}
                    self.images = {name: image for name, image in self.images.items() if name in needed}
        return self.images[RESULT].read(0, self.height)

    def _sweep(self, stage: Stage, pool: ThreadPoolExecutor) -> None:
        """Run a stage over all bands: keep its images, turn its sums into statistics."""
        wanted = [name for name in stage.outputs if name in stage.sums or name in self.plan.kept]

        def compute(band: tuple[int, int]) -> dict[str, Array]:
            outputs = self._evaluate(stage, *band, {})
            return {name: outputs[name] for name in wanted}

        bands = list(pool.map(compute, self._bands(stage)))
        for name in set(wanted) - set(stage.sums):
            self.images[name] = Image([outputs[name] for outputs in bands])
        sums = {name: np.concatenate([outputs[name] for outputs in bands], axis=2) for name in stage.sums}
        self.whole.update(statistics(sums, self.height * self.width))

    def _bands(self, stage: Stage) -> Iterator[tuple[int, int]]:
        step = band_rows(stage, self.width)
        for first in range(0, self.height, step):
            yield first, min(first + step, self.height)

    def _evaluate(
        self, stage: Stage, first: int, last: int, known: dict[str, tuple[int, int, Image]]
    ) -> dict[str, Array]:
        """Rows ``first`` to ``last`` of a stage's outputs; ``known`` are images computed for this band."""
        above, below = min(stage.crop, first), min(stage.crop, self.height - last)
        feed = {}
        for name in stage.inputs:
            if name in self.whole:
                feed[name] = self.whole[name]
            else:
                more = stage.reach if name in stage.widened else 0
                feed[name] = self._read(name, first - above - more, last + below + more, known)
        outputs = self.graphs[stage.graph].run(feed)
        if not above and not below:
            return outputs
        return {name: part[_cut(_row_axis(part.shape), above, above + last - first)] for name, part in outputs.items()}

    def _read(self, name: str, first: int, last: int, known: dict[str, tuple[int, int, Image]]) -> Array:
        """Rows ``first`` to ``last`` of an image, also beyond its edges."""
        if name in self.images:
            return self.images[name].read(first, last)
        low, high = max(first, 0), min(last, self.height)
        if name not in known or known[name][0] > low or known[name][1] < high:
            for given, part in self._evaluate(self.producer[name], low, high, known).items():
                if given not in self.producer[name].sums:
                    known[given] = low, high, Image([part])
        start, _, image = known[name]
        return image.read(first - start, last - start)


def statistics(sums: Mapping[str, Array], pixels: int) -> dict[str, NDArray[np.float32]]:
    """Means and variances, n x C x 1 x 1, from sums over rows, n x C x H: ``NAME_sum``, perhaps ``NAME_squares``.

    The variance is divided by one less than the number of pixels, as SimAM does. Added up in float64.
    """
    found = {}
    for name, sum_ in sums.items():
        if not name.endswith("_sum"):
            continue
        base = name.removesuffix("_sum")
        mean = sum_.sum(axis=2, dtype=np.float64) / pixels
        found[f"{base}_mean"] = mean.astype(np.float32)[:, :, None, None]
        if f"{base}_squares" in sums:
            squares = sums[f"{base}_squares"].sum(axis=2, dtype=np.float64)
            variance = np.maximum(squares - pixels * mean**2, 0) / (pixels - 1)
            found[f"{base}_variance"] = variance.astype(np.float32)[:, :, None, None]
    return found


def _row_axis(shape: Sequence[Any]) -> int:
    """Where rows are in n x C x H x W, n x C x H, and H x W."""
    return 0 if len(shape) == 2 else 2


def _cut(axis: int, first: int, last: int) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(first, last),)
