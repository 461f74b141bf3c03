"""Select or blend the pixels of two images by a decision map."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.fusion.decision_map import BAND, FLIP_GAIN, FLIP_MARGIN

FEW_UNSURE = 4  # one pixel in so many, at most, where those that are mixed are few
ROUNDED_AWAY = 0.49  # gray levels by which a pixel is mixed that is not worth mixing: rounding takes them away


def select(first: NDArray[Any], second: NDArray[Any], decision: NDArray[np.bool_]) -> NDArray[Any]:
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
    ``FLIP_GAIN`` times as much for it, up to ``FLIP_MARGIN``, so that neither a speckle nor its ghost returns. Alpha
    (a fourth channel) is not mixed, but taken by the decision. A pixel never leaves the range of its two sources, and
    equal sources are returned unchanged.
    """
    mixed = select(first, second, decision)
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
    against = np.minimum(FLIP_GAIN * np.abs(probability[overruled] - threshold), FLIP_MARGIN)
    weight = probability.copy()
    weight[overruled] = np.clip(threshold + np.where(decision[overruled], against, -against), 0, 1)
    return weight
