"""How a photograph lies against another of the same scene, focused at another depth, and turning it onto that one.

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

from fusiongcn_edge.runtime.area import Area

Matrix = NDArray[np.float64]
Gray = NDArray[np.float32]

MODELS = ("none", "shift", "similarity", "affine", "homography")
FREEDOMS = {"none": 0, "shift": 2, "similarity": 4, "affine": 6, "homography": 8}
FINEST = 1024  # pixels along the longer side on which the transform is found
LEAST_SIDE = 16  # pixels along the shorter side, of a frame and of what the transform is found on
COARSEST = 48  # along the shorter side
ROUNDS = 30  # at most, on each scale
CONVERGED = 0.005  # pixels of a scale that a corner moves
OUTLYING = 3  # deviations: pixels that differ by as much count a quarter
SMOOTHED = 5.0  # pixels of each scale: leaves less of what is sharp in one frame alone
NEARBY = 0.035  # of the shorter side: what brightness and contrast are made alike over
LEAST_CONTRAST = 0.005  # of the full range: what is flatter counts as flat
COMPARED = 2  # scale on which it is judged how alike two frames look, at most
LEAST_COMPARED = 150  # pixels on the shorter side of that scale: what is smaller says too little
LEAST_CORRELATION = 0.5  # unrelated photographs reach 0.46, frames of one scene 0.95
LEAST_SHARE = 0.5  # of the reference that a frame must cover
UNMOVED = 0.1  # pixels: frames as close as this are not resampled, which would cost sharpness
CLIPPED = 0.02, 0.98  # of the full range: outside, a pixel tells nothing of the exposure
ROWS = 256  # of a result that are made at a time
REACH = 4  # pixels of a frame around the one that is interpolated


@dataclass(frozen=True)
class Alignment:
    """How a frame lies against the reference.

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
        """That of the reference itself."""
        return cls(np.eye(3), (0.0, 0.0), 1.0, 1.0)

    def moves(self, height: int, width: int) -> bool:
        """Whether it displaces any pixel of a photograph of this size noticeably."""
        corners = np.array([(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)], np.float64)
        return bool(np.abs(transformed(self.matrix, corners) - corners).max() > UNMOVED)


