"""Graphs that were made for a certain number of superpixels, filled up to it.

TFLite graphs have fixed sizes. A bundle holds one and the same graph for several numbers of superpixels; the smallest
that holds a pair's is taken, and the rows that are too many are cut off again. What is filled in changes no real
superpixel's values: the graphs leave superpixels without an edge, and those without a pixel, out of their statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle import Bundle, Graph
from fusiongcn_edge.runtime.engines.base import Arrays, OpenGraph, wrong_output
from fusiongcn_edge.runtime.errors import FusionError

Array = NDArray[Any]


def filled(table: Array, axes: tuple[int, ...], wanted: int, value: float = 0) -> Array:
    """An array with each of these axes filled up to ``wanted`` rows."""
    more = [(0, wanted - table.shape[axis] if axis in axes else 0) for axis in range(table.ndim)]
    if not any(rows for _, rows in more):
        return table
    return np.pad(table, more, constant_values=value)


class Variants:
    """One graph for several numbers of superpixels, opened. ``tensor``: an input whose second dimension is theirs."""

    def __init__(self, variants: Mapping[str, Graph], tensor: str, open_graph: Callable[[Graph], OpenGraph]) -> None:
        by_room = {graph.inputs[tensor][1][1]: graph for graph in variants.values()}
        self._any = next((open_graph(graph) for room, graph in by_room.items() if isinstance(room, str)), None)
        self._opened = {room: open_graph(by_room[room]) for room in sorted(r for r in by_room if isinstance(r, int))}

    def holding(self, nodes: int) -> tuple[int, OpenGraph]:
        """The graph for so many superpixels, and how many it takes.

        Raises
        ------
        FusionError
            If it takes fewer.
        """
        if self._any is not None:
            return nodes, self._any
        for room, graph in self._opened.items():
            if nodes <= room:
                return room, graph
        raise FusionError(
            f"These photographs have {nodes} superpixels, and the model was exported for at most {max(self._opened)}: "
            f"use smaller photographs, or export it with --superpixels {nodes}."
        )


class Gcn:
    """The GCN of a bundle, opened, for any number of superpixels.

    ``inputs``: of each, the axes that are superpixels, and what rows that are too many hold.
    """

    def __init__(
        self,
        bundle: Bundle,
        open_graph: Callable[[Graph], OpenGraph],
        inputs: Mapping[str, tuple[tuple[int, ...], float]],
    ) -> None:
        self._variants, self._inputs = Variants(bundle.variants("gcn"), "features", open_graph), inputs

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Its tables, a row for each superpixel; see COMPATIBILITY.md for the shapes."""
        nodes = inputs["features"].shape[1]
        room, graph = self._variants.holding(nodes)
        found = graph.run({name: filled(inputs[name], axes, room, rest) for name, (axes, rest) in self._inputs.items()})
        return {name: table[:, :nodes] for name, table in found.items()}


class Tables:
    """The first stage of a CNN in tiles, opened: what is the same for all pixels of a superpixel or of a pattern."""

    def __init__(self, variants: Mapping[str, Graph], open_graph: Callable[[Graph], OpenGraph]) -> None:
        self._variants = Variants(variants, "shallow", open_graph)
        block = next(iter(variants.values())).inputs["patterns"][1][0]
        self._file = next(iter(variants.values())).file
        self._block = block if isinstance(block, int) else None  # patterns that the graph takes at once

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """``injected`` and ``graph``; see COMPATIBILITY.md for the shapes."""
        nodes = len(inputs["counts"])
        room, graph = self._variants.holding(nodes)
        patterns = np.where(inputs["patterns"] == nodes, np.int32(room), inputs["patterns"])
        block = self._block or len(patterns)
        tables = {
            "shallow": filled(inputs["shallow"], (1,), room),
            "deep": filled(inputs["deep"], (1,), room),
            "counts": filled(inputs["counts"], (0,), room),
        }
        parts, found = [], dict[str, Array]()
        for first in range(0, len(patterns), block):
            own = patterns[first : first + block]
            found = graph.run({**tables, "patterns": filled(own, (0,), block)})
            if len(found["graph"]) != block + 1 or len(found["injected"]) != room:
                raise wrong_output(self._file, "graph", found["graph"], f"{block + 1} rows")
            parts.append(found["graph"][: len(own)])
        return {"injected": found["injected"][:nodes], "graph": np.concatenate([*parts, found["graph"][-1:]])}
