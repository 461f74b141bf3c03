"""Make images to measure with."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def synthetic_pair(height: int, width: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A pair to measure with, the same one for a size and seed: detail of all sizes, sharp on either side of a wave."""
    scene = synthetic_photo(height, width, seed)
    blurred = cv2.GaussianBlur(scene, (0, 0), 3)
    rows, columns = np.mgrid[:height, :width]
    left = (columns < width / 2 + width / 8 * np.sin(rows * 8 / height))[:, :, None]
    first, second = np.where(left, scene, blurred), np.where(left, blurred, scene)
    return np.clip(first, 0, 255).astype(np.uint8), np.clip(second, 0, 255).astype(np.uint8)


def synthetic_photo(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Detail of all sizes, float32 H x W x 3, about 0 to 255."""
    rng = np.random.default_rng(seed)
    scene = np.zeros((height, width, 3), np.float32)
    for cell in (128, 32, 8, 2):
        coarse = rng.random((-(-height // cell) + 1, -(-width // cell) + 1, 3), np.float32)
        scene += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * (255 / 4)
    return scene
