"""Graphs that were made for a certain number of superpixels, filled up to it.

TFLite graphs have fixed sizes. A bundle holds one and the same graph for several numbers of superpixels; the smallest
that holds a pair's is taken, and the rows that are too many are cut off again. What is filled in changes no real
superpixel's values: the graphs leave superpixels without an edge, and those without a pixel, out of their statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fusiongcn_edge.runtime.bundle.manifest import Bundle, Graph
from fusiongcn_edge.runtime.engines.base import Arrays, Session
from fusiongcn_edge.runtime.engines.size_variants import SizeVariants, pad_to
from fusiongcn_edge.runtime.types import Array


class Gcn:
    """The GCN of a bundle, opened, for any number of superpixels.

    ``inputs``: of each, the axes that are superpixels, and what rows that are too many hold.
    """

    def __init__(
        self,
        bundle: Bundle,
        open_graph: Callable[[Graph], Session],
        inputs: Mapping[str, tuple[tuple[int, ...], float]],
    ) -> None:
        self._variants, self._inputs = SizeVariants(bundle.variants("gcn"), "features", open_graph), inputs

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Its tables, a row for each superpixel; see FORMAT.md for the shapes."""
        nodes = inputs["features"].shape[1]
        capacity, graph = self._variants.smallest_fitting(nodes)
        found = graph.run(
            {name: pad_to(inputs[name], axes, capacity, rest) for name, (axes, rest) in self._inputs.items()}
        )
        return {name: table[:, :nodes] for name, table in found.items()}
