"""A CNN that is one graph, over photographs of any size: in windows where they are larger than what it takes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Bundle, Graph
from fusiongcn_edge.runtime.engines.base import Session, wrong_output
from fusiongcn_edge.runtime.errors import too_little_memory
from fusiongcn_edge.runtime.io.pixels import luminance
from fusiongcn_edge.runtime.segmentation.settings import GRID, LEAST_PIXELS, STEP, round_up_to_multiple
from fusiongcn_edge.runtime.system.progress import ProgressCounter
from fusiongcn_edge.runtime.system.resources import free_memory, resident_memory
from fusiongcn_edge.runtime.types import RESULT, Array, OnProgress, Window

MOST_PIXELS = 1 << 19  # of the windows of a CNN that takes any
WINDOW_BYTES = 240  # that an engine needs for each pixel of a window, at most
DECISION_BYTES = 30  # for each pixel, to decide and blend; more only where noise decides


class WindowedCnn:
    """A CNN that looks only a margin far (Lite's), opened. In windows it gives what it gives of all at once.

    ``channels_last``: as the engine has it. ``limit``: bytes that the process may hold; default: what the system has
    free, or as little as possible if that does not suffice.
    """

    def __init__(
        self,
        bundle: Bundle,
        open_graph: Callable[[Graph], Session],
        channels_last: bool = False,
        limit: int | None = None,
    ) -> None:
        self._margin, self._limit, self._channels_last = bundle.margin, limit, channels_last
        self._idle: list[_LiteInputs] = []
        self._pooled = 0  # bytes that the engine keeps to work in, once it has worked
        self._graphs: dict[tuple[int, int] | None, Session] = {}
        for graph in bundle.variants("cnn").values():
            rows, columns = graph.inputs["luminance"][1][-2:]
            size = (rows, columns) if isinstance(rows, int) and isinstance(columns, int) else None
            self._graphs[size], self._file = open_graph(graph), graph.file

    def run(
        self, gray: Array, labels: NDArray[np.int32], context: NDArray[np.float32], share: OnProgress | None = None
    ) -> NDArray[np.float32]:
        """The probability of a pair, float32 H' x W'.

        Parameters
        ----------
        gray : uint8 or uint16 2 x H' x W'
            See :class:`fusiongcn_edge.runtime.networks.lite_inputs.LiteInputs`.
        labels : int32 H'/4 x W'/4
            Superpixels.
        context : float32 2 x N x C
            What the graph network says of each.
        share : callable, optional
            Called with how much is done, 0 to 1.

        Raises
        ------
        FusionError
            If the limit does not suffice.
        """
        height, width = gray.shape[1:]
        size, graph = self._choose(height, width)
        probability = np.empty((height, width), np.float32)
        inputs = self._inputs_for(size, context.shape[2])
        down, across = (cover(*sides, self._margin) for sides in zip((height, width), size, strict=True))
        progress = ProgressCounter(len(down) * len(across), share)
        for top, rows in down:
            for left, columns in across:
                window = Window(top, top + size[0], left, left + size[1])
                found = graph.run(inputs.fill(gray, labels, context, window))[RESULT]
                if found.shape != (1, 4, size[0] // 2, size[1] // 2):
                    raise wrong_output(self._file, RESULT, found, f"1 x 4 x {size[0] // 2} x {size[1] // 2}")
                quads = found[0]
                own = Window(*rows, *columns)
                halves = Window(*(edge // 2 for edge in own)).of(quads, top // 2, left // 2)
                target = own.of(probability)
                for place, values in enumerate(halves):
                    target[place // 2 :: 2, place % 2 :: 2] = values
                progress.step()
        if size == (height, width):  # of a larger photograph, the memory is needed to decide
            self._idle.append(inputs)
        return probability

    def _inputs_for(self, size: tuple[int, int], channels: int) -> _LiteInputs:
        with suppress(IndexError):
            inputs = self._idle.pop()  # nobody else's: several threads may compute at once
            if inputs.both_orders.shape[2:] == size:
                return inputs
        return _LiteInputs(size, channels, self._channels_last)

    def _choose(self, height: int, width: int) -> tuple[tuple[int, int], Session]:
        """The windows to compute, and the graph for them."""
        held = resident_memory() - self._pooled
        memory = free_memory() + self._pooled if self._limit is None else self._limit - held
        afterwards = DECISION_BYTES * height * width
        most = memory // WINDOW_BYTES
        sizes = [size for size in self._graphs if size is not None]
        if None in self._graphs:
            sizes = [window_size(height, width, min(max(most, LEAST_PIXELS), MOST_PIXELS), self._margin)]
        fitting = [size for size in sizes if math.prod(size) <= most]
        if self._limit is not None and (not fitting or memory < afterwards):
            needed = held + max(afterwards, WINDOW_BYTES * min(math.prod(size) for size in sizes))
            raise too_little_memory(needed)

        def computed(size: tuple[int, int]) -> int:
            windows = (cover(length, side, self._margin) for length, side in zip((height, width), size, strict=True))
            return math.prod(size) * math.prod(len(each) for each in windows)

        size = min(fitting or sizes, key=computed)
        self._pooled = max(self._pooled, WINDOW_BYTES * math.prod(size))
        return size, self._graphs[None if None in self._graphs else size]


def window_size(height: int, width: int, most: int, margin: int) -> tuple[int, int]:
    """Rows and columns of equal windows of at most ``most`` pixels that cover an image; all multiples of 8."""
    columns = min(width, most // min(height, math.isqrt(most)))
    rows = min(height, most // columns)
    return window_side(height, rows, margin), window_side(width, columns, margin)


def window_side(length: int, longest: int, margin: int) -> int:
    """The shortest side, at most ``longest``, of the fewest equal windows that cover ``length``; multiples of 8."""
    longest -= longest % GRID
    if length <= longest:
        return length
    parts = -(-(length - 2 * margin) // (longest - 2 * margin))
    return 2 * margin + round_up_to_multiple(-(-(length - 2 * margin) // parts), 0)[0]


def cover(length: int, side: int, margin: int) -> list[tuple[int, tuple[int, int]]]:
    """Windows of a side that cover a length: where each begins, and from where to where its values are taken.

    What is taken lies ``margin`` pixels inside the window, or at an end of the length. All are multiples of 8; a window
    may reach beyond the end if the length is shorter than it.
    """
    gaps = -(-(length - side) // (side - 2 * margin)) if length > side else 0
    starts = [GRID * round(i * (length - side) / gaps / GRID) for i in range(gaps)] + [max(0, length - side)]
    cuts = [later + (former + side - later) // (2 * GRID) * GRID for former, later in itertools.pairwise(starts)]
    return list(zip(starts, itertools.pairwise([0, *cuts, length]), strict=True))


class _LiteInputs:
    """What Lite's CNN takes for a window of a size; kept for the next pair, since filling fresh memory takes longer."""

    def __init__(self, size: tuple[int, int], channels: int, channels_last: bool) -> None:
        self._channels_last = channels_last
        self.both_orders = self._images(2, *size)
        self.context = self._images(channels, size[0] // STEP, size[1] // STEP)

    def _images(self, channels: int, rows: int, columns: int) -> NDArray[np.float32]:
        if not self._channels_last:
            return np.empty((2, channels, rows, columns), np.float32)
        return np.empty((2, rows, columns, channels), np.float32).transpose(0, 3, 1, 2)

    def fill(
        self, gray: Array, labels: NDArray[np.int32], context: NDArray[np.float32], window: Window
    ) -> dict[str, Array]:
        """The inputs for a window; beyond the lower and right end, the edge is repeated."""
        luminance(padded_window(gray, window, "edge"), out=self.both_orders[0])
        self.both_orders[1] = self.both_orders[0, ::-1]
        places = padded_window(labels, Window(*(edge // STEP for edge in window)), "edge")
        if self._channels_last:  # with mode "clip" it is written at once; there is nothing to clip
            np.take(context, places, axis=1, out=self.context.transpose(0, 2, 3, 1), mode="clip")
        else:
            np.take(context.transpose(0, 2, 1), places, axis=2, out=self.context, mode="clip")
        return {"luminance": self.both_orders, "context": self.context}


def padded_window(image: Array, window: Window, mode: Literal["edge", "reflect"]) -> Array:
    """A window of an image; what it has beyond the lower and right edge is filled as ``np.pad`` does."""
    inner = window.of(image)
    more = [max(0, end - side) for end, side in zip((window.bottom, window.right), image.shape[-2:], strict=True)]
    if not any(more):
        return inner
    return np.pad(inner, [(0, 0)] * (image.ndim - 2) + [(0, pixels) for pixels in more], mode=mode)
