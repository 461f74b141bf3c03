"""Warn about frames that can be fused but give a poor result: the wrong scene, misregistration, unequal exposure.

The default check costs a few per cent of a fusion: exposure, contrast and a shift by phase correlation, all found on
thumbnails. Scale and rotation take an iterative search, which runs on request only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.registration.estimate import correlation, phase_shift
from fusiongcn_edge.runtime.types import Gray

SIDE, THOROUGH_SIDE = 192, 384  # cells along each side of a thumbnail: sizes that Fourier transforms are fast in
FINE, COARSE = 1 / 192, 5 / 192  # of the side: the radii of two means; the details between them are compared
LEAST_CONTRAST = 0.005  # of the full range: smaller local contrast is treated as none
MAX_SHIFT = 2.0, 0.3  # pixels and cells; the pairs of Lytro, MFFW, MFI-WHU and NYU-D reach 1.1 pixels
MAX_DISTORTION = 2.6  # pixels that the corners move beside a shift; two of the same pairs reach 4
BETTER = 0.01  # correlation that a transform must gain to be believed
MAX_EXPOSURE_DIFFERENCE = 0.08  # of the log of the brightness; of 69 research pairs one reaches 0.1, the next one 0.05
UNRELATED = 0.4  # correlation: pairs of one scene reach 0.7 at least
FLAT = 0.02  # of the full range
STOP = cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 30, 1e-4  # of the search for scale and rotation
SMOOTHED = 5  # cells of the filter that OpenCV applies in that search
SMALLEST = 128  # pixels on the shorter side: in smaller images the cells would be single pixels
Transform = NDArray[np.float64]  # 2 x 3: from a cell (x, y, 1) to where what it shows is in the other thumbnail


class Thumbnail(NamedTuple):
    """A reduced copy of a frame.

    ``size``: width and height of the frame in pixels; ``gray``: uint8 or uint16, square, whatever the frame's shape.
    """

    size: tuple[int, int]
    gray: NDArray[Any]


def thumbnail_of(frame: NDArray[Any], side: int = SIDE) -> Thumbnail:
    """Reduce a frame (uint8 or uint16, H x W, H x W x 3 or H x W x 4) to ``side`` x ``side`` gray levels."""
    if frame.ndim == 3:
        frame = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY if frame.shape[2] == 3 else cv2.COLOR_BGRA2GRAY)
    rows, columns = frame.shape
    return Thumbnail((columns, rows), cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA))


def input_warnings(
    names: Sequence[str],
    thumbnails: Sequence[Thumbnail],
    *,
    aligned: bool,
    match_exposure: bool,
    thorough: bool = False,
) -> list[str]:
    """Return at most a few sentences about what is wrong with frames of one scene.

    Parameters
    ----------
    names : sequence of str
    thumbnails : sequence of Thumbnail
        In the order of focus: neighbours are compared.
    aligned, match_exposure : bool
        Whether the frames are registered, or matched in exposure, before fusion; if so that is not checked.
    thorough : bool
        Also look for differences in scale and rotation; ``THOROUGH_SIDE`` is the side of the thumbnails for it.
    """
    found = []
    flat = [name for name, thumbnail in zip(names, thumbnails, strict=True) if _contrast(thumbnail) < FLAT]
    if flat:
        found.append(f"{flat[0]} has almost no contrast: check the photograph.")
    for (name, first), (other, second) in pairwise(zip(names, thumbnails, strict=True)):
        if first.size == second.size and np.array_equal(first.gray, second.gray):
            found.append(f"{name} and {other} are the same photograph: give ones that are focused at different depths.")
        elif not flat:
            displaced = None if aligned else _displacement(first, second, thorough)
            if displaced is not None:
                found.append(f"{name} and {other} {displaced}.")
            elif not match_exposure:
                found += _unequal_exposure(name, first, other, second)
        if len(found) > 1:
            break
    return found


def _contrast(thumbnail: Thumbnail) -> float:
    gray = thumbnail.gray
    return float(int(gray.max()) - int(gray.min())) / np.iinfo(gray.dtype).max


def _unequal_exposure(name: str, first: Thumbnail, other: str, second: Thumbnail) -> list[str]:
    """Compare mean levels, which blur does not change."""
    ratio = float(second.gray.mean()) / float(first.gray.mean())
    if abs(math.log(ratio)) < MAX_EXPOSURE_DIFFERENCE:
        return []
    return [f"{other} is {ratio:.2f} times as bright as {name}: try --match-exposure."]


def _displacement(first: Thumbnail, second: Thumbnail, thorough: bool) -> str | None:
    """Say how two frames are misregistered, as the end of a sentence; None if they are not."""
    if min(first.size) < SMALLEST:
        return None
    one, two = _local_contrast(first.gray), _local_contrast(second.gray)
    side = len(one)
    shift = np.eye(2, 3)
    shift[:, 2] = phase_shift(one, two)
    before, after = _correlations(one, two, shift)
    pixels = np.array(first.size) / side  # of a cell
    affine, best = shift, max(before, after)
    if thorough:
        affine = _affine(one, two, shift if after > before + BETTER else np.eye(2, 3))
        best = max(best, _correlations(one, two, affine)[1])
    if best < UNRELATED:
        return "seem to show different scenes: try --align similarity, or give photographs of one scene"
    if thorough and best > max(before, after) + BETTER:
        corners = _corner_displacements(affine, side)
        beside = np.abs(corners - corners.mean(axis=1, keepdims=True)).max(axis=1)  # what no shift explains
        if (beside * pixels).max() > MAX_DISTORTION:
            most = (np.abs(corners).max(axis=1) * pixels).max()
            return f"appear to differ in scale or rotation, by up to {most:.0f} pixels: try --align similarity"
    least, cells = MAX_SHIFT
    right, down = shift[:, 2] * pixels
    if max(abs(right), abs(down)) > least and np.abs(shift[:, 2]).max() > cells and after > before + BETTER:
        return f"appear misregistered by about {right:+.0f} {down:+.0f} pixels: try --align similarity"
    return None


def _local_contrast(gray: NDArray[Any]) -> Gray:
    """Normalise local brightness and contrast, float32."""
    fine, coarse = (round(share * len(gray)) for share in (FINE, COARSE))
    values = gray.astype(np.float32) / np.float32(np.iinfo(gray.dtype).max)
    picture = _mean(_mean(values, fine), fine) - _mean(values, coarse)
    picture /= np.sqrt(_mean(picture * picture, coarse) + np.float32(LEAST_CONTRAST**2))
    return picture


def _mean(picture: Gray, radius: int) -> Gray:
    return np.asarray(cv2.blur(picture, (2 * radius + 1, 2 * radius + 1)), np.float32)


def _affine(first: Gray, second: Gray, start: Transform) -> Transform:
    """Find the affine map that registers ``second`` (ECC: Evangelidis and Psarakis, TPAMI 2008); ``start`` if the
    search does not converge."""
    halves = (cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for picture in (first, second))
    to_half = np.array([(1, 1, 0.5)])  # cells of the halves are twice as large
    found = (start * to_half).astype(np.float32)
    try:
        cv2.findTransformECC(*halves, found, cv2.MOTION_AFFINE, STOP, None, SMOOTHED)  # type: ignore[call-overload]
    except cv2.error:
        return start
    return found / to_half


def _corner_displacements(transform: Transform, side: int) -> NDArray[np.float64]:
    """How far to the right and down the corners of a thumbnail move, in cells; 2 x 4."""
    corners = np.array([(0, side, 0, side), (0, 0, side, side), (1, 1, 1, 1)], np.float64)
    return np.asarray(transform @ corners - corners[:2])


def _correlations(first: Gray, second: Gray, transform: Transform) -> tuple[float, float]:
    """Correlate before and after the second is warped, where both have pixels."""
    side = len(first)
    edge = math.ceil(np.abs(_corner_displacements(transform, side)).max()) + 1
    if 4 * edge >= side:
        before = correlation(first, second)
        return before, before
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = np.asarray(cv2.warpAffine(second, transform, (side, side), flags=flags), np.float32)
    inner = slice(edge, -edge)
    before, after = (correlation(first[inner, inner], picture[inner, inner]) for picture in (second, warped))
    return before, after
