"""Numbers that decide a model's superpixels; the bundle carries them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fusiongcn_edge.runtime.types import Float32


@dataclass(frozen=True)
class SlicSettings:
    """How a model's superpixels are made; the bundle carries these."""

    guide_kernel: Float32  # 6 x kh x kw, see guide_image
    guide_bias: float
    segments_per_side: float  # superpixels wanted = int(longer side in pixels * this)
    compactness: float
    sigma: float
    iterations: int

    def wanted(self, height: int, width: int) -> int:
        """About how many superpixels an image of this size gets."""
        return max(1, int(max(height, width) * self.segments_per_side))

    def nodes(self, height: int, width: int) -> int:
        """How many superpixels SLIC is seeded with for an image of this size."""
        rows, columns = seed_grid(height, width, self.wanted(height, width))
        return len(rows) * len(columns)


def seed_grid(height: int, width: int, n_segments: int) -> tuple[range, range]:
    """Rows and columns on which SLIC places its first centres, about ``n_segments`` in all.

    The cells are as near to squares of ``sqrt(H W / n_segments)`` pixels as whole steps allow; an image narrower than
    that gets a single row or column. More segments than pixels give one centre per pixel.
    """
    if height * width <= n_segments:
        return range(height), range(width)
    step = math.sqrt(height * width / n_segments)
    step_y = step_x = step
    if min(height, width) < step:  # a strip: one centre across, all the others along it
        along = max(height, width) / n_segments
        step_y, step_x = (height, along) if height <= width else (along, width)
    return tuple(  # type: ignore[return-value]
        range(int(s // 2), size, int(np.round(s))) for size, s in ((height, step_y), (width, step_x))
    )


GRID = 8  # sizes are filled up to a multiple of this many pixels, the edge repeated
LEAST_PIXELS = 1 << 16  # of the windows that the CNN is run in, where it takes any
STEP = 4  # pixels along a side of what one label stands for


@dataclass(frozen=True)
class GridSlicSettings:
    """How a light model's superpixels are made; the bundle carries these."""

    segments_per_side: float  # superpixels wanted = longer side in pixels * this
    compactness: float  # luminance of [0, 1] that counts as much as the side of a cell
    iterations: int

    def cell(self, height: int, width: int) -> int:
        """Side of a cell of the seed grid in quarter pixels, for a photograph of ``height`` x ``width`` pixels."""
        wanted = max(1.0, max(height, width) * self.segments_per_side)
        return max(2, round(math.sqrt(height * width / wanted) / STEP))

    def nodes(self, height: int, width: int) -> int:
        """How many superpixels a photograph of this size gets."""
        cell = STEP * self.cell(*round_up_to_multiple(height, width))
        return -(-round_up_to_multiple(height, width)[0] // cell) * -(-round_up_to_multiple(height, width)[1] // cell)


def round_up_to_multiple(height: int, width: int) -> tuple[int, int]:
    """A size up to the next multiples of 8."""
    return height + -height % GRID, width + -width % GRID
