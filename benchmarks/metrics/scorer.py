"""Fusion metrics, on gray images as float64 H x W in [0, 255]; for all but Q_CV, higher is better.

>>> import numpy as np
>>> image = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
>>> values = Judge(image, image).values(image)
>>> round(values["Q_W"], 6), values["Q_CV"]
(1.0, 0.0)

The definitions are the papers', in the variants of the MATLAB toolbox by Z. Liu, as corrected by Y. Liu, that most
published tables use: of several readings of a paper, the one that gives their values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.metrics.filters import SOBEL_X, SOBEL_Y, Gray, edges, filter_same, ratio, stretched
from fusiongcn_edge.benchmarks.metrics.perceptual import Maps, kept_features, phase_congruency, q_cb, q_cv, q_p
from fusiongcn_edge.benchmarks.metrics.structural import q_c, q_e, q_s, q_w, q_y, ssim
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.fusion.decision_map import SMALLEST_REGION, THRESHOLD, decision_map
from fusiongcn_edge.runtime.io.pixels import psnr
from fusiongcn_edge.runtime.types import OnStage

__all__ = ["LOWER_IS_BETTER", "METRICS", "TRUTH_METRICS", "FusionScorer", "Gray", "q_g", "q_w", "ssim", "to_gray"]

SMALLEST = 16  # pixels on a side: a region of Q_CV, and more than any window
LEVELS = 256
BGR_WEIGHTS = np.array([0.114020904255103, 0.587043074451121, 0.298936021293775])  # MATLAB's rgb2gray
BAND = 5.0  # pixels from the boundary between the two photographs
ERROR_SIGMA = 2.0  # pixels over which errors are averaged to tell which photograph is the better one


def to_gray(image: NDArray[Any]) -> Gray:
    """A photograph as the metrics see it: uint8 or uint16, gray or BGR(A), to float64 H x W of integers 0 ... 255."""
    samples = eight_bits(image)
    return np.floor((samples if image.ndim == 2 else samples[:, :, :3] @ BGR_WEIGHTS) + 0.5)


def eight_bits(image: NDArray[Any]) -> NDArray[np.float64]:
    """8 or 16 bits to float64 in 0 ... 255."""
    return image.astype(np.float64) * (255 / np.iinfo(image.dtype).max)


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
    cells = (stretched(x) * LEVELS + stretched(y)).astype(np.int64)
    joint = np.bincount(cells.ravel(), minlength=LEVELS**2).reshape(LEVELS, LEVELS) / x.size
    entropies = _entropy(joint.sum(0)) + _entropy(joint.sum(1))
    return max(entropies - _entropy(joint), 0.0), entropies


def _entropy(shares: NDArray[np.float64]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log2(present)).sum())


def q_g(a: Gray, b: Gray, fused: Gray) -> float:
    """How well edges keep their strength and direction, weighted by strength (Xydeas & Petrovic, 2000).

    0 for images without any edge.
    """
    return q_g_of_stack((a, b), fused)


def q_g_of_stack(sources: Sequence[Gray], fused: Gray) -> float:
    """The same for any number of sources."""
    strength_f, angle_f = _edges(fused)
    preserved = total = 0.0
    for source in sources:
        strength, angle = _edges(source)
        kept = ratio(np.minimum(strength, strength_f), np.maximum(strength, strength_f), 0.0)
        turned = 1 - np.abs(angle - angle_f) / (np.pi / 2)
        quality = 0.9994 / (1 + np.exp(-15 * (kept - 0.5))) * 0.9879 / (1 + np.exp(-22 * (turned - 0.8)))
        preserved += float((quality * strength).sum())
        total += float(strength.sum())
    return preserved / total if total else 0.0


def _edges(image: Gray) -> tuple[Gray, Gray]:
    gx, gy = filter_same(image, SOBEL_X), filter_same(image, SOBEL_Y)
    return np.hypot(gx, gy), np.arctan(gy / np.where(gx == 0, 1e-5, gx))


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
    """A pair of photographs, and the all-in-focus image where there is one, to judge fused images by.

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
        return boundary_band(*(eight_bits(alike(each, self.truth)) for each in (self.a, self.b, self.truth)))

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
            image, target = (eight_bits(alike(each, self.truth)) for each in (fused, self.truth))
            values |= {"PSNR": psnr(image, target), "SSIM": ssim(gray, to_gray(self.truth))}
            if self.band.any():
                values["PSNR_boundary"] = psnr(image[self.band], target[self.band])
        return values


def boundary_band(a: NDArray[Any], b: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the decision is hard: pixels at most 5 pixels away from where the better photograph changes.

    The better one has the smaller squared error to the truth, averaged over channels and by a Gaussian of sigma 2;
    regions below 0.1 % of the image change sides, as in a decision map.
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


def check_sizes(images: dict[str, NDArray[Any]]) -> None:
    """Refuse images of different sizes, or too small ones; the keys name them."""
    (first, reference), *others = images.items()
    size = f"{reference.shape[1]}x{reference.shape[0]}"
    for name, image in others:
        if image.shape[:2] != reference.shape[:2]:
            raise FusionError(
                f"The {first} has {size} pixels, the {name} {image.shape[1]}x{image.shape[0]}",
                fix="crop or resize them to the same size, aligned to each other",
            )
    if min(reference.shape[:2]) < SMALLEST:
        raise FusionError(f"The images have {size} pixels", fix=f"the metrics need at least {SMALLEST} on each side")


def alike(image: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Without alpha; a gray image repeated or a colour one turned gray to be compared with ``like``."""
    image = image[:, :, :3] if image.ndim == 3 else image
    if image.ndim > like.ndim:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim < like.ndim else image
