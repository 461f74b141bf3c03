"""The model bundle in memory: what a manifest (``bundle.json``) says."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusiongcn_edge.runtime.segmentation.settings import (
    GridSlicSettings,
    SlicSettings,
    round_up_to_multiple,
)

FORMAT = 4
MANIFEST = "bundle.json"
GRAPHS = ("gcn", "cnn")
BLENDS = ("hard", "soft")
SEQUENTIAL, SIMULTANEOUS = "sequential", "simultaneous"  # order in which small components of a decision are flipped
PUBLISHED, LITE = "fusiongcn", "lite"  # networks


def base_name(key: str) -> str:
    """``stem`` of ``stem@40x104``: what follows the @ tells the sizes of a graph apart."""
    return key.partition("@")[0]


@dataclass(frozen=True)
class Graph:
    """A graph and its tensors: name of each to (dtype, shape), free dimensions by name.

    ``data`` is the content of its file; ``entry`` is its name in there, where a file holds several graphs.
    """

    file: str
    data: bytes
    inputs: dict[str, tuple[str, tuple[int | str, ...]]]
    outputs: dict[str, tuple[str, tuple[int | str, ...]]]
    entry: str | None = None


@dataclass(frozen=True)
class Stage:
    """One step of a CNN that runs in tiles; see :class:`fusiongcn_edge.runtime.tiling.staged_cnn.TiledCnn`.

    ``halo``: input to the number of pixels around the tile that it comes with, zeros outside the image. All images come
    with ``valid_crop`` pixels more, where the image has them, which are cut off the outputs. ``gather``: input that is
    a table, handed over as an image: to each pixel the row that another image, an input of ``places``, says.
    """

    graph: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    halo: dict[str, int]
    valid_crop: int
    gather: dict[str, str]

    @property
    def reads(self) -> tuple[str, ...]:
        """All that it is computed from: its inputs, and the images that say where tables are spread."""
        return (*self.inputs, *self.gather.values())

    @property
    def sums(self) -> tuple[str, ...]:
        """The outputs that are sums over a tile."""
        return tuple(name for name in self.outputs if name.endswith(("_sum", "_squares")))


@dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory."""

    path: Path
    name: str
    network: str  # PUBLISHED or LITE
    precision: str
    engine: str
    minimum_size: int
    superpixels: SlicSettings | GridSlicSettings
    margin: int  # pixels around a window of the CNN that what is in it depends on; 0 if it depends on all
    threshold: float
    smallest_component: float
    component_removal: str  # SEQUENTIAL or SIMULTANEOUS
    blend: str  # one of BLENDS
    graphs: dict[str, Graph]
    stages: tuple[Stage, ...]  # the CNN, tables first; none if it is one graph
    cached_tensors: tuple[str, ...]  # images between stages worth keeping; the first is the cheapest to compute again
    params: int
    macs_terms: dict[str, float]
    origin: dict[str, Any]
    quantization: dict[str, Any]  # how it was made from float32, and what it lost; empty if it was not

    def variants(self, name: str) -> dict[str, Graph]:
        """The graph's variants by the size that each is made for; one, under "", if its size is free."""
        return {key.partition("@")[2]: graph for key, graph in self.graphs.items() if base_name(key) == name}

    @property
    def files(self) -> dict[str, bytes]:
        """The content of each graph file by its name; several graphs may lie in one."""
        return {graph.file: graph.data for graph in self.graphs.values()}

    @property
    def sizes(self) -> list[str]:
        """The sizes that the CNN's graphs are made for; "" if its size is free."""
        return list(self.variants(self.stages[-1].graph if self.stages else "cnn"))

    def at_size(self, size: str) -> Bundle:
        """The same model, its CNN for one of its sizes only."""
        cnn = {stage.graph for stage in self.stages[1:]} or {"cnn"}
        kept = {
            key: graph for key, graph in self.graphs.items() if base_name(key) not in cnn or key.endswith(f"@{size}")
        }
        return dataclasses.replace(self, graphs=kept) if size else self

    def macs(self, height: int, width: int, nodes: int | None = None) -> int:
        """Multiply-accumulates of both graphs for one pair; ``nodes``: superpixels, default the usual number."""
        nodes = self.superpixels.nodes(height, width) if nodes is None else nodes
        pixels = math.prod(round_up_to_multiple(height, width)) if self.network == LITE else height * width
        terms = {"per_pair": 1, "per_pixel": pixels, "per_node": nodes, "per_node_squared": nodes * nodes}
        return round(sum(self.macs_terms[term] * count for term, count in terms.items()))
