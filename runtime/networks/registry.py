"""Open the network that a bundle names."""

from __future__ import annotations

from fusiongcn_edge.runtime.bundle.manifest import LITE, Bundle
from fusiongcn_edge.runtime.engines.base import Engine
from fusiongcn_edge.runtime.networks.base import Network
from fusiongcn_edge.runtime.networks.fusiongcn import PublishedNetwork
from fusiongcn_edge.runtime.networks.lite import LiteNetwork


def open_network(bundle: Bundle, engine: Engine, threads: int, limit: int | None = None) -> Network:
    """The network of a bundle on an engine; ``limit``: bytes that the process may hold, see :class:`TiledCnn`."""
    kind = LiteNetwork if bundle.network == LITE else PublishedNetwork
    return kind(bundle, engine, threads, limit)
