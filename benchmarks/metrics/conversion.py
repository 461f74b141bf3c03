"""Bring photographs into the form that the metrics compare: gray or colour, 0 to 255, one size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.metrics.filters import Gray
from fusiongcn_edge.runtime.errors import FusionError

SMALLEST = 16  # pixels on a side: a region of Q_CV, and more than any window
BGR_WEIGHTS = np.array([0.114020904255103, 0.587043074451121, 0.298936021293775])  # MATLAB's rgb2gray


def to_gray(image: NDArray[Any]) -> Gray:
    """Convert a photograph, uint8 or uint16, gray or BGR(A), to float64 H x W of integers 0 ... 255."""
    samples = eight_bits(image)
    return np.floor((samples if image.ndim == 2 else samples[:, :, :3] @ BGR_WEIGHTS) + 0.5)


def eight_bits(image: NDArray[Any]) -> NDArray[np.float64]:
    """Convert uint8 or uint16 to float64 in 0 ... 255."""
    return image.astype(np.float64) * (255 / np.iinfo(image.dtype).max)


def check_sizes(images: dict[str, NDArray[Any]]) -> None:
    """Refuse images of different sizes, or too small ones; the keys name them."""
    (first, reference), *others = images.items()
    size = f"{reference.shape[1]}x{reference.shape[0]}"
    for name, image in others:
        if image.shape[:2] != reference.shape[:2]:
            raise FusionError(
                f"The {name} has another size than the {first}",
                found=f"{image.shape[1]}x{image.shape[0]}",
                allowed=size,
                fix="crop or resize them to the same size, aligned to each other",
            )
    if min(reference.shape[:2]) < SMALLEST:
        raise FusionError(
            "The images are too small for the metrics", found=size, allowed=f"at least {SMALLEST} on each side"
        )


def match_channels(image: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Give an image the channels of another: drop alpha, repeat gray or convert colour to gray."""
    image = image[:, :, :3] if image.ndim == 3 else image
    if image.ndim > like.ndim:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim < like.ndim else image
