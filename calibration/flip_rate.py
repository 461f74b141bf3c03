"""Measure what a model loses in other precisions, against the same model in float32.

Three measures: flipped decisions (share of pixels that are taken from the other photograph), PSNR of the fused image,
and the mean error of the probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusiongcn_edge.calibration.calibration_data import Pair
from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.fuser import Fuser
from fusiongcn_edge.runtime.io.pixels import psnr


@dataclass(frozen=True)
class Loss:
    """What is lost, by pair.

    Attributes
    ----------
    flips : tuple of float
        Shares of pixels, 0 to 1, whose decision flips.
    psnr : tuple of float
        Of the fused image, dB.
    error : tuple of float
        Mean absolute errors of the probability.
    """

    flips: tuple[float, ...]
    psnr: tuple[float, ...]
    error: tuple[float, ...]

    @property
    def mean_flips(self) -> float:
        """Flip rate: mean over the pairs."""
        return float(np.mean(self.flips))

    @property
    def worst_flips(self) -> float:
        """Flip rate of the worst pair."""
        return max(self.flips)

    @property
    def mean_psnr(self) -> float:
        """Mean over the pairs, dB."""
        return float(np.mean(self.psnr))

    @property
    def mean_error(self) -> float:
        """Mean over the pairs."""
        return float(np.mean(self.error))


class FlipRateEvaluator:
    """Compare bundles with one in float32, on the same pairs.

    Parameters
    ----------
    bundle : Bundle
        The reference.
    pairs : sequence of (first, second)
    """

    def __init__(self, bundle: Bundle, pairs: Sequence[Pair]) -> None:
        fuser = Fuser(bundle)
        self.bundle, self._pairs = bundle, pairs
        self._expected = [fuser.fuse(*pair) for pair in pairs]

    def loss(self, candidate: Bundle) -> Loss:
        """Measure what a bundle loses against the reference."""
        fuser = Fuser(candidate)
        found = [fuser.fuse(*pair) for pair in self._pairs]
        compared = list(zip(found, self._expected, strict=True))
        return Loss(
            flips=tuple(float(np.mean(a.decision != b.decision)) for a, b in compared),
            psnr=tuple(psnr(a.image, b.image, np.iinfo(b.image.dtype).max) for a, b in compared),
            error=tuple(float(np.abs(a.probability - b.probability).mean()) for a, b in compared),
        )
