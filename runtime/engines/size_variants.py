"""Run graphs of fixed sizes: choose the smallest that fits, and pad its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fusiongcn_edge.runtime.bundle.manifest import Graph
from fusiongcn_edge.runtime.engines.base import Session
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.types import Array


def pad_to(table: Array, axes: tuple[int, ...], wanted: int, value: float = 0) -> Array:
    """An array with each of these axes filled up to ``wanted`` rows."""
    more = [(0, wanted - table.shape[axis] if axis in axes else 0) for axis in range(table.ndim)]
    if not any(rows for _, rows in more):
        return table
    return np.pad(table, more, constant_values=value)


class SizeVariants:
    """One graph for several numbers of superpixels, opened. ``tensor``: an input whose second dimension is theirs."""

    def __init__(self, variants: Mapping[str, Graph], tensor: str, open_graph: Callable[[Graph], Session]) -> None:
        by_capacity = {graph.inputs[tensor][1][1]: graph for graph in variants.values()}
        self._any = next(
            (open_graph(graph) for capacity, graph in by_capacity.items() if isinstance(capacity, str)), None
        )
        self._opened = {
            capacity: open_graph(by_capacity[capacity])
            for capacity in sorted(r for r in by_capacity if isinstance(r, int))
        }

    def smallest_fitting(self, nodes: int) -> tuple[int, Session]:
        """The graph for so many superpixels, and how many it takes.

        Raises
        ------
        FusionError
            If it takes fewer.
        """
        if self._any is not None:
            return nodes, self._any
        for capacity, graph in self._opened.items():
            if nodes <= capacity:
                return capacity, graph
        raise FusionError(
            f"These photographs have {nodes} superpixels, and the model was exported for at most {max(self._opened)}",
            fix=f"use smaller photographs, or export it with --superpixels {nodes}",
        )
