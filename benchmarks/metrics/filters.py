"""Filters and frequencies that the fusion metrics share, in MATLAB's conventions; and what made scenes share."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError

Gray = NDArray[np.float64]

SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float64)
SOBEL_Y = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float64)
PREWITT_X = np.array([[1, 0, -1], [1, 0, -1], [1, 0, -1]], np.float64)


def filter_same(image: Gray, kernel: Gray) -> Gray:
    """Correlation with zeros around the image, as large as the image: ``filter2(kernel, image, 'same')``."""
    return np.asarray(cv2.filter2D(image, cv2.CV_64F, kernel, borderType=cv2.BORDER_CONSTANT), np.float64)


def smooth_same(image: Gray, line: Gray) -> Gray:
    """The same with the separable kernel ``line`` x ``line``."""
    return np.asarray(cv2.sepFilter2D(image, cv2.CV_64F, line, line, borderType=cv2.BORDER_CONSTANT), np.float64)


def smooth_valid(image: Gray, line: Gray) -> Gray:
    """The same, only where the kernel lies inside the image (``'valid'``): smaller by its length - 1 on each axis.

    Raises
    ------
    FusionError
        If the kernel does not fit into the image.
    """
    length = line.size
    height, width = image.shape
    if min(height, width) < length:
        raise FusionError(f"The images have {width}x{height} pixels, and a metric needs {length} on each side")
    whole = cv2.sepFilter2D(image, cv2.CV_64F, line, line, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(whole[: height - length + 1, : width - length + 1], np.float64)


def gaussian(length: int, sigma: float) -> Gray:
    """A Gaussian bell of ``length`` samples that add up to 1: ``fspecial('gaussian', length, sigma)`` is its square."""
    return bell(length, sigma) / bell(length, sigma).sum()


def bell(length: int, sigma: float) -> Gray:
    """The same not normalized, but as the density has it: the samples left out are missing from the sum."""
    x = np.arange(length) - (length - 1) / 2
    return np.exp(-(x**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)


def disc(radius: float) -> NDArray[np.float32]:
    """What a lens makes of a point that is out of focus: a disc with a soft edge, which adds up to 1."""
    reach = int(np.ceil(radius))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    found = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1).astype(np.float32)
    return np.asarray(found / found.sum(), np.float32)


def edges(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels whose label (H x W) differs from that of the pixel to the left or above."""
    found = np.zeros(labels.shape, bool)
    found[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    found[1:] |= labels[1:] != labels[:-1]
    return found


def frequencies(height: int, width: int) -> tuple[Gray, Gray]:
    """Frequencies in x and in y, -1 to 1, laid out as numpy's FFT does; MATLAB's ``freqspace`` after ``ifftshift``."""
    x, y = np.meshgrid(2 * np.fft.fftfreq(width), 2 * np.fft.fftfreq(height))
    return x, y


def filtered(image: Gray, response: Gray) -> Gray:
    """An image multiplied by ``response`` in the frequency domain; what remains of the imaginary part is rounding."""
    return np.fft.ifft2(np.fft.fft2(image) * response).real


def stretched(image: Gray) -> Gray:
    """Stretched to 0 ... 255 and rounded, halves away from zero; zeros for a constant image."""
    low, high = image.min(), image.max()
    return np.zeros_like(image) if high == low else np.floor((image - low) / (high - low) * 255 + 0.5)


def ratio(numerator: Gray, denominator: Gray, otherwise: float) -> Gray:
    """The quotient, and ``otherwise`` where the denominator is 0."""
    defined = denominator != 0
    return np.where(defined, numerator / np.where(defined, denominator, 1), otherwise)
