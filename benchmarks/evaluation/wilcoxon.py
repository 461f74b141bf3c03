"""Whether one method beats another on the same images: paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """``better`` and ``worse`` count images, ``p`` is that of :func:`signed_rank`; ``difference`` is the mean one."""

    images: int
    better: int
    worse: int
    difference: float
    p: float


def compare(values: Sequence[float], reference: Sequence[float], lower_is_better: bool = False) -> Comparison:
    """A method's values against another's, image by image."""
    differences = np.asarray(values, np.float64) - np.asarray(reference, np.float64)
    gains = -differences if lower_is_better else differences
    return Comparison(
        len(gains), int((gains > 0).sum()), int((gains < 0).sum()), float(differences.mean()), signed_rank(gains)
    )


def signed_rank(differences: Sequence[float] | np.ndarray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test (Wilcoxon, 1945): how often signs drawn at random give rank sums
    at least as unequal as these.

    Exact, also with ties, which get their mean rank; differences of 0 are left out, and without any other, p is 1.
    """
    found = np.asarray(differences, np.float64)
    found = found[found != 0]
    if not found.size:
        return 1.0
    sizes = np.abs(found)
    below, not_above = (sizes[:, None] > sizes).sum(1), (sizes[:, None] >= sizes).sum(1)
    doubled = below + not_above + 1  # twice the mean rank: whole numbers
    chances = np.zeros(doubled.sum() + 1)  # of each sum of the ranks of positive differences
    chances[0] = 1.0
    for rank in doubled:
        chances[rank:] = (chances[rank:] + chances[:-rank]) / 2
        chances[:rank] /= 2
    total = int(doubled[found > 0].sum())
    return float(min(1.0, 2 * min(chances[: total + 1].sum(), chances[total:].sum())))


def chance(p: float) -> str:
    """How a table tells it."""
    return "p<0.0001" if p < 0.0001 else f"p={p:.4f}"
