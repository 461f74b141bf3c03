"""Fusion metric from gradients: Q_G, also called Q^AB/F (Xydeas & Petrovic, 2000)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusiongcn_edge.benchmarks.metrics.filters import SOBEL_X, SOBEL_Y, Gray, filter_same, ratio


def q_g(a: Gray, b: Gray, fused: Gray) -> float:
    """Measure how well edges keep their strength and direction, in [0, 1]; higher is better.

    Of each source s and pixel, with the Sobel gradient's magnitude g and angle alpha:

        G = min(g_s, g_f) / max(g_s, g_f),  A = 1 - |alpha_s - alpha_f| / (pi / 2)
        Q = 0.9994 / (1 + exp(-15 (G - 0.5))) * 0.9879 / (1 + exp(-22 (A - 0.8)))

    Q_G is the mean of Q over both sources and all pixels, weighted by g_s. 0 for images without any edge.
    """
    return q_g_of_stack((a, b), fused)


def q_g_of_stack(sources: Sequence[Gray], fused: Gray) -> float:
    """Compute :func:`q_g` for any number of sources."""
    strength_f, angle_f = _gradient(fused)
    preserved = total = 0.0
    for source in sources:
        strength, angle = _gradient(source)
        strength_kept = ratio(np.minimum(strength, strength_f), np.maximum(strength, strength_f), 0.0)
        angle_kept = 1 - np.abs(angle - angle_f) / (np.pi / 2)
        quality = 0.9994 / (1 + np.exp(-15 * (strength_kept - 0.5))) * 0.9879 / (1 + np.exp(-22 * (angle_kept - 0.8)))
        preserved += float((quality * strength).sum())
        total += float(strength.sum())
    return preserved / total if total else 0.0


def _gradient(image: Gray) -> tuple[Gray, Gray]:
    """Magnitude and angle of the Sobel gradient."""
    gx, gy = filter_same(image, SOBEL_X), filter_same(image, SOBEL_Y)
    return np.hypot(gx, gy), np.arctan(gy / np.where(gx == 0, 1e-5, gx))
