"""The two networks on an engine, step by step: what each sees, its superpixels, its graph, its GCN and its CNN."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle import LITE, Bundle
from fusiongcn_edge.runtime.engines.base import Arrays, Engine
from fusiongcn_edge.runtime.graph import BLOCKED, node_features, region_graph
from fusiongcn_edge.runtime.images import network_input
from fusiongcn_edge.runtime.padding import Gcn
from fusiongcn_edge.runtime.progress import Share
from fusiongcn_edge.runtime.regions import (
    STEP,
    RegionSettings,
    Seen,
    region_affinity,
    region_features,
    regions,
    see,
)
from fusiongcn_edge.runtime.superpixels import SuperpixelSettings, superpixels
from fusiongcn_edge.runtime.tiles import TiledCnn
from fusiongcn_edge.runtime.windows import RESULT, OverlappingCnn, WindowedCnn

Labels = NDArray[np.int32]
Probability = NDArray[np.float32]

# the GCNs' inputs: which axes are superpixels, and what stands for those that are not there
GCN_INPUTS = {"features": ((1,), 0.0), "adjacency": ((0, 1), 0.0), "attention_mask": ((0, 1), float(BLOCKED))}
LITE_GCN_INPUTS = {"features": ((1,), 0.0), "affinity": ((0, 1), 0.0)}


class Network(Protocol):
    """From a pair to the focus probability. ``Any`` is what a network sees of a pair, its own affair.

    ``step``: pixels along a side of what one label stands for.
    """

    step: int

    def see(self, first: NDArray[Any], second: NDArray[Any]) -> Any:
        """What the network looks at, of two photographs as ``Fuser.fuse`` takes them."""

    def superpixels(self, seen: Any) -> Labels:
        """Labels 0 .. N-1, int32."""

    def graph(self, seen: Any, labels: Labels) -> Arrays:
        """The GCN's inputs."""

    def pixels(self, seen: Any) -> Any:
        """What of it the CNN needs."""

    def embed(self, graph: Arrays) -> Arrays:
        """The GCN: a row for each superpixel."""

    def classify(self, pixels: Any, labels: Labels, embeddings: Arrays, share: Share | None = None) -> Probability:
        """The CNN: how surely the first photograph is the sharp one, float32 of at least H x W. ``share`` is called
        with how much is done, 0 to 1.
        """


class PublishedNetwork:
    """FusionGCN (Ouyang et al., 2025)."""

    step = 1

    def __init__(self, bundle: Bundle, engine: Engine, threads: int, limit: int | None) -> None:
        assert isinstance(bundle.superpixels, SuperpixelSettings)
        self._settings = bundle.superpixels
        self._gcn = Gcn(bundle, lambda graph: engine.open(graph, 1), GCN_INPUTS)
        self._cnn = open_cnn(bundle, engine, threads, limit)

    def see(self, first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float32]:
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
        """The same."""
        return seen

    def embed(self, graph: Arrays) -> Arrays:
        """``shallow`` and ``deep``."""
        return self._gcn.run(graph)

    def classify(
        self, pixels: NDArray[np.float32], labels: Labels, embeddings: Arrays, share: Share | None = None
    ) -> Probability:
        """H x W."""
        return self._cnn.run({"images": pixels, "labels": labels, **embeddings}, share)[RESULT]


class LiteNetwork:
    """FusionGCN-Lite."""

    step = STEP

    def __init__(self, bundle: Bundle, engine: Engine, threads: int, limit: int | None) -> None:
        assert isinstance(bundle.superpixels, RegionSettings)
        self._settings = bundle.superpixels
        self._gcn = Gcn(bundle, lambda graph: engine.open(graph, 1), LITE_GCN_INPUTS)
        self._cnn = WindowedCnn(
            bundle, lambda graph: engine.open(graph, threads, pooled=True), engine.channels_last, limit
        )

    def see(self, first: NDArray[Any], second: NDArray[Any]) -> Seen:
        """See :class:`fusiongcn_edge.runtime.regions.Seen`."""
        return see(first, second)

    def superpixels(self, seen: Seen) -> Labels:
        """H'/4 x W'/4."""
        return regions(seen, self._settings)

    def graph(self, seen: Seen, labels: Labels) -> Arrays:
        """``features`` and ``affinity``."""
        return {"features": region_features(seen, labels), "affinity": region_affinity(seen, labels)}

    def pixels(self, seen: Seen) -> NDArray[Any]:
        """Gray levels."""
        return seen.gray

    def embed(self, graph: Arrays) -> Arrays:
        """``context``."""
        return self._gcn.run(graph)

    def classify(
        self, pixels: NDArray[Any], labels: Labels, embeddings: Arrays, share: Share | None = None
    ) -> Probability:
        """H' x W', multiples of 8."""
        return self._cnn.run(pixels, labels, embeddings["context"], share)


def open_network(bundle: Bundle, engine: Engine, threads: int, limit: int | None = None) -> Network:
    """The network of a bundle on an engine; ``limit``: bytes that the process may hold, see :class:`TiledCnn`."""
    kind = LiteNetwork if bundle.network == LITE else PublishedNetwork
    return kind(bundle, engine, threads, limit)


def open_cnn(bundle: Bundle, engine: Engine, threads: int, limit: int | None = None) -> TiledCnn | OverlappingCnn:
    """The CNN of a published network, in whatever form the bundle holds it; ``limit``: see :class:`TiledCnn`."""
    if bundle.stages:
        return TiledCnn(bundle, lambda graph: engine.open(graph, 1, pooled=True), threads, limit)
    return OverlappingCnn(bundle, lambda graph: engine.open(graph, threads))
