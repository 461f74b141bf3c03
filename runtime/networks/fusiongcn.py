"""FusionGCN (Ouyang et al., Expert Systems With Applications 262, 2025), as published."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.engines.base import Arrays, Engine
from fusiongcn_edge.runtime.networks.fusiongcn_inputs import network_input, superpixels
from fusiongcn_edge.runtime.networks.gcn import Gcn
from fusiongcn_edge.runtime.networks.region_graph import MASKED_LOGIT, node_features, region_graph
from fusiongcn_edge.runtime.segmentation.settings import SlicSettings
from fusiongcn_edge.runtime.tiling.overlapping_cnn import OverlappingCnn
from fusiongcn_edge.runtime.tiling.staged_cnn import TiledCnn
from fusiongcn_edge.runtime.types import RESULT, Labels, OnProgress, Probability

# the GCNs' inputs: which axes are superpixels, and what stands for those that are not there
GCN_INPUTS = {"features": ((1,), 0.0), "adjacency": ((0, 1), 0.0), "attention_mask": ((0, 1), float(MASKED_LOGIT))}


class PublishedNetwork:
    """FusionGCN (Ouyang et al., 2025)."""

    superpixel_stride = 1

    def __init__(self, bundle: Bundle, engine: Engine, threads: int, limit: int | None) -> None:
        assert isinstance(bundle.superpixels, SlicSettings)
        self._settings = bundle.superpixels
        self._gcn = Gcn(bundle, lambda graph: engine.load(graph, 1), GCN_INPUTS)
        self._cnn = open_cnn(bundle, engine, threads, limit)

    def preprocess(self, first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float32]:
        """2 x 3 x H x W, RGB in [-1, 1]."""
        return network_input(first, second)

    def superpixels(self, seen: NDArray[np.float32]) -> Labels:
        """H x W."""
        return superpixels(seen, self._settings)

    def graph(self, seen: NDArray[np.float32], labels: Labels) -> Arrays:
        """``features``, ``adjacency`` and ``attention_mask``."""
        adjacency, attention_mask = region_graph(labels)
        return {"features": node_features(seen, labels), "adjacency": adjacency, "attention_mask": attention_mask}

    def pixels(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the input as it is: the CNN takes all of it."""
        return seen

    def embed(self, graph: Arrays) -> Arrays:
        """``shallow`` and ``deep``."""
        return self._gcn.run(graph)

    def classify(
        self, pixels: NDArray[np.float32], labels: Labels, embeddings: Arrays, share: OnProgress | None = None
    ) -> Probability:
        """H x W."""
        return self._cnn.run({"images": pixels, "labels": labels, **embeddings}, share)[RESULT]


def open_cnn(bundle: Bundle, engine: Engine, threads: int, limit: int | None = None) -> TiledCnn | OverlappingCnn:
    """The CNN of a published network, in whatever form the bundle holds it; ``limit``: see :class:`TiledCnn`."""
    if bundle.stages:
        return TiledCnn(bundle, lambda graph: engine.load(graph, 1, shared_arena=True), threads, limit)
    return OverlappingCnn(bundle, lambda graph: engine.load(graph, threads))
