"""Run a CNN of one graph with a fixed input size on overlapping windows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Bundle, Graph
from fusiongcn_edge.runtime.engines.base import Arrays, Session
from fusiongcn_edge.runtime.engines.size_variants import SizeVariants, pad_to
from fusiongcn_edge.runtime.system.progress import ProgressCounter
from fusiongcn_edge.runtime.tiling.windowed_cnn import padded_window
from fusiongcn_edge.runtime.types import RESULT, Array, OnProgress, Window


class OverlappingCnn:
    """A CNN that is one graph, opened: where it has a fixed size, it serves others through overlapping windows.

    What is smaller than the graph is mirrored at its edges; what is larger is computed in windows that overlap by a
    quarter, and the probabilities are blended. The statistics over the image are then those of each window, so the
    answer is close to that of a graph of the right size, but not the same.
    """

    def __init__(self, bundle: Bundle, open_graph: Callable[[Graph], Session]) -> None:
        by_size: dict[tuple[int, int] | None, dict[str, Graph]] = {}
        for key, graph in bundle.variants("cnn").items():
            rows, columns = graph.inputs["labels"][1]
            size = (rows, columns) if isinstance(rows, int) and isinstance(columns, int) else None
            by_size.setdefault(size, {})[key] = graph
        self._sizes = {size: SizeVariants(graphs, "shallow", open_graph) for size, graphs in by_size.items()}

    def run(self, inputs: Arrays, share: OnProgress | None = None) -> dict[str, Array]:
        """The probability of a pair; see :meth:`TiledCnn.run`."""
        if None in self._sizes:
            return self._sizes[None].smallest_fitting(inputs["shallow"].shape[1])[1].run(inputs)
        height, width = inputs["labels"].shape
        sizes = [size for size in self._sizes if size is not None]
        size = min(sizes, key=lambda size: math.prod(size) * len(_windows(height, width, size)))
        total, weight = np.zeros((2, height, width), np.float32)
        windows = _windows(height, width, size)
        progress = ProgressCounter(len(windows), share)
        for window in windows:
            inner = window.within(Window(0, height, 0, width))
            own = np.outer(*(_ramp(side) for side in size)).astype(np.float32)
            own = inner.of(own, window.top, window.left)
            inner.of(total)[...] += own * inner.of(self._window(inputs, window), window.top, window.left)
            inner.of(weight)[...] += own
            progress.step()
        return {RESULT: total / weight}

    def _window(self, inputs: Arrays, window: Window) -> Array:
        """The probability in one window, with only those superpixels that it touches."""
        labels = padded_window(inputs["labels"], window, "reflect")
        touched, own = np.unique(labels, return_inverse=True)
        capacity, graph = self._sizes[labels.shape].smallest_fitting(len(touched))
        tables = {name: pad_to(inputs[name][:, touched], (1,), capacity) for name in ("shallow", "deep")}
        found = graph.run(
            {
                "images": padded_window(inputs["images"], window, "reflect"),
                "labels": own.reshape(labels.shape).astype(np.int32),
                **tables,
            }
        )
        return found[RESULT]


def _windows(height: int, width: int, size: tuple[int, int]) -> list[Window]:
    """Windows of a size that cover an image and overlap by a quarter of it at least, evenly."""
    starts = []
    for length, side in zip((height, width), size, strict=True):
        gaps = -(-max(0, length - side) // max(1, side - side // 4))
        starts.append([round(i * (length - side) / gaps) for i in range(gaps + 1)] if gaps else [0])
    return [Window(top, top + size[0], left, left + size[1]) for top in starts[0] for left in starts[1]]


def _ramp(side: int) -> NDArray[np.float32]:
    """Weights along a side: rising over a quarter of it, level, falling again."""
    steps = np.arange(side, dtype=np.float32) + 0.5
    return np.minimum(1, np.minimum(steps, side - steps) / max(1, side // 4))
