"""Stacks of frames whose transforms are known."""

from __future__ import annotations

import cv2
import numpy as np

from helpers.common import Picture


def breathing_frames(photograph: Picture, count: int, blur: float, right: float, down: float) -> list[Picture]:
    """Frames of a lens that breathes: each larger than the one before by 1 %, shifted (pixels) and darker by 3 %, and
    sharp in its own share of the columns."""
    height, width = photograph.shape[:2]
    soft, columns, frames = cv2.GaussianBlur(photograph, (0, 0), blur), np.arange(width)[None, :, None] * count, []
    for number in range(count):
        focused = np.where(columns // width == number, photograph, soft)
        scale = 1 + 0.01 * number
        place = np.array([(scale, 0, right * number), (0, scale, down * number)])
        moved = cv2.warpAffine(focused, place, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        frames.append(np.rint(moved * (1 - 0.03 * number)).astype(np.uint8))
    return frames
