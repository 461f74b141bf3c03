"""An image that is kept in the tiles it was computed in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np

from fusiongcn_edge.runtime.types import Array, Window


class TiledArray:
    """H x W or n x C x H x W, kept as tiles: ``tiles[i][j]`` from row edge i and column edge j on."""

    def __init__(self, rows: list[int], columns: list[int], tiles: list[list[Array]], outside: int = 0) -> None:
        self._rows, self._columns, self._outside = rows, columns, outside
        self._tiles: list[list[Array] | None] = [*tiles]
        first = tiles[0][0]
        self._channels, self._dtype = first.shape[:-2], first.dtype
        self._channels_last = first.ndim == 4 and first.strides[1] < first.strides[3]  # in memory
        self.window = Window(rows[0], rows[-1], columns[0], columns[-1])

    @classmethod
    def single(cls, array: Array, top: int = 0, left: int = 0, outside: int = 0) -> TiledArray:
        """An image in one tile."""
        rows, columns = [top, top + array.shape[-2]], [left, left + array.shape[-1]]
        return cls(rows, columns, [[array]], outside)

    def read(self, window: Window) -> Array:
        """A window, filled up with ``outside`` beyond the image; a tile that was kept as it is is not copied."""
        inner = window.within(self.window)
        parts = list(self._parts(inner))
        if len(parts) == 1 and parts[0][0] == window:
            return parts[0][1]
        rows, columns = window.bottom - window.top, window.right - window.left
        make = np.empty if inner == window else np.zeros if self._outside == 0 else np.ones
        if self._channels_last:
            found = make((self._channels[0], rows, columns, self._channels[1]), self._dtype).transpose(0, 3, 1, 2)
        else:
            found = make((*self._channels, rows, columns), self._dtype)
        if self._outside and inner != window:
            found *= self._outside
        for place, tile in parts:
            valid_region = place.within(inner)
            valid_region.of(found, window.top, window.left)[...] = valid_region.of(tile, place.top, place.left)
        return found

    def forget(self, row: int) -> None:
        """Give up the tiles that end above a row; nothing above it must be read any more."""
        for i in range(bisect_right(self._rows, row) - 1):
            self._tiles[i] = None

    def _parts(self, window: Window) -> Iterator[tuple[Window, Array]]:
        """The tiles that a window touches."""
        for i in range(bisect_right(self._rows, window.top) - 1, len(self._tiles)):
            if self._rows[i] >= window.bottom:
                break
            row = self._tiles[i]
            assert row is not None, "read after it was given up"
            for j in range(bisect_right(self._columns, window.left) - 1, len(row)):
                if self._columns[j] >= window.right:
                    break
                yield Window(*self._rows[i : i + 2], *self._columns[j : j + 2]), row[j]
