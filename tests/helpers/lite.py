"""Settings of Lite's superpixels, and a pair of noise."""

from __future__ import annotations

import numpy as np

from fusiongcn_edge.runtime.segmentation.settings import GridSlicSettings

SETTINGS = GridSlicSettings(segments_per_side=0.5, compactness=0.1, iterations=3)


def random_pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return tuple(rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(2))  # type: ignore[return-value]
