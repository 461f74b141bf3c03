"""Colour a depth-index map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    pass


def frame_colours(frame: NDArray[np.uint16], count: int) -> NDArray[np.uint8]:
    """A map of frames 0 ... ``count`` - 1 in colours, from violet (the first) to dark red; uint8 H x W x 3, BGR."""
    shades = np.rint(np.arange(count) * (255 / max(count - 1, 1))).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(shades[frame], cv2.COLORMAP_TURBO), np.uint8)
