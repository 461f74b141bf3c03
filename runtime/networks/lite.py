"""FusionGCN-Lite: a GCN on superpixels, a CNN on pixels."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.engines.base import Arrays, Engine
from fusiongcn_edge.runtime.networks.gcn import Gcn
from fusiongcn_edge.runtime.networks.lite_inputs import Seen, region_affinity, region_features, regions, see
from fusiongcn_edge.runtime.segmentation.settings import STEP, RegionSettings
from fusiongcn_edge.runtime.tiling.windowed_cnn import WindowedCnn
from fusiongcn_edge.runtime.types import Labels, Probability, Share

LITE_GCN_INPUTS = {"features": ((1,), 0.0), "affinity": ((0, 1), 0.0)}


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
        """See :class:`fusiongcn_edge.runtime.networks.lite_inputs.Seen`."""
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
