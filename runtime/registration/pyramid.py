"""An image pyramid of local contrast, and the geometry of 3 x 3 transforms."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.types import Gray, Matrix

FINEST = 1024  # pixels along the longer side on which the transform is found
LEAST_SIDE = 16  # pixels along the shorter side, of a frame and of what the transform is found on
COARSEST = 48  # along the shorter side
SMOOTHED = 5.0  # pixels of each scale: leaves less of what is sharp in one frame alone
NEARBY = 0.035  # of the shorter side: what brightness and contrast are made alike over
LEAST_CONTRAST = 0.005  # of the full range: what is flatter counts as flat


def inverse(matrix: Matrix) -> Matrix:
    """Invert a 3 x 3 transform."""
    return np.asarray(np.linalg.inv(matrix), np.float64)


def transformed(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (N x 2: x, y) where a 3 x 3 matrix takes them."""
    return np.asarray(cv2.perspectiveTransform(points[None], matrix)[0], np.float64)


class ReducedImage(NamedTuple):
    """The gray levels of a frame, at most ``FINEST`` pixels a side: what registration keeps of it, 0.8 MB in uint8.

    ``height``, ``width``: of the frame; ``gray``: uint8 or uint16, as the frame.
    """

    height: int
    width: int
    gray: NDArray[Any]


def reduced(frame: NDArray[Any]) -> ReducedImage:
    """Reduce a frame (uint8 or uint16, H x W, H x W x 3 or H x W x 4) to what it is registered by."""
    height, width = frame.shape[:2]
    factor = min(1.0, max(FINEST / max(height, width), LEAST_SIDE / min(height, width)))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return ReducedImage(height, width, small if small.ndim == 2 else cv2.cvtColor(small[:, :, :3], cv2.COLOR_BGR2GRAY))


class ImagePyramid:
    """The local contrast of a frame on several scales, by which it is registered.

    ``frame``: uint8 or uint16, H x W, H x W x 3 or H x W x 4, or that :func:`reduced`.
    """

    def __init__(self, frame: NDArray[Any] | ReducedImage) -> None:
        small = frame if isinstance(frame, ReducedImage) else reduced(frame)
        self.height, self.width = small.height, small.width
        self.gray = small.gray.astype(np.float32) / np.float32(np.iinfo(small.gray.dtype).max)
        grays = [self.gray]
        while min(grays[-1].shape) >= 2 * COARSEST:
            grays.append(np.asarray(cv2.pyrDown(grays[-1]), np.float32))
        self.pictures = [_local_contrast(gray) for gray in grays]

    def to_scale(self, scale: int) -> Matrix:
        """From pixels of the photograph to pixels of a scale."""
        rows, columns = self.gray.shape
        x, y = columns / self.width, rows / self.height
        step = 2.0**-scale  # pyrDown puts its first pixel onto the first one
        finest = np.array([(x, 0, x / 2 - 0.5), (0, y, y / 2 - 0.5), (0, 0, 1)])
        return np.diag([step, step, 1.0]) @ finest


def _local_contrast(gray: Gray) -> Gray:
    sigma = max(2 * SMOOTHED, NEARBY * min(gray.shape))
    picture = cv2.GaussianBlur(gray, (0, 0), SMOOTHED) - cv2.GaussianBlur(gray, (0, 0), sigma)
    spread = cv2.GaussianBlur(picture * picture, (0, 0), sigma)
    return np.asarray(picture / np.sqrt(spread + np.float32(LEAST_CONTRAST**2)), np.float32)


def resample(picture: Gray, matrix: Matrix) -> tuple[Gray, NDArray[np.bool_]]:
    """A picture moved onto the reference, and, flat, where it has pixels there."""
    if np.allclose(matrix, np.eye(3), rtol=0, atol=1e-9):
        return picture, np.ones(picture.size, bool)
    size = picture.shape[::-1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpPerspective(picture, matrix, size, flags=flags, borderValue=math.nan)
    inside = ~np.isnan(moved)
    moved[~inside] = 0
    return np.asarray(moved, np.float32), inside.ravel()
