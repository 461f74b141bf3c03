"""The CNN in tiles: a chain of stage graphs with sums over the whole image between them.

A bundle may hold the CNN as stages (``export/stages_onnx.py`` makes them) instead of one graph. Each stage reads a
little
more of the images that earlier stages gave than the tile it gives itself; what it needs to know of the whole image are
means and variances, from sums that earlier stages collected. So the working set is a few tiles, however large the
photograph is. What is kept between stages and what is computed again is decided by the memory that there is
(:func:`plan`); the result is the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Bundle, Graph, Stage
from fusiongcn_edge.runtime.engines.base import Arrays, Session, wrong_output
from fusiongcn_edge.runtime.errors import too_little_memory
from fusiongcn_edge.runtime.system.progress import ProgressCounter
from fusiongcn_edge.runtime.system.resources import free_memory, resident_memory
from fusiongcn_edge.runtime.tiling.label_tables import LabelTables, superpixel_patterns
from fusiongcn_edge.runtime.tiling.memory_plan import (
    Plan,
    best_size,
    is_full_pass,
    live_tensors,
    plan,
    tile_edges,
    tile_of,
)
from fusiongcn_edge.runtime.tiling.tile_store import TiledArray
from fusiongcn_edge.runtime.types import RESULT, Array, OnProgress, Window

Each = Callable[
    [Callable[[Window], dict[str, Array]], Sequence[Window]], Iterable[dict[str, Array]]
]  # map, or a pool's


class TiledCnn:
    """The stages of a bundle, opened: takes and gives what the CNN as one graph does.

    ``limit``: bytes that the process may hold; default: what the system has free, or as little as possible if that does
    not suffice.
    """

    def __init__(
        self, bundle: Bundle, open_graph: Callable[[Graph], Session], threads: int, limit: int | None = None
    ) -> None:
        self.bundle = bundle
        self._tables = LabelTables(bundle.variants(bundle.stages[0].graph), open_graph)
        self._opened = {
            size: {stage.graph: open_graph(bundle.variants(stage.graph)[size]) for stage in bundle.stages[1:]}
            for size in bundle.sizes
        }
        self._threads = threads
        self._limit = limit
        self._pooled = 0  # bytes that the engine keeps to work in, once it has worked
        self._pool = ThreadPoolExecutor(threads)  # kept: each new thread may begin another heap, and none is given back

    def run(self, inputs: Arrays, share: OnProgress | None = None) -> dict[str, Array]:
        """The probability of a pair.

        Parameters
        ----------
        inputs : dict
            ``images`` float32 2 x 3 x H x W, ``labels`` int32 H x W (superpixels), and their embeddings ``shallow``
            and ``deep``, float32 2 x N x C.
        share : callable, optional
            Called with how much is done, 0 to 1.

        Returns
        -------
        dict
            ``probability`` float32 H x W.

        Raises
        ------
        FusionError
            If the limit does not suffice.
        """
        images, labels, limit = inputs["images"], inputs["labels"], self._limit
        places, patterns = superpixel_patterns(labels)
        tables = self._tables.run(
            {
                "shallow": inputs["shallow"],
                "deep": inputs["deep"],
                "counts": np.bincount(labels.ravel()).astype(np.float32),
                "patterns": patterns,
            }
        )
        height, width = labels.shape
        held = resident_memory() - self._pooled
        memory = free_memory() + self._pooled if limit is None else limit - held
        size = best_size(self.bundle, height, width)
        chosen = plan(self.bundle, height, width, memory, self._threads, size)
        if limit is not None and chosen.bytes > memory:
            raise too_little_memory(held + chosen.bytes, smaller="fusiongcn-lite")
        self._pooled = max(self._pooled, chosen.working)
        one_pass = _TiledRun(self.bundle, self._opened[size], tables, images, labels, places, chosen)
        return {RESULT: one_pass.probability(self._pool, share)}


class _TiledRun:
    """One pair on its way through the stages."""

    def __init__(
        self,
        bundle: Bundle,
        graphs: Mapping[str, Session],
        tables: Mapping[str, Array],
        images: NDArray[np.float32],
        labels: NDArray[np.int32],
        places: NDArray[np.int32],
        chosen: Plan,
    ) -> None:
        self.stages, self.graphs, self.plan = bundle.stages[1:], graphs, chosen
        self.sizes = {stage.graph: _size(stage, bundle.variants(stage.graph)[chosen.size]) for stage in self.stages}
        self.producer = {name: stage for stage in self.stages for name in stage.outputs}
        self.whole: dict[str, Array] = dict(tables)  # what a stage gets as it is: tables and statistics
        self.images = {
            "images": TiledArray.single(images),
            "labels": TiledArray.single(labels),
            "places": TiledArray.single(places, outside=len(tables["graph"]) - 1),
            "inside": TiledArray.single(np.ones((1, 1, *labels.shape), np.float32)),
        }
        self.window = self.images["labels"].window
        self.rows, self.columns = tile_edges(self.window.bottom, self.window.right, tile_of(bundle, chosen.size))

    def probability(self, pool: ThreadPoolExecutor, share: OnProgress | None) -> NDArray[np.float32]:
        sweeps = sum(is_full_pass(stage, self.plan.kept) for stage in self.stages)
        progress = ProgressCounter(sweeps * (len(self.rows) - 1) * (len(self.columns) - 1), share)
        for number, stage in enumerate(self.stages):
            if is_full_pass(stage, self.plan.kept):
                self._sweep(stage, pool.map if self.plan.threads > 1 else map, progress)
                needed = live_tensors(self.stages[number + 1 :], self.plan.kept, self.stages) | {RESULT}
                self.images = {name: image for name, image in self.images.items() if name in needed}
        return self.images[RESULT].read(self.window)

    def _sweep(self, stage: Stage, each: Each, progress: ProgressCounter) -> None:
        """Run a stage over all tiles: keep its images, turn its sums into statistics."""
        kept = [name for name in stage.outputs if name in self.plan.kept]

        def compute(window: Window) -> dict[str, Array]:
            outputs = self._evaluate(stage, window, {})
            return {name: outputs[name] for name in (*kept, *stage.sums)}

        across = len(self.columns) - 1
        windows = [
            Window(*self.rows[i : i + 2], *self.columns[j : j + 2])
            for i in range(len(self.rows) - 1)
            for j in range(across)
        ]
        last_read = {name: self._distance(stage, name) for name in self._read_for_the_last_time(stage)}
        tiles: list[dict[str, Array]] = []
        for tile in each(compute, windows):
            tiles.append(tile)
            progress.step()
            done = self.rows[len(tiles) // across]
            for name, distance in last_read.items():
                self.images[name].forget(done - distance)
        for name in kept:
            in_rows = [[tile[name] for tile in tiles[i : i + across]] for i in range(0, len(tiles), across)]
            self.images[name] = TiledArray(self.rows, self.columns, in_rows)
        sums = {name: np.stack([tile[name] for tile in tiles]).sum(axis=0, dtype=np.float64) for name in stage.sums}
        self.whole.update(statistics(sums, self.window.bottom * self.window.right))

    def _read_for_the_last_time(self, stage: Stage) -> list[str]:
        """The images kept in tiles like ours that no stage after this one reads."""
        later = self.stages[self.stages.index(stage) + 1 :]
        needed = live_tensors(later, self.plan.kept, self.stages)
        return [name for name in self.plan.kept & set(self.images) if name not in needed]

    def _distance(self, stage: Stage, name: str) -> int:
        """How far beyond its tile a stage reads an image, itself or through what is computed again for it."""
        found = -1
        for given in stage.reads:
            further = 0 if given == name else -1
            if given not in self.images and given in self.producer:
                further = max(further, self._distance(self.producer[given], name))
            if further >= 0:
                found = max(found, further + stage.valid_crop + stage.halo.get(given, 0))
        return found

    def _evaluate(self, stage: Stage, window: Window, known: dict[str, TiledArray]) -> dict[str, Array]:
        """A window of a stage's outputs; ``known`` are images computed for the same tile."""
        size = self.sizes[stage.graph]
        if size is None:
            return self._run(stage, window.grown(stage.valid_crop).within(self.window), window, known)
        found = dict[str, Array]()
        for name in stage.inputs:  # what has to be computed for it: once, for all parts of the window
            if name in self.producer and name not in self.images and name not in self.whole:
                around = window.grown(stage.halo.get(name, 0))
                self._read(name, around, around, known)
        for top in range(window.top, window.bottom, size[0]):
            for left in range(window.left, window.right, size[1]):
                whole = Window(top, top + size[0], left, left + size[1])
                part = whole.within(window)
                outputs = self._run(stage, whole, part, known)
                if part == window:
                    return outputs
                for name in set(outputs) - set(stage.sums):
                    image = outputs[name]
                    if name not in found:
                        rows, columns = window.bottom - window.top, window.right - window.left
                        found[name] = np.empty((*image.shape[:-2], rows, columns), image.dtype)
                    part.of(found[name], window.top, window.left)[...] = image
        return found

    def _run(self, stage: Stage, computed: Window, wanted: Window, known: dict[str, TiledArray]) -> dict[str, Array]:
        """What a stage's graph gives for one window, cut to the part that is wanted.

        A graph of fixed size computes more than is wanted: what only the rest depends on is not computed for it.
        """
        needed = computed if self.sizes[stage.graph] is None else wanted
        feed = {name: self._input(stage, name, computed, needed, known) for name in stage.inputs}
        outputs = self.graphs[stage.graph].run(feed)
        size = computed.bottom - computed.top, computed.right - computed.left
        for name, image in outputs.items():
            if name not in stage.sums and image.shape[-2:] != size:
                raise wrong_output(stage.graph, name, image, f"an image of {size}")
        if computed == wanted:
            return outputs
        top, left = computed.top, computed.left
        return {n: part if n in stage.sums else wanted.of(part, top, left) for n, part in outputs.items()}

    def _input(self, stage: Stage, name: str, window: Window, needed: Window, known: dict[str, TiledArray]) -> Array:
        window, needed = (w.grown(stage.halo.get(name, 0)) for w in (window, needed))
        if name in stage.gather:
            return self.whole[name][self._read(stage.gather[name], window, needed, known)].transpose(2, 0, 1)[None]
        return self.whole[name] if name in self.whole else self._read(name, window, needed, known)

    def _read(self, name: str, window: Window, needed: Window, known: dict[str, TiledArray]) -> Array:
        """A window of an image, also beyond its edges; if it is not kept, what is needed of it is computed."""
        if name in self.images:
            return self.images[name].read(window)
        inner = needed.within(self.window)
        if name not in known or inner != inner.within(known[name].window):
            stage = self.producer[name]
            outputs = self._evaluate(stage, inner, known)
            for given in set(outputs) - set(stage.sums):
                known[given] = TiledArray.single(outputs[given], inner.top, inner.left)
        return known[name].read(window)


