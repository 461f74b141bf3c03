"""Quality against cost: Pareto fronts, and an index of our own (it is not the paper's, which published no formula)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

# what costs are divided by, whatever else is in a table: about the published network, and round numbers
REFERENCE = {"macs": 50e9, "params": 100e3, "seconds": 1.0, "peak_bytes": 1e9}
REFERENCE_WITH_ENERGY = {**REFERENCE, "joules": 10.0}


def index(
    psnr: float | None, costs: Mapping[str, float | None], reference: Mapping[str, float] = REFERENCE
) -> float | None:
    """Efficiency in dB: ``psnr`` less ten times the logarithm of the geometric mean of cost / reference.

    Each dB of PSNR counts one; ten times less of every cost counts ten. It depends on nothing but its own method. A
    quantity that was not measured is never guessed and never left out of the mean, which would make indices
    incomparable: None where one of ``reference`` is not known (or 0, which has no logarithm), or PSNR is not. So energy
    is in an index of its own, with ``REFERENCE_WITH_ENERGY``.
    """
    ratios = [(costs.get(name) or 0) / unit for name, unit in reference.items()]
    if psnr is None or min(ratios) <= 0:
        return None
    return psnr - 10 * sum(map(math.log10, ratios)) / len(ratios)


def front(costs: Sequence[float], qualities: Sequence[float]) -> list[int]:
    """Which points no other one beats: none costs no more and is no worse without being equal in both. By cost."""
    points = list(zip(costs, qualities, strict=True))
    beaten = [any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in points)
              for cost, quality in points]  # fmt: skip
    return sorted((number for number, lost in enumerate(beaten) if not lost), key=lambda number: points[number])
