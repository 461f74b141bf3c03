"""Fusion metrics that compare the means, variances and covariances of small windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusiongcn_edge.benchmarks.metrics.filters import PREWITT_X, Gray, filter_same, gaussian, ratio, smooth_valid

BOX = np.full(8, 1 / 8)  # windows of 8 x 8 pixels (Piella & Heijmans)
BELL_7 = gaussian(7, 1.5)
BELL_11 = gaussian(11, 1.5)
TINY = 2e-16  # keeps quotients of windows without variance at 1
ROUNDING = 1e-13  # of the mean square of a window
REDUNDANT = 0.75  # similarity of the photographs from which on both are taken to show the same (Yang et al.)


@dataclass(frozen=True)
class Similarity:
    """Of each window: structural similarity of two images, their variances and covariance."""

    index: Gray
    variance_x: Gray
    variance_y: Gray
    covariance: Gray


def similarity(x: Gray, y: Gray, line: Gray, constants: tuple[float, float] = (TINY, TINY)) -> Similarity:
    """Structural similarity (Wang et al., 2004) in windows ``line`` x ``line`` that lie inside the image.

    With constants next to 0 it is the universal image quality index (Wang & Bovik, 2002).
    """
    (mean_x, variance_x), (mean_y, variance_y) = _moments(x, line), _moments(y, line)
    most = np.sqrt(variance_x * variance_y)
    covariance = np.clip(smooth_valid(x * y, line) - mean_x * mean_y, -most, most)
    first, second = constants
    luminance = (2 * mean_x * mean_y + first) / (mean_x**2 + mean_y**2 + first)
    structure = (2 * covariance + second) / (variance_x + variance_y + second)
    return Similarity(luminance * structure, variance_x, variance_y, covariance)


def _moments(image: Gray, line: Gray) -> tuple[Gray, Gray]:
    """Mean and variance of each window; 0 where the variance is nothing but rounding."""
    mean, power = smooth_valid(image, line), smooth_valid(image * image, line)
    variance = power - mean**2
    return mean, np.where(variance > ROUNDING * power, variance, 0)


def _piella(a: Gray, b: Gray, fused: Gray) -> tuple[Gray, Gray]:
    """Of each window: quality (Piella & Heijmans, 2003 without its mean) and saliency, the greater variance."""
    like_a, like_b = similarity(a, fused, BOX), similarity(b, fused, BOX)
    share = ratio(like_a.variance_x, like_a.variance_x + like_b.variance_x, 0.5)
    return share * like_a.index + (1 - share) * like_b.index, np.maximum(like_a.variance_x, like_b.variance_x)


def q_s(a: Gray, b: Gray, fused: Gray) -> float:
    """Fusion quality index (Piella & Heijmans, 2003): mean over windows of

        share Q0(a, f) + (1 - share) Q0(b, f),  share = var a / (var a + var b)

    with the universal image quality index Q0. 1 is best, also for images without any detail.
    """
    return float(_piella(a, b, fused)[0].mean())


def q_w(a: Gray, b: Gray, fused: Gray) -> float:
    """Weighted fusion quality index (Piella & Heijmans, 2003): as :func:`q_s`, windows weighted by the greater
    of the two variances. 1 is best, also for images without any detail.
    """
    quality, saliency = _piella(a, b, fused)
    return float((saliency * quality).sum() / saliency.sum()) if saliency.any() else 1.0


def q_e(a: Gray, b: Gray, fused: Gray) -> float:
    """Edge-dependent fusion quality index (Piella & Heijmans, 2003, alpha 1): :func:`q_w` of the images times
    that of their edge strengths (Prewitt). 1 is best.
    """
    strengths = [np.hypot(filter_same(i, PREWITT_X), filter_same(i, PREWITT_X.T)) for i in (a, b, fused)]
    return q_w(a, b, fused) * q_w(*strengths)


def q_c(a: Gray, b: Gray, fused: Gray) -> float:
    """Similarity metric of Cvejic et al. (2005): mean over windows of 8 x 8 pixels of

        share Q0(a, f) + (1 - share) Q0(b, f),  share = cov(a, f) / (cov(a, f) + cov(b, f)), cut to 0 ... 1

    1 is best, also for images without any detail.
    """
    like_a, like_b = similarity(a, fused, BOX), similarity(b, fused, BOX)
    share = np.clip(ratio(like_a.covariance, like_a.covariance + like_b.covariance, 0.5), 0, 1)
    return float((share * like_a.index + (1 - share) * like_b.index).mean())


def q_y(a: Gray, b: Gray, fused: Gray) -> float:
    """Similarity metric of Yang et al. (2008): in windows where the photographs are alike (similarity of at
    least 0.75) as :func:`q_s`, elsewhere the similarity to the more similar one; Gaussian windows of 7 x 7 pixels.
    1 is best, also for images without any detail.
    """
    alike = similarity(a, b, BELL_7)
    like_a, like_b = similarity(a, fused, BELL_7).index, similarity(b, fused, BELL_7).index
    share = ratio(alike.variance_x, alike.variance_x + alike.variance_y, 0.5)
    both = share * like_a + (1 - share) * like_b
    return float(np.where(alike.index >= REDUNDANT, both, np.maximum(like_a, like_b)).mean())


def ssim(image: Gray, truth: Gray) -> float:
    """Structural similarity to the truth (Wang et al., 2004): Gaussian windows of 11 x 11 pixels (sigma 1.5)
    inside the image, K = 0.01 and 0.03, peak 255; mean. 1 for equal images.
    """
    return float(similarity(image, truth, BELL_11, ((0.01 * 255) ** 2, (0.03 * 255) ** 2)).index.mean())
