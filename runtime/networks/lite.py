"""FusionGCN-Lite: a GCN on superpixels, a CNN on pixels."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.engines.base import Arrays, Engine
from fusiongcn_edge.runtime.networks.gcn import Gcn
from fusiongcn_edge.runtime.networks.lite_inputs import (
    LiteInputs,
    grid_superpixels,
    preprocess,
    region_affinity,
    region_features,
)
from fusiongcn_edge.runtime.segmentation.settings import STEP, GridSlicSettings
from fusiongcn_edge.runtime.tiling.windowed_cnn import WindowedCnn
from fusiongcn_edge.runtime.types import Labels, OnProgress, Probability

LITE_GCN_INPUTS = {"features": ((1,), 0.0), "affinity": ((0, 1), 0.0)}


class LiteNetwork:
    """FusionGCN-Lite."""

    superpixel_stride = STEP

    def __init__(self, bundle: Bundle, engine: Engine, threads: int, limit: int | None) -> None:
        assert isinstance(bundle.superpixels, GridSlicSettings)
        self._settings = bundle.superpixels
        self._gcn = Gcn(bundle, lambda graph: engine.load(graph, 1), LITE_GCN_INPUTS)
        self._cnn = WindowedCnn(
            bundle, lambda graph: engine.load(graph, threads, shared_arena=True), engine.channels_last, limit
        )

    def preprocess(self, first: NDArray[Any], second: NDArray[Any]) -> LiteInputs:
        """See :class:`fusiongcn_edge.runtime.networks.lite_inputs.LiteInputs`."""
        return preprocess(first, second)

    def superpixels(self, seen: LiteInputs) -> Labels:
        """H'/4 x W'/4."""
        return grid_superpixels(seen, self._settings)

    def graph(self, seen: LiteInputs, labels: Labels) -> Arrays:
        """``features`` and ``affinity``."""
        return {"features": region_features(seen, labels), "affinity": region_affinity(seen, labels)}

    def pixels(self, seen: LiteInputs) -> NDArray[Any]:
        """Gray levels."""
        return seen.gray

    def embed(self, graph: Arrays) -> Arrays:
        """``context``."""
        return self._gcn.run(graph)

    def classify(
        self, pixels: NDArray[Any], labels: Labels, embeddings: Arrays, share: OnProgress | None = None
    ) -> Probability:
        """H' x W', multiples of 8."""
        return self._cnn.run(pixels, labels, embeddings["context"], share)
