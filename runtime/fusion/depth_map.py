"""Colour a depth-index map."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def frame_colours(frame: NDArray[np.uint16], count: int) -> NDArray[np.uint8]:
    """Colour a depth-index map of 0 ... ``count`` - 1, from violet (the first) to dark red: uint8 H x W x 3, BGR."""
    shades = np.rint(np.arange(count) * (255 / max(count - 1, 1))).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(shades[frame], cv2.COLORMAP_TURBO), np.uint8)
