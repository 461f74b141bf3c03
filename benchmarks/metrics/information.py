"""Fusion metrics from information theory: Q_MI and Q_NCIE, on histograms of 256 levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.metrics.filters import Gray, rescale_to_255

LEVELS = 256


def q_mi(a: Gray, b: Gray, fused: Gray) -> float:
    """Normalized mutual information (Hossny et al., 2008), with entropies H and information I in bits, of images
    stretched to 0 ... 255, by histograms of 256 levels:

        2 (I(a, f) / (H(a) + H(f)) + I(b, f) / (H(b) + H(f)))

    2 is best; a constant image shares nothing with any other, and adds 0.
    """
    total = 0.0
    for source in (a, b):
        information, entropies = mutual_information(source, fused)
        total += 2 * information / entropies if entropies else 0.0
    return total


def q_ncie(a: Gray, b: Gray, fused: Gray) -> float:
    """Nonlinear correlation information entropy (Wang, Shen & Jin, 2008): 1 + sum of
    e/3 log256(e/3) over the eigenvalues e of the matrix of the nonlinear correlations between a, b and f, which are
    their mutual informations by a logarithm to base 256. From 0.80 for unrelated (or constant) images upward.
    """
    correlations = np.eye(3)
    images = (a, b, fused)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        correlations[i, j] = correlations[j, i] = mutual_information(images[i], images[j])[0] / np.log2(LEVELS)
    shares = np.clip(np.linalg.eigvalsh(correlations) / 3, 0, None)
    return float(1 - _entropy(shares) / np.log2(LEVELS))


def mutual_information(x: Gray, y: Gray) -> tuple[float, float]:
    """Mutual information of two images stretched to 0 ... 255, and the sum of their entropies, in bits."""
    cells = (rescale_to_255(x) * LEVELS + rescale_to_255(y)).astype(np.int64)
    joint = np.bincount(cells.ravel(), minlength=LEVELS**2).reshape(LEVELS, LEVELS) / x.size
    entropies = _entropy(joint.sum(0)) + _entropy(joint.sum(1))
    return max(entropies - _entropy(joint), 0.0), entropies


def _entropy(shares: NDArray[np.float64]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log2(present)).sum())
