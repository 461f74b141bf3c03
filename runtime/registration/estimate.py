"""Estimate the transform between two frames of one scene that are focused at different depths.

The transform is found coarse to fine by the Gauss-Newton method (inverse compositional: Baker and Matthews, IJCV 56,
2004) on pictures whose local brightness and contrast are made alike, so that exposure and focus count little. OpenCV's
``findTransformECC`` has no similarity, which is what a lens that breathes does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.registration.exposure import estimate_gain
from fusiongcn_edge.runtime.registration.pyramid import ImagePyramid, inverse, resample, transformed
from fusiongcn_edge.runtime.types import Gray, Matrix

MODELS = ("none", "shift", "similarity", "affine", "homography")
FREEDOMS = {"none": 0, "shift": 2, "similarity": 4, "affine": 6, "homography": 8}
ROUNDS = 30  # at most, on each scale
CONVERGED = 0.005  # pixels of a scale that a corner moves
OUTLYING = 3  # deviations: pixels that differ by as much count a quarter
COMPARED = 2  # scale on which it is judged how alike two frames look, at most
LEAST_COMPARED = 150  # pixels on the shorter side of that scale: what is smaller says too little
MIN_CORRELATION = 0.5  # below it, a frame is refused: unrelated photographs reach 0.46, frames of one scene 0.95
MIN_OVERLAP = 0.5  # likewise: share of the reference that a frame must cover
UNMOVED = 0.1  # pixels: frames as close as this are not resampled, which would cost sharpness


@dataclass(frozen=True)
class Alignment:
    """The registration of a moving frame to the reference.

    Attributes
    ----------
    matrix : float64 3 x 3
        From pixels (x, y, 1) of the reference to pixels of the frame, up to a factor.
    shift : (float, float)
        Where it takes the middle of the reference, in pixels to the right and down.
    correlation : float
        Of the local contrast of both where they overlap, -1 to 1.
    gain : float
        What the frame's values are multiplied with to be exposed as the reference; not a number if that cannot be
        told, for hardly any pixel is neither black nor white.
    """

    matrix: Matrix
    shift: tuple[float, float]
    correlation: float
    gain: float

    def __str__(self) -> str:
        (a, b), (c, d) = self.matrix[:2, :2]
        scale = math.sqrt(abs(a * d - b * c))
        angle = math.degrees(math.atan2(c - b, a + d))
        brightness = "unknown" if math.isnan(self.gain) else f"{1 / self.gain:.3f}"
        return (
            f"shift {self.shift[0]:+.2f} {self.shift[1]:+.2f} pixels, scale {scale:.4f}, rotation {angle:+.2f}°, "
            f"brightness {brightness}, correlation {self.correlation:.3f}"
        )

    @classmethod
    def none(cls) -> Alignment:
        """Return the alignment of the reference itself: the identity."""
        return cls(np.eye(3), (0.0, 0.0), 1.0, 1.0)

    def is_significant(self, height: int, width: int) -> bool:
        """Whether it displaces any pixel of a photograph of this size noticeably."""
        corners = np.array([(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)], np.float64)
        return bool(np.abs(transformed(self.matrix, corners) - corners).max() > UNMOVED)


def align(reference: ImagePyramid, frame: ImagePyramid, model: str, start: Matrix | None = None) -> Alignment | None:
    """Register a frame to a reference of the same size.

    Parameters
    ----------
    reference, frame : ImagePyramid
    model : one of ``MODELS``
        What the transform may be: nothing, a shift, that with rotation and scale, any affine map or any homography.
    start : float64 3 x 3, optional
        A guess, such as the matrix of a frame focused nearby; default: a shift found by phase correlation.

    Returns
    -------
    Alignment, or None if there is none that can be trusted: they hardly overlap, or correlate too little.
    """
    scales = range(len(reference.pictures) - 1, -1, -1)
    matrix = np.eye(3) if start is None else start
    if model != "none":
        if start is None:
            to_scale = reference.to_scale(scales[0])
            x, y = phase_shift(reference.pictures[-1], frame.pictures[-1])
            matrix = inverse(to_scale) @ np.array([(1, 0, x), (0, 1, y), (0, 0, 1)]) @ to_scale
        for scale in scales:
            to_scale = reference.to_scale(scale)
            coarse = scale == scales[0] and scale > 0
            freedoms = min(FREEDOMS[model], 4) if coarse else FREEDOMS[model]
            found = to_scale @ matrix @ inverse(to_scale)
            refined = _refined(reference.pictures[scale], frame.pictures[scale], found, freedoms)
            if refined is None:
                return None
            matrix = inverse(to_scale) @ refined @ to_scale
            matrix /= matrix[2, 2]
    correlation, share = _likeness(reference, frame, matrix)
    if model != "none" and (correlation < MIN_CORRELATION or share < MIN_OVERLAP):
        return None
    middle = np.array([((reference.width - 1) / 2, (reference.height - 1) / 2)])
    ((x, y),) = transformed(matrix, middle) - middle
    return Alignment(matrix, (float(x), float(y)), correlation, estimate_gain(reference, frame, matrix))


def phase_shift(first: Gray, second: Gray) -> tuple[float, float]:
    """How far to the right and down the second picture shows what the first one does, in pixels; of equal size."""
    window = cv2.createHanningWindow(first.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(first.copy(), second.copy(), window)  # it writes into what it is given
    return x, y


def _refined(first: Gray, second: Gray, matrix: Matrix, freedoms: int) -> Matrix | None:
    """The matrix that takes pixels of ``first`` to those of ``second`` which look alike, from one that nearly does."""
    rows, columns = first.shape
    unit = max(rows, columns) / 2  # coordinates run from -1 to 1, so that all freedoms weigh alike
    to_unit = np.array([(1 / unit, 0, -(columns - 1) / 2 / unit), (0, 1 / unit, -(rows - 1) / 2 / unit), (0, 0, 1)])
    from_unit = inverse(to_unit)
    steepest = _steepest_descent_images(first, to_unit, unit)[:freedoms]
    target = first.ravel()
    for _ in range(ROUNDS):
        moved, inside = resample(second, matrix)
        if np.count_nonzero(inside) < MIN_OVERLAP / 2 * inside.size:
            return None
        error = moved.ravel() - target
        spread = 1.4826 * float(np.median(np.abs(error[inside]))) + 1e-6
        weight = np.where(inside, 1 / (1 + np.square(error / (OUTLYING * spread))) ** 2, 0).astype(np.float32)
        weighted = steepest * weight
        try:
            step = np.linalg.solve((weighted @ steepest.T).astype(np.float64), (weighted @ error).astype(np.float64))
            change = from_unit @ _increment_matrix(step) @ to_unit
            matrix = matrix @ inverse(change)
        except np.linalg.LinAlgError:
            return None
        matrix = matrix / matrix[2, 2]
        if np.abs(step).sum() * unit < CONVERGED:
            break
    return matrix


def _steepest_descent_images(picture: Gray, to_unit: Matrix, unit: float) -> NDArray[np.float32]:
    """How each pixel changes with each freedom of :func:`_increment_matrix`, 8 x pixels."""
    dx = (cv2.Sobel(picture, cv2.CV_32F, 1, 0, ksize=3) * (unit / 8)).ravel()
    dy = (cv2.Sobel(picture, cv2.CV_32F, 0, 1, ksize=3) * (unit / 8)).ravel()
    rows, columns = picture.shape
    x = np.tile(np.arange(columns) * to_unit[0, 0] + to_unit[0, 2], rows).astype(np.float32)
    y = np.repeat(np.arange(rows) * to_unit[1, 1] + to_unit[1, 2], columns).astype(np.float32)
    outward = dx * x + dy * y
    return np.stack([dx, dy, outward, dy * x - dx * y, dx * x - dy * y, dx * y + dy * x, -x * outward, -y * outward])


def _increment_matrix(step: NDArray[np.float64]) -> Matrix:
    """Shift x and y, scale, rotation; stretch and shear (affine); tilt x and y (homography). The first 2, 4, 6 or 8."""
    x, y, scale, turn, stretch, shear, tilt_x, tilt_y = np.pad(step, (0, 8 - len(step)))
    return np.array([
        (1 + scale + stretch, shear - turn, x),
        (shear + turn, 1 + scale - stretch, y),
        (tilt_x, tilt_y, 1),
    ])  # fmt: skip


def _likeness(reference: ImagePyramid, frame: ImagePyramid, matrix: Matrix) -> tuple[float, float]:
    """Correlation where the two overlap, on a scale too coarse for focus to count much, and the share that overlaps."""
    shown = [scale for scale in range(COMPARED + 1) if min(reference.gray.shape) >> scale >= LEAST_COMPARED]
    scale = max(shown, default=0)
    to_scale = reference.to_scale(scale)
    moved, inside = resample(frame.pictures[scale], to_scale @ matrix @ inverse(to_scale))
    if not inside.any():
        return 0.0, 0.0
    return correlation(reference.pictures[scale].ravel()[inside], moved.ravel()[inside]), float(inside.mean())


def correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Of two pictures of one shape, -1 to 1; 0 if one of them is flat."""
    both = np.stack([first.ravel(), second.ravel()]).astype(np.float64)
    both -= both.mean(axis=1, keepdims=True)
    size = math.sqrt(float(np.prod((both**2).sum(axis=1))))
    return float((both[0] * both[1]).sum()) / size if size > 0 else 0.0