def _size(stage: Stage, graph: Graph) -> tuple[int, int] | None:
    """Rows and columns of the window that a graph computes; None if it takes any."""
    shapes, more = [shape for name, (_, shape) in graph.outputs.items() if name not in stage.sums], 0
    if not shapes and "inside" in graph.inputs:
        shapes, more = [graph.inputs["inside"][1]], 2 * stage.halo.get("inside", 0)
    rows, columns = shapes[0][-2:] if shapes else ("rows", "columns")
    return (rows - more, columns - more) if isinstance(rows, int) and isinstance(columns, int) else None


def statistics(sums: Mapping[str, NDArray[np.float64]], pixels: int) -> dict[str, NDArray[np.float32]]:
    """Means and variances, n x C x 1 x 1, from sums over the image, n x C: ``NAME_sum``, perhaps ``NAME_squares``.

    The variance is divided by one less than the number of pixels, as SimAM does.
    """
    found = {}
    for name, total in sums.items():
        if not name.endswith("_sum"):
            continue
        base = name.removesuffix("_sum")
        mean = total / pixels
        found[f"{base}_mean"] = mean.astype(np.float32)[:, :, None, None]
        if f"{base}_squares" in sums:
            variance = np.maximum(sums[f"{base}_squares"] - pixels * mean**2, 0) / (pixels - 1)
            found[f"{base}_variance"] = variance.astype(np.float32)[:, :, None, None]
    return found
