"""Draw contact sheets: small labelled pictures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SHOWN_HEIGHT = 240  # pixels of a picture in a sheet
CAPTION, GAP = 18, 4  # pixels


def thumbnail(picture: NDArray[Any], height: int = SHOWN_HEIGHT) -> NDArray[np.uint8]:
    """Reduce a uint8 or uint16 picture to uint8 BGR without alpha, at most ``height`` pixels high."""
    height = min(height, picture.shape[0])
    width = max(round(picture.shape[1] * height / picture.shape[0]), 1)
    picture = picture[:, :, :3] if picture.ndim == 3 else picture
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    if small.dtype == np.uint16:
        small = (small // 257).astype(np.uint8)
    return np.asarray(small if small.ndim == 3 else cv2.cvtColor(small, cv2.COLOR_GRAY2BGR), np.uint8)


def contact_sheet(panels: Sequence[tuple[str, NDArray[Any]]], height: int = SHOWN_HEIGHT) -> NDArray[np.uint8]:
    """Set pictures of one height side by side, each as a :func:`thumbnail` below its label; uint8 BGR."""
    shown = []
    for label, picture in panels:
        panel = bordered(thumbnail(picture, height), top=CAPTION, right=GAP)
        place = (2, CAPTION - 5)
        cv2.putText(panel, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        shown.append(panel)
    return np.hstack(shown)


def bordered(picture: NDArray[np.uint8], top: int = 0, right: int = 0) -> NDArray[np.uint8]:
    """Add white above and on the right."""
    white = cv2.copyMakeBorder(picture, top, 0, 0, right, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    return np.asarray(white, np.uint8)
