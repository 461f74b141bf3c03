"""Run the first stage of a tiled CNN: one row per superpixel or label pattern."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Graph
from fusiongcn_edge.runtime.engines.base import Arrays, Session, wrong_output
from fusiongcn_edge.runtime.engines.size_variants import SizeVariants, pad_to
from fusiongcn_edge.runtime.types import Array


def superpixel_patterns(labels: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Which superpixels lie around each pixel, without saying the same for every pixel inside a superpixel.

    Parameters
    ----------
    labels : int32 H x W
        Superpixels 0 .. N-1.

    Returns
    -------
    places : int32 H x W
        Row of ``patterns`` that holds for each pixel.
    patterns : int32 P x 9
        Superpixels of a pixel's 3 x 3 neighbourhood, row by row; N outside the image. The first N rows are those of
        pixels inside a superpixel.
    """
    height, width = labels.shape
    nodes = int(labels.max()) + 1
    framed = np.full((height + 2, width + 2), nodes, np.int32)
    framed[1:-1, 1:-1] = labels
    mixed = np.zeros((height, width), bool)
    for tap in range(9):
        mixed |= framed[tap // 3 : tap // 3 + height, tap % 3 : tap % 3 + width] != labels
    y, x = np.nonzero(mixed)
    corner = y * (width + 2) + x
    found = np.stack([framed.ravel()[corner + (tap // 3) * (width + 2) + tap % 3] for tap in range(9)], axis=1)
    mixer = np.random.default_rng(0).integers(1, 2**63, 9, dtype=np.uint64)
    _, first, which = np.unique(found.astype(np.uint64) @ mixer, return_index=True, return_inverse=True)
    if not np.array_equal(found[first][which], found):  # two patterns with one hash
        first = which = np.arange(len(found))
    inside = np.repeat(np.arange(nodes, dtype=np.int32)[:, None], 9, axis=1)
    places = labels.copy()
    places[y, x] = nodes + which
    return places, np.concatenate([inside, found[first]])


class LabelTables:
    """The first stage of a CNN in tiles, opened: what is the same for all pixels of a superpixel or of a pattern."""

    def __init__(self, variants: Mapping[str, Graph], open_graph: Callable[[Graph], Session]) -> None:
        self._variants = SizeVariants(variants, "shallow", open_graph)
        block = next(iter(variants.values())).inputs["patterns"][1][0]
        self._file = next(iter(variants.values())).file
        self._block = block if isinstance(block, int) else None  # patterns that the graph takes at once

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """``injected`` and ``graph``; see FORMAT.md for the shapes."""
        nodes = len(inputs["counts"])
        capacity, graph = self._variants.smallest_fitting(nodes)
        patterns = np.where(inputs["patterns"] == nodes, np.int32(capacity), inputs["patterns"])
        block = self._block or len(patterns)
        tables = {
            "shallow": pad_to(inputs["shallow"], (1,), capacity),
            "deep": pad_to(inputs["deep"], (1,), capacity),
            "counts": pad_to(inputs["counts"], (0,), capacity),
        }
        parts, found = [], dict[str, Array]()
        for first in range(0, len(patterns), block):
            own = patterns[first : first + block]
            found = graph.run({**tables, "patterns": pad_to(own, (0,), block)})
            if len(found["graph"]) != block + 1 or len(found["injected"]) != capacity:
                raise wrong_output(self._file, "graph", found["graph"], f"{block + 1} rows")
            parts.append(found["graph"][: len(own)])
        return {"injected": found["injected"][:nodes], "graph": np.concatenate([*parts, found["graph"][-1:]])}
