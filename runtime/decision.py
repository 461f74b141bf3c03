"""From the focus probability to the fused photograph."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.connectivity import connected_runs

# what the published model uses; a bundle carries its own
THRESHOLD = 0.5
SMALLEST_REGION = 0.001
OVERRULED, MOST_OVERRULED = np.float32(4), np.float32(0.3)  # see blend; chosen on pairs with a truth and by Q_CV
BAND = 1 << 15  # pixels per block: they stay in a core's cache
FEW_RUNS = 16  # pixels, on average, that runs of equal decision are long where they are few
FEW_UNSURE = 4  # one pixel in so many, at most, where those that are mixed are few
ROUNDED_AWAY = 0.49  # gray levels by which a pixel is mixed that is not worth mixing: rounding takes them away


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
    decision: NDArray[np.bool_] = probability > threshold
    for sides in [(True, False)] if at_once else [(True,), (False,)]:
        _flip_small_regions(decision, least, sides)
    return decision


def _flip_small_regions(decision: NDArray[np.bool_], least: float, sides: tuple[bool, ...]) -> None:
    """Let regions of fewer than ``least`` pixels change sides, in place: those that are on one of ``sides``."""
    runs = np.count_nonzero(decision[:, 1:] != decision[:, :-1]) + len(decision)
    if runs * FEW_RUNS > decision.size:
        return _flip_many_small_regions(decision, least, sides)
    first, lowest = connected_runs(decision)
    lengths = np.diff(first, append=decision.size)
    small = np.bincount(lowest, lengths)[lowest] < least
    if len(sides) == 1:
        small &= decision.ravel()[first] == sides[0]
    if small.any():
        decision ^= np.repeat(small, lengths).reshape(decision.shape)


def _flip_many_small_regions(decision: NDArray[np.bool_], least: float, sides: tuple[bool, ...]) -> None:
    """The same for what noise decides: OpenCV labels pixels faster, and in less memory, than that many runs take."""
    before = decision.copy()
    rows = max(1, BAND // decision.shape[1])
    for side in sides:
        mask = (before == side).view(np.uint8)
        count, found = cv2.connectedComponents(mask, connectivity=4, ltype=cv2.CV_32S)
        small = np.bincount(np.ravel(found), minlength=count) < least
        small[0] = False  # region 0 is the other side
        for top in range(0, len(decision), rows):
            decision[top : top + rows] ^= small[found[top : top + rows]]


def take(first: NDArray[Any], second: NDArray[Any], decision: NDArray[np.bool_]) -> NDArray[Any]:
    """Hard fusion: ``first`` where ``decision`` is True, ``second`` elsewhere (H x W or H x W x C)."""
    taken = np.array(second, order="C")
    cv2.copyTo(first, np.ascontiguousarray(decision).view(np.uint8), taken)  # 30 times as fast as np.where
    return taken


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
    mixed = take(first, second, decision)
    channels = 1 if first.ndim == 2 else first.shape[2]
    colours = slice(min(channels, 3))
    half = np.float32(0.5)
    sure = half - np.float32(ROUNDED_AWAY / np.iinfo(first.dtype).max)
    rows = max(1, BAND // first.shape[1])
    for top in range(0, len(first), rows):
        band = slice(top, top + rows)
        p, d = probability[band].ravel(), decision[band].ravel()
        overruled = (p > threshold) != d
        unsure = overruled | (d != (p > half)) | (np.abs(p - half) < sure)
        here: Any = np.flatnonzero(unsure)
        if len(here) == 0:
            continue
        if len(here) * FEW_UNSURE > len(p):  # single pixels take several times as long as all in turn
            here = slice(None)
        weight = _weight(p[here], d[here], overruled[here], np.float32(threshold))
        a, b = (image[band].reshape(-1, channels)[here, colours] for image in (first, second))
        found = b.astype(np.float32)
        step = a - found
        step *= cv2.merge([weight] * step.shape[1]).reshape(step.shape)  # quicker than broadcasting
        found += step
        mixed[band].reshape(-1, channels)[here, colours] = np.rint(found, out=found)
    return mixed


def _weight(
    probability: NDArray[np.float32],
    decision: NDArray[np.bool_],
    overruled: NDArray[np.bool_],
    threshold: np.float32,
) -> NDArray[np.float32]:
    if not overruled.any():
        return probability
    against = np.minimum(OVERRULED * np.abs(probability[overruled] - threshold), MOST_OVERRULED)
    weight = probability.copy()
    weight[overruled] = np.clip(threshold + np.where(decision[overruled], against, -against), 0, 1)
    return weight
