"""Fusion metrics, on gray images as float64 H x W in [0, 255]; for all of them, higher is better.

The definitions are the papers', in the variants of the MATLAB toolbox by Z. Liu that most published tables use.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.float64]

SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float64)
SOBEL_Y = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float64)
TINY = 2e-16
WINDOW = 8  # pixels, of the local statistics in the universal quality index


def to_gray(image: NDArray[Any]) -> Gray:
    """An 8-bit image as the metrics see it: uint8 H x W or H x W x 3 (BGR) to float64 H x W, rounded to integers."""
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return gray.astype(np.float64)


def q_g(a: Gray, b: Gray, fused: Gray) -> float:
    """How well edges keep their strength and direction, weighted by strength (Xydeas & Petrovic, 2000, eq. 1-9).

    0 for images without any edge.
    """
    strength_f, angle_f = _edges(fused)
    preserved = total = 0.0
    for source in (a, b):
        strength, angle = _edges(source)
        weaker, stronger = np.minimum(strength, strength_f), np.maximum(strength, strength_f)
        kept = weaker / np.where(stronger == 0, 1.0, stronger)
        turned = 1 - np.abs(angle - angle_f) / (np.pi / 2)
        quality = 0.9994 / (1 + np.exp(-15 * (kept - 0.5))) * 0.9879 / (1 + np.exp(-22 * (turned - 0.8)))
        preserved += float((quality * strength).sum())
        total += float(strength.sum())
    return preserved / total if total else 0.0


def _edges(image: Gray) -> tuple[Gray, Gray]:
    gx = cv2.filter2D(image, cv2.CV_64F, SOBEL_X, borderType=cv2.BORDER_CONSTANT)
    gy = cv2.filter2D(image, cv2.CV_64F, SOBEL_Y, borderType=cv2.BORDER_CONSTANT)
    return np.hypot(gx, gy), np.arctan(gy / np.where(gx == 0, 1e-5, gx))


def q_w(a: Gray, b: Gray, fused: Gray) -> float:
    """Weighted fusion quality index (Piella & Heijmans, 2003, eq. 7) on the universal image quality index.

    Local similarity of the fused image to the sources, each weighted by its local variance, and places weighted by the
    greater of the two variances. 1 for images without any detail.
    """
    similar_a, variance_a = _quality_index(a, fused)
    similar_b, variance_b = _quality_index(b, fused)
    both = variance_a + variance_b
    share = np.where(both > 0, variance_a / np.where(both > 0, both, 1), 0.5)
    saliency = np.maximum(variance_a, variance_b)
    if not saliency.any():
        return 1.0
    return float((saliency * (share * similar_a + (1 - share) * similar_b)).sum() / saliency.sum())


def _quality_index(x: Gray, y: Gray) -> tuple[Gray, Gray]:
    """Universal image quality index of each window (Wang & Bovik, 2002), and the variance of ``x`` in it."""

    def mean(image: Gray) -> Gray:
        whole = cv2.blur(image, (WINDOW, WINDOW), anchor=(0, 0))
        return whole[: image.shape[0] - WINDOW + 1, : image.shape[1] - WINDOW + 1].astype(np.float64)

    mean_x, mean_y = mean(x), mean(y)
    variance_x = np.maximum(mean(x * x) - mean_x**2, 0)
    variance_y = np.maximum(mean(y * y) - mean_y**2, 0)
    covariance = mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + TINY) / (mean_x**2 + mean_y**2 + TINY)
    return luminance * (2 * covariance + TINY) / (variance_x + variance_y + TINY), variance_x
