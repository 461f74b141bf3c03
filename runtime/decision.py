"""From the focus probability to the fused photograph."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# what the published model uses; a bundle carries its own
THRESHOLD = 0.5
SMALLEST_REGION = 0.001
OVERRULED, MOST_OVERRULED = np.float32(4), np.float32(0.3)  # see blend; chosen on pairs with a truth and by Q_CV
BAND = 1 << 14  # pixels that are blended at a time: they stay in a core's cache


def decision_map(
    probability: NDArray[np.float32], threshold: float, smallest_region: float, at_once: bool = False
) -> NDArray[np.bool_]:
    """Which photograph each pixel is taken from.

    Parameters
    ----------
    probability : float32 H x W in [0, 1]
        How surely the first photograph is the sharp one.
    threshold : float
        The first photograph is taken where the probability is greater; at the threshold itself, the second.
    smallest_region : float
        4-connected regions smaller than this fraction of the image change sides.
    at_once : bool
        Whether those of both photographs change sides at once, so that exchanging the photographs exchanges the
        decision (where no pixel is at the threshold); or first those of the first photograph, then those of the second,
        as the published model does.

    Returns
    -------
    bool H x W, True where the first photograph is taken
    """
    least = smallest_region * probability.size
    decision = probability > threshold
    if at_once:
        return decision ^ _small_regions(decision, least) ^ _small_regions(~decision, least)
    decision ^= _small_regions(decision, least)
    return decision ^ _small_regions(~decision, least)


def _small_regions(mask: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
    # every region begins with a run of pixels in some row: where there are few, labels of 16 bits take half the memory
    runs = np.count_nonzero(mask[:, 1:] > mask[:, :-1]) + np.count_nonzero(mask[:, 0])
    few = runs < 2**16 - 1
    count, found = cv2.connectedComponents(mask.view(np.uint8), connectivity=4, ltype=cv2.CV_16U if few else cv2.CV_32S)
    regions: NDArray[Any] = np.asarray(found)
    if few:  # OpenCV's statistics of regions take longer than both
        areas = np.ravel(cv2.calcHist([regions], [0], None, [count], [0, count]))
    else:
        areas = np.bincount(regions.ravel(), minlength=count)
    small = areas < least
    small[0] = False  # region 0 is everything outside the mask
    changed: NDArray[np.bool_] = np.zeros_like(mask)
    if small.any():
        rows = max(1, BAND // mask.shape[1])
        for top in range(0, len(mask), rows):
            band = slice(top, top + rows)
            np.take(small, regions[band], out=changed[band], mode="clip")
    return changed


def take(first: NDArray[Any], second: NDArray[Any], decision: NDArray[np.bool_]) -> NDArray[Any]:
    """Hard fusion: ``first`` where ``decision`` is True, ``second`` elsewhere (H x W or H x W x C)."""
    return np.where(decision if first.ndim == 2 else decision[:, :, None], first, second)


def blend(
    first: NDArray[Any],
    second: NDArray[Any],
    probability: NDArray[np.float32],
    decision: NDArray[np.bool_],
    threshold: float,
) -> NDArray[Any]:
    """Soft fusion: each pixel mixed by the probability that ``first`` is in focus there, rounded to the inputs' type.

    Where cleaning the decision map changed sides, what probability has against the side decided on counts
    ``OVERRULED`` times as much for it, up to ``MOST_OVERRULED``, so that neither a speckle nor its ghost returns. Alpha
    (a fourth channel) is not mixed, but taken by the decision. A pixel never leaves the range of its two sources, and
    equal sources are returned unchanged.
    """
    mixed = np.empty_like(first)
    rows = max(1, BAND // first.shape[1])
    for top in range(0, len(first), rows):
        band = slice(top, top + rows)
        weight = _weight(probability[band], decision[band], np.float32(threshold))
        found = second[band].astype(np.float32)
        step = first[band] - found
        step *= weight if first.ndim == 2 else cv2.merge([weight] * first.shape[2])  # quicker than broadcasting
        found += step
        mixed[band] = np.rint(found, out=found)
    if first.ndim == 3 and first.shape[2] == 4:
        mixed[:, :, 3] = take(first[:, :, 3], second[:, :, 3], decision)
    return mixed


def _weight(
    probability: NDArray[np.float32], decision: NDArray[np.bool_], threshold: np.float32
) -> NDArray[np.float32]:
    overruled = (probability > threshold) != decision
    if not overruled.any():
        return probability
    against = np.minimum(OVERRULED * np.abs(probability[overruled] - threshold), MOST_OVERRULED)
    weight = probability.copy()
    weight[overruled] = np.clip(threshold + np.where(decision[overruled], against, -against), 0, 1)
    return weight