def _inverse(matrix: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def transformed(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (N x 2: x, y) where a 3 x 3 matrix takes them."""
    return np.asarray(cv2.perspectiveTransform(points[None], matrix)[0], np.float64)


class Scales:
    """What of a photograph is compared with others: its gray levels, small, on several scales.

    ``photograph``: uint8 or uint16, H x W, H x W x 3 or H x W x 4.
    """

    def __init__(self, photograph: NDArray[Any]) -> None:
        self.height, self.width = photograph.shape[:2]
        factor = min(1.0, max(FINEST / max(self.height, self.width), LEAST_SIDE / min(self.height, self.width)))
        size = max(1, round(self.width * factor)), max(1, round(self.height * factor))
        small = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)
        gray = small if small.ndim == 2 else cv2.cvtColor(small[:, :, :3], cv2.COLOR_BGR2GRAY)
        self.gray = gray.astype(np.float32) / np.float32(np.iinfo(photograph.dtype).max)
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


def align(reference: Scales, frame: Scales, model: str, start: Matrix | None = None) -> Alignment | None:
    """Find how a frame lies against a reference of the same size.

    Parameters
    ----------
    reference, frame : Scales
    model : one of ``MODELS``
        What the transform may be: nothing, a shift, that with rotation and scale, any affine map or any homography.
    start : float64 3 x 3, optional
        A guess, such as the matrix of a frame focused nearby; default: a shift found by phase correlation.

    Returns
    -------
    Alignment, or None if there is none that can be trusted: they hardly overlap, or do not look alike.
    """
    scales = range(len(reference.pictures) - 1, -1, -1)
    matrix = np.eye(3) if start is None else start
    if model != "none":
        if start is None:
            to_scale = reference.to_scale(scales[0])
            x, y = phase_shift(reference.pictures[-1], frame.pictures[-1])
            matrix = _inverse(to_scale) @ np.array([(1, 0, x), (0, 1, y), (0, 0, 1)]) @ to_scale
        for scale in scales:
            to_scale = reference.to_scale(scale)
            coarse = scale == scales[0] and scale > 0
            freedoms = min(FREEDOMS[model], 4) if coarse else FREEDOMS[model]
            found = to_scale @ matrix @ _inverse(to_scale)
            refined = _refined(reference.pictures[scale], frame.pictures[scale], found, freedoms)
            if refined is None:
                return None
            matrix = _inverse(to_scale) @ refined @ to_scale
            matrix /= matrix[2, 2]
    correlation, share = _likeness(reference, frame, matrix)
    if model != "none" and (correlation < LEAST_CORRELATION or share < LEAST_SHARE):
        return None
    middle = np.array([((reference.width - 1) / 2, (reference.height - 1) / 2)])
    ((x, y),) = transformed(matrix, middle) - middle
    return Alignment(matrix, (float(x), float(y)), correlation, _gain(reference, frame, matrix))


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
    from_unit = _inverse(to_unit)
    steepest = _steepest(first, to_unit, unit)[:freedoms]
    target = first.ravel()
    for _ in range(ROUNDS):
        moved, inside = _onto(second, matrix)
        if np.count_nonzero(inside) < LEAST_SHARE / 2 * inside.size:
            return None
        error = moved.ravel() - target
        spread = 1.4826 * float(np.median(np.abs(error[inside]))) + 1e-6
        weight = np.where(inside, 1 / (1 + np.square(error / (OUTLYING * spread))) ** 2, 0).astype(np.float32)
        weighted = steepest * weight
        try:
            step = np.linalg.solve((weighted @ steepest.T).astype(np.float64), (weighted @ error).astype(np.float64))
        except np.linalg.LinAlgError:
            return None
        change = from_unit @ _small_map(step) @ to_unit
        matrix = matrix @ _inverse(change)
        matrix = matrix / matrix[2, 2]
        if np.abs(step).sum() * unit < CONVERGED:
            break
    return matrix


def _steepest(picture: Gray, to_unit: Matrix, unit: float) -> NDArray[np.float32]:
    """How each pixel changes with each freedom of :func:`_small_map`, 8 x pixels."""
    dx = (cv2.Sobel(picture, cv2.CV_32F, 1, 0, ksize=3) * (unit / 8)).ravel()
    dy = (cv2.Sobel(picture, cv2.CV_32F, 0, 1, ksize=3) * (unit / 8)).ravel()
    rows, columns = picture.shape
    x = np.tile(np.arange(columns) * to_unit[0, 0] + to_unit[0, 2], rows).astype(np.float32)
    y = np.repeat(np.arange(rows) * to_unit[1, 1] + to_unit[1, 2], columns).astype(np.float32)
    outward = dx * x + dy * y
    return np.stack([dx, dy, outward, dy * x - dx * y, dx * x - dy * y, dx * y + dy * x, -x * outward, -y * outward])


def _small_map(step: NDArray[np.float64]) -> Matrix:
    """Shift x and y, scale, rotation; stretch and shear (affine); tilt x and y (homography). The first 2, 4, 6 or 8."""
    x, y, scale, turn, stretch, shear, tilt_x, tilt_y = np.pad(step, (0, 8 - len(step)))
    return np.array([
        (1 + scale + stretch, shear - turn, x),
        (shear + turn, 1 + scale - stretch, y),
        (tilt_x, tilt_y, 1),
    ])  # fmt: skip


def _onto(picture: Gray, matrix: Matrix) -> tuple[Gray, NDArray[np.bool_]]:
    """A picture moved onto the reference, and, flat, where it has pixels there."""
    if np.allclose(matrix, np.eye(3), rtol=0, atol=1e-9):
        return picture, np.ones(picture.size, bool)
    size = picture.shape[::-1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpPerspective(picture, matrix, size, flags=flags, borderValue=math.nan)
    inside = ~np.isnan(moved)
    moved[~inside] = 0
    return np.asarray(moved, np.float32), inside.ravel()


def _likeness(reference: Scales, frame: Scales, matrix: Matrix) -> tuple[float, float]:
    """Correlation where the two overlap, on a scale too coarse for focus to count much, and the share that overlaps."""
    shown = [scale for scale in range(COMPARED + 1) if min(reference.gray.shape) >> scale >= LEAST_COMPARED]
    scale = max(shown, default=0)
    to_scale = reference.to_scale(scale)
    moved, inside = _onto(frame.pictures[scale], to_scale @ matrix @ _inverse(to_scale))
    if not inside.any():
        return 0.0, 0.0
    return correlation(reference.pictures[scale].ravel()[inside], moved.ravel()[inside]), float(inside.mean())


def correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Of two pictures of one shape, -1 to 1; 0 if one of them is flat."""
    both = np.stack([first.ravel(), second.ravel()]).astype(np.float64)
    both -= both.mean(axis=1, keepdims=True)
    size = math.sqrt(float(np.prod((both**2).sum(axis=1))))
    return float((both[0] * both[1]).sum()) / size if size > 0 else 0.0


def _gain(reference: Scales, frame: Scales, matrix: Matrix) -> float:
    """Blurring leaves a mean what it is, so the means of what both show tell how they were exposed."""
    to_scale = reference.to_scale(0)
    moved, inside = _onto(frame.gray, to_scale @ matrix @ _inverse(to_scale))
    both = np.stack([reference.gray.ravel(), moved.ravel()])
    use = inside & (both > CLIPPED[0]).all(axis=0) & (both < CLIPPED[1]).all(axis=0)
    if not use.any():
        return math.nan
    first, second = both[:, use].mean(axis=1, dtype=np.float64)
    return float(first / second)


def covered(alignment: Alignment, height: int, width: int) -> Area:
    """A rectangle of the reference, as large as is easily found, in which a frame of the same size has every pixel."""
    if not alignment.moves(height, width):
        return Area(0, height, 0, width)
    edges = np.array([(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)], np.float64)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = transformed(_inverse(alignment.matrix), edges)
    found = Area(
        math.ceil(max(y0, y1)), math.floor(min(y2, y3)) + 1, math.ceil(max(x0, x2)), math.floor(min(x1, x3)) + 1
    )
    return found.within(Area(0, height, 0, width))


def moved_onto(
    frame: NDArray[Any], alignment: Alignment, area: Area, *, exposed: bool, beyond: NDArray[Any] | None = None
) -> NDArray[Any]:
    """What a frame shows in an area of the reference, of the frame's type and channels.

    Parameters
    ----------
    frame : uint8 or uint16 H x W, H x W x 3 or H x W x 4
    alignment : Alignment
        Where it moves nothing, the pixels are the frame's own. Otherwise they are interpolated (bicubic), and held
        within the range of the 3 x 3 pixels of the frame around them: no halo, and no value that the frame has not.
    area : Area
    exposed : bool
        Multiply the values, not alpha, with the alignment's gain.
    beyond : as ``frame``, optional
        The reference, whose pixels are taken where the frame has none; default: the nearest of the frame.
    """
    table = _gain_table(alignment.gain, frame.dtype) if exposed and alignment.gain != 1 else None
    if not alignment.moves(*frame.shape[:2]):
        return np.ascontiguousarray(_brightened(frame[area.top : area.bottom, area.left : area.right], table))
    result = np.empty((area.bottom - area.top, area.right - area.left, *frame.shape[2:]), frame.dtype)
    for top in range(area.top, area.bottom, ROWS):
        band = Area(top, min(top + ROWS, area.bottom), area.left, area.right)
        rows = result[band.top - area.top : band.bottom - area.top]
        _interpolate(frame, alignment.matrix, band, rows, table, beyond)
    return result


def _gain_table(gain: float, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Every value times the gain."""
    most = np.iinfo(dtype).max
    return np.clip(np.rint(np.arange(most + 1) * gain), 0, most).astype(dtype)


def _brightened(pixels: NDArray[Any], table: NDArray[Any] | None) -> NDArray[Any]:
    """Values, not alpha, as a table has them; without one, as they are."""
    if table is None:
        return pixels
    result = table[pixels]
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        result[:, :, 3] = pixels[:, :, 3]
    return result


def _interpolate(
    frame: NDArray[Any],
    matrix: Matrix,
    area: Area,
    result: NDArray[Any],
    table: NDArray[Any] | None,
    beyond: NDArray[Any] | None,
) -> None:
    """Into ``result``, an area of the reference from those rows of the frame that it needs."""
    edges = np.array([(x, y) for x in (area.left, area.right) for y in (area.top, area.bottom)], np.float64)
    rows = transformed(matrix, edges)[:, 1]
    first = int(np.clip(math.floor(rows.min()) - REACH, 0, len(frame) - 1))
    last = int(np.clip(math.ceil(rows.max()) + REACH, first + 1, len(frame)))
    source = frame[first:last]
    own = np.array([(1, 0, 0), (0, 1, -first), (0, 0, 1)]) @ matrix
    own = own @ np.array([(1, 0, area.left), (0, 1, area.top), (0, 0, 1.0)])
    size = area.right - area.left, area.bottom - area.top

    def turned(picture: NDArray[Any], how: int, border: int = cv2.BORDER_REPLICATE) -> NDArray[Any]:
        return np.asarray(cv2.warpPerspective(picture, own, size, flags=how | cv2.WARP_INVERSE_MAP, borderMode=border))

    around = np.ones((3, 3), np.uint8)
    values = turned(source, cv2.INTER_CUBIC)
    cv2.max(values, turned(cv2.erode(source, around), cv2.INTER_NEAREST), dst=values)
    cv2.min(values, turned(cv2.dilate(source, around), cv2.INTER_NEAREST), dst=values)
    result[...] = _brightened(values, table)
    if beyond is not None:  # as bright as it should be already
        missing = turned(np.ones(source.shape[:2], np.uint8), cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) == 0
        result[missing] = beyond[area.top : area.bottom, area.left : area.right][missing]
