"""Convert between sample types, and compare images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.types import Float32


def eight_bit_colour(image: NDArray[Any]) -> NDArray[np.uint8]:
    """A photograph of any kind as uint8 H x W x 3."""
    if image.dtype == np.uint16:
        image = (image // 257).astype(np.uint8)
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    return np.ascontiguousarray(image[:, :, :3])


def psnr(image: NDArray[Any], truth: NDArray[Any], peak: float = 255) -> float:
    """Peak signal-to-noise ratio in dB, at most 100, which equal images have."""
    error = float(np.mean(np.square(image.astype(np.float64) - truth)))
    return min(100.0, 10 * math.log10(peak**2 / error)) if error else 100.0


def luminance(gray: NDArray[Any], out: Float32 | None = None) -> Float32:
    """Gray levels, uint8 or uint16, as float32 in [-1, 1]."""
    found = np.multiply(gray, np.float32(2 / np.iinfo(gray.dtype).max), out=out, dtype=np.float32)
    found -= 1
    return found
