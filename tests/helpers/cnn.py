"""A pair as the published CNN gets it, and what it answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.engines.base import get_engine
from fusiongcn_edge.runtime.networks.fusiongcn import open_cnn

Arrays = dict[str, NDArray[np.generic]]


def inputs(height: int, width: int, nodes: int = 9) -> Arrays:
    """A pair as the CNN gets it, with superpixels of at least four by four pixels."""
    rng = np.random.default_rng(height)
    small = rng.integers(0, nodes, (height // 4 + 1, width // 4 + 1), np.int32)
    small.ravel()[:nodes] = np.arange(nodes)
    return {
        "images": rng.uniform(-1, 1, (2, 3, height, width)).astype(np.float32),
        "labels": small.repeat(4, 0).repeat(4, 1)[:height, :width],
        "shallow": rng.random((2, nodes, 18), np.float32),
        "deep": rng.random((2, nodes, 36), np.float32),
    }


def probability(path: Path, arrays: Arrays, threads: int = 1) -> NDArray[np.float32]:
    bundle = load_bundle(path)
    return open_cnn(bundle, get_engine(bundle.engine), threads).run(arrays)["probability"]
