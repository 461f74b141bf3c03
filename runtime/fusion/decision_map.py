"""From the focus probability to the decision map."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.segmentation.connected_components import label_runs

# what the published model uses; a bundle carries its own
THRESHOLD = 0.5
SMALLEST_REGION = 0.001
FLIP_GAIN, FLIP_MARGIN = np.float32(4), np.float32(0.3)  # see blend; chosen on pairs with a truth and by Q_CV
BAND = 1 << 15  # pixels per block: they stay in a core's cache
FEW_RUNS = 16  # pixels, on average, that runs of equal decision are long where they are few


def decision_map(
    probability: NDArray[np.float32], threshold: float, smallest_component: float, simultaneous: bool = False
) -> NDArray[np.bool_]:
    """Decide which photograph each pixel is taken from.

    Parameters
    ----------
    probability : float32 H x W in [0, 1]
        How surely the first photograph is the sharp one.
    threshold : float
        The first photograph is taken where the probability is greater; at the threshold itself, the second.
    smallest_component : float
        4-connected components smaller than this fraction of the image change sides.
    simultaneous : bool
        Whether those of both photographs change sides at once, so that exchanging the photographs exchanges the
        decision (where no pixel is at the threshold); or first those of the first photograph, then those of the second,
        as the published model does.

    Returns
    -------
    bool H x W, True where the first photograph is taken
    """
    least = smallest_component * probability.size
    decision: NDArray[np.bool_] = probability > threshold
    for sides in [(True, False)] if simultaneous else [(True,), (False,)]:
        _flip_small_regions(decision, least, sides)
    return decision


def _flip_small_regions(decision: NDArray[np.bool_], least: float, sides: tuple[bool, ...]) -> None:
    """Let regions of fewer than ``least`` pixels change sides, in place: those that are on one of ``sides``."""
    runs = np.count_nonzero(decision[:, 1:] != decision[:, :-1]) + len(decision)
    if runs * FEW_RUNS > decision.size:
        return _flip_many_small_regions(decision, least, sides)
    first, lowest = label_runs(decision)
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
