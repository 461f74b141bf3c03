"""Estimate and apply the exposure gain between two frames."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.registration.pyramid import ImagePyramid, inverse, resample
from fusiongcn_edge.runtime.types import Matrix

CLIPPED = 0.02, 0.98  # of the full range: outside, a pixel tells nothing of the exposure


def estimate_gain(reference: ImagePyramid, frame: ImagePyramid, matrix: Matrix) -> float:
    """Estimate the gain that makes a frame as bright as the reference; NaN where every pixel of one is clipped.

    It is the ratio of the means of what both show: defocus leaves a mean as it is.
    """
    to_scale = reference.to_scale(0)
    moved, inside = resample(frame.gray, to_scale @ matrix @ inverse(to_scale))
    both = np.stack([reference.gray.ravel(), moved.ravel()])
    use = inside & (both > CLIPPED[0]).all(axis=0) & (both < CLIPPED[1]).all(axis=0)
    if not use.any():
        return math.nan
    first, second = both[:, use].mean(axis=1, dtype=np.float64)
    return float(first / second)


def gain_table(gain: float, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Every value times the gain."""
    most = np.iinfo(dtype).max
    return np.clip(np.rint(np.arange(most + 1) * gain), 0, most).astype(dtype)


def apply_gain(pixels: NDArray[Any], table: NDArray[Any] | None) -> NDArray[Any]:
    """Values, not alpha, as a table has them; without one, as they are."""
    if table is None:
        return pixels
    result = table[pixels]
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        result[:, :, 3] = pixels[:, :, 3]
    return result
