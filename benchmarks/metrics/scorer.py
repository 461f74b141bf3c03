"""Score a fused image by all fusion metrics at once; for all but Q_CV, higher is better.

>>> import numpy as np
>>> image = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
>>> values = FusionScorer(image, image).values(image)
>>> round(values["Q_W"], 6), values["Q_CV"]
(1.0, 0.0)

Metrics are computed on gray images, float64 H x W in [0, 255]. The definitions are the papers', in the variants of the
MATLAB toolbox by Z. Liu, as corrected by Y. Liu, that most published tables use: of several readings of a paper, the
one that gives their values.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.metrics.conversion import check_sizes, eight_bits, match_channels, to_gray
from fusiongcn_edge.benchmarks.metrics.filters import Gray, edges, ratio
from fusiongcn_edge.benchmarks.metrics.gradient import q_g
from fusiongcn_edge.benchmarks.metrics.information import q_mi, q_ncie
from fusiongcn_edge.benchmarks.metrics.perceptual import Maps, kept_features, phase_congruency, q_cb, q_cv, q_p
from fusiongcn_edge.benchmarks.metrics.structural import q_c, q_e, q_s, q_w, q_y, ssim
from fusiongcn_edge.runtime.fusion.decision_map import SMALLEST_REGION, THRESHOLD, decision_map
from fusiongcn_edge.runtime.io.pixels import psnr
from fusiongcn_edge.runtime.types import OnStage

BAND = 5.0  # pixels from the boundary between the two photographs
ERROR_SIGMA = 2.0  # pixels over which errors are averaged to find the better photograph

METRICS: dict[str, Callable[[Gray, Gray, Gray], float]] = {
    "Q_MI": q_mi,
    "Q_NCIE": q_ncie,
    "Q_G": q_g,
    "Q_P": q_p,
    "Q_S": q_s,
    "Q_W": q_w,
    "Q_E": q_e,
    "Q_C": q_c,
    "Q_Y": q_y,
    "Q_CB": q_cb,
    "Q_CV": q_cv,
}
TRUTH_METRICS = ("PSNR", "SSIM", "PSNR_boundary")
LOWER_IS_BETTER = {"Q_CV"}


class FusionScorer:
    """A pair of photographs, and the all-in-focus image where there is one, to evaluate fused images with.

    Parameters
    ----------
    a, b, truth : uint8 or uint16, H x W, H x W x 3 (BGR) or H x W x 4 (alpha is not looked at)

    Raises
    ------
    FusionError
        If their sizes differ, or are below 16 pixels on a side.
    """

    def __init__(self, a: NDArray[Any], b: NDArray[Any], truth: NDArray[Any] | None = None) -> None:
        named = {"first photograph": a, "second photograph": b} | ({} if truth is None else {"truth": truth})
        check_sizes(named)
        self.a, self.b, self.truth = a, b, truth
        self._gray = to_gray(a), to_gray(b)

    @cached_property
    def _features(self) -> tuple[Maps, Maps]:
        return phase_congruency(self._gray[0]), phase_congruency(self._gray[1])

    @cached_property
    def band(self) -> NDArray[np.bool_]:
        """The :func:`boundary_band`."""
        assert self.truth is not None
        return boundary_band(*(eight_bits(match_channels(each, self.truth)) for each in (self.a, self.b, self.truth)))

    def values(self, fused: NDArray[Any], progress: OnStage = lambda metric: None) -> dict[str, float]:
        """Every metric by name; never NaN. ``progress`` is called with each name in turn.

        With a truth also PSNR (over all channels), SSIM (gray) and PSNR_boundary (in the :func:`boundary_band`; left
        out where one photograph is the better one everywhere).

        Raises
        ------
        FusionError
            If the size is not that of the photographs.
        """
        check_sizes({"first photograph": self.a, "fused image": fused})
        gray = to_gray(fused)
        values = {}
        for name, metric in METRICS.items():
            progress(name)
            if metric is q_p:  # the same features of the photographs for every fused image
                values[name] = kept_features(*self._features, phase_congruency(gray))
            else:
                values[name] = metric(*self._gray, gray)
        if self.truth is not None:
            image, target = (eight_bits(match_channels(each, self.truth)) for each in (fused, self.truth))
            values |= {"PSNR": psnr(image, target), "SSIM": ssim(gray, to_gray(self.truth))}
            if self.band.any():
                values["PSNR_boundary"] = psnr(image[self.band], target[self.band])
        return values


def boundary_band(a: NDArray[Any], b: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the decision is hard: pixels at most 5 pixels away from where the better photograph changes.

    The better one has the smaller squared error to the truth, averaged over channels and by a Gaussian of sigma 2;
    connected components below 0.1 % of the image are flipped, as in a decision map.
    """
    errors = []
    for source in (a, b):
        squares = np.square(source - truth)
        squares = squares if squares.ndim == 2 else squares.mean(2)
        errors.append(cv2.GaussianBlur(squares, (0, 0), ERROR_SIGMA))
    better = ratio(errors[1], errors[0] + errors[1], THRESHOLD).astype(np.float32)
    side = decision_map(better, THRESHOLD, SMALLEST_REGION)
    edge = edges(side)
    if not edge.any():
        return edge
    away = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= BAND)
