"""Prepare a pair for the published network: normalised RGB, guide image, superpixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.segmentation.settings import SlicSettings
from fusiongcn_edge.runtime.segmentation.slic import slic
from fusiongcn_edge.runtime.types import Float32, Labels


def network_input(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float32]:
    """What the network sees of a pair: float32 2 x 3 x H x W, RGB in [-1, 1]. Gray is repeated, alpha is left out."""
    images = np.empty((2, 3, *first.shape[:2]), np.float32)
    for planes, image in zip(images, (first, second), strict=True):
        full = np.float32(np.iinfo(image.dtype).max)
        for c in range(3):  # BGR to RGB
            plane = image if image.ndim == 2 else image[:, :, 2 - c]
            planes[c] = (plane / full - np.float32(0.5)) / np.float32(0.5)
    return images


def superpixels(images: Float32, settings: SlicSettings) -> Labels:
    """Superpixels of a pair: ``images`` float32 2 x 3 x H x W, RGB in [-1, 1]; gives int32 H x W, 0 .. N-1."""
    guide = guide_image(images, settings.guide_kernel, settings.guide_bias)
    wanted = settings.wanted(*guide.shape)
    return slic(guide, wanted, settings.compactness, settings.sigma, settings.iterations)


def guide_image(images: Float32, kernel: Float32, bias: float) -> Float32:
    """The image the superpixels are made on: a linear filter over both photographs, zero outside the image.

    Parameters
    ----------
    images : float32 2 x 3 x H x W
        Both photographs, RGB in [-1, 1].
    kernel : float32 6 x kh x kw
        Cross-correlation weights for ``[A_r, A_g, A_b, B_r, B_g, B_b]``; kh and kw odd. (``mix`` of the network.)
    bias : float

    Returns
    -------
    float32 H x W
    """
    channels = images.reshape(-1, *images.shape[2:])
    guide = np.full(channels.shape[1:], bias, np.float32)
    for channel, weights in zip(channels, kernel, strict=True):
        if weights.size == 1:
            guide += channel * weights.item()
        else:
            guide += cv2.filter2D(channel, cv2.CV_32F, weights, borderType=cv2.BORDER_CONSTANT)
    return guide
