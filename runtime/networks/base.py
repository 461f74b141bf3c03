"""The protocol of a network: from a pair to the focus probability."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from fusiongcn_edge.runtime.engines.base import Arrays
from fusiongcn_edge.runtime.types import Labels, OnProgress, Probability


class Network(Protocol):
    """From a pair to the focus probability. ``Any`` is what a network sees of a pair, its own affair.

    ``superpixel_stride``: pixels along each side of the square that one label covers.
    """

    superpixel_stride: int

    def preprocess(self, first: NDArray[Any], second: NDArray[Any]) -> Any:
        """What the network looks at, of two photographs as ``Fuser.fuse`` takes them."""

    def superpixels(self, seen: Any) -> Labels:
        """Labels 0 .. N-1, int32."""

    def graph(self, seen: Any, labels: Labels) -> Arrays:
        """The GCN's inputs."""

    def pixels(self, seen: Any) -> Any:
        """What of it the CNN needs."""

    def embed(self, graph: Arrays) -> Arrays:
        """The GCN: a row for each superpixel."""

    def classify(self, pixels: Any, labels: Labels, embeddings: Arrays, share: OnProgress | None = None) -> Probability:
        """The CNN: how surely the first photograph is the sharp one, float32 of at least H x W. ``share`` is called
        with how much is done, 0 to 1.
        """
