"""Pictures that are made of pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def shows(sheet: NDArray[np.uint8], picture: NDArray[np.uint8], tolerance: float = 0.0) -> bool:
    """Whether a picture, uint8 H x W x 3, stands somewhere in a larger one; ``tolerance``: root mean square error."""
    errors = cv2.matchTemplate(sheet, picture, cv2.TM_SQDIFF)
    row, column = np.unravel_index(errors.argmin(), errors.shape)
    found = sheet[row : row + len(picture), column : column + picture.shape[1]]
    return bool(np.sqrt(np.square(found.astype(float) - picture).mean()) <= tolerance)
