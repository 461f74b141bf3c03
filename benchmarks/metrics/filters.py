"""Filters and frequencies that the fusion metrics share, in MATLAB's conventions."""

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
        raise FusionError(
            "The images are too small for a metric",
            found=f"{width}x{height}",
            allowed=f"at least {length} on each side",
        )
    whole = cv2.sepFilter2D(image, cv2.CV_64F, line, line, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(whole[: height - length + 1, : width - length + 1], np.float64)


def gaussian(length: int, sigma: float) -> Gray:
    """Sample a Gaussian at ``length`` points, sum 1; ``fspecial('gaussian', length, sigma)`` is its outer product."""
    return gaussian_density(length, sigma) / gaussian_density(length, sigma).sum()


def gaussian_density(length: int, sigma: float) -> Gray:
    """Sample the density of a normal distribution at ``length`` points; their sum is below 1 by the tails left out."""
    x = np.arange(length) - (length - 1) / 2
    return np.exp(-(x**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)


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


def rescale_to_255(image: Gray) -> Gray:
    """Rescale the range of an image to 0 ... 255 and round, halves away from zero; zeros for a constant image."""
    low, high = image.min(), image.max()
    return np.zeros_like(image) if high == low else np.floor((image - low) / (high - low) * 255 + 0.5)


def ratio(numerator: Gray, denominator: Gray, otherwise: float) -> Gray:
    """The quotient, and ``otherwise`` where the denominator is 0."""
    defined = denominator != 0
    return np.where(defined, numerator / np.where(defined, denominator, 1), otherwise)
