"""Photographs to experiment with, and the blur of a lens for frames made from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pairs import is_photograph
from fusiongcn_edge.runtime.io.pixels import eight_bit_colour


def disc(radius: float) -> NDArray[np.float32]:
    """Make the kernel of a defocused lens: a disc of this radius in pixels with a soft edge, sum 1."""
    reach = int(np.ceil(radius))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    found = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1).astype(np.float32)
    return np.asarray(found / found.sum(), np.float32)


def photographs_below(folder: Path, count: int) -> list[NDArray[np.uint8]]:
    """Read ``count`` of the photographs below a folder, uint8 H x W x 3, evenly spread over the order of their names.

    Raises
    ------
    FusionError
        If there are fewer, or ``count`` is less than 1.
    """
    paths = sorted(path for path in folder.rglob("*") if is_photograph(path))
    if not 1 <= count <= len(paths):
        raise FusionError(
            f"--count does not fit the photographs below {folder}", found=count, allowed=f"1 to {len(paths)}"
        )
    return [eight_bit_colour(read_image(paths[number * len(paths) // count])) for number in range(count)]
