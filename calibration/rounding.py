"""Weights on a coarser grid, rounded so that flat parts of an image are answered as before.

Rounded one by one, the weights of a kernel miss its sum by chance, and every pixel of a flat region, where the network
is least sure, is pushed the same way. So the error of each weight is handed on to the next smaller one of its kernel,
and what is left is less than the rounding of the smallest. It needs no data, and the file is the same size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = 127  # of an int8, on either side of zero: symmetric, as the engines want weights


def to_half(weights: NDArray[np.float32], kernel_axes: tuple[int, ...]) -> NDArray[np.float32]:
    """The weights in values that float16 holds; infinite where they are too large for it."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _handed_on(weights, kernel_axes, lambda wanted: wanted.astype(np.float16).astype(np.float64))


def to_int8(
    weights: NDArray[np.float32], kernel_axes: tuple[int, ...], scales: NDArray[np.float32]
) -> NDArray[np.int8]:
    """The weights as multiples of ``scales`` (which broadcasts against them and is constant within a kernel)."""
    in_steps = _handed_on(weights / scales, kernel_axes, lambda wanted: np.clip(np.rint(wanted), -LEVELS, LEVELS))
    return in_steps.astype(np.int8)


def scales_of(weights: NDArray[np.float32], axes: tuple[int, ...]) -> NDArray[np.float32]:
    """The step for each channel, with which its greatest weight over ``axes`` is the last of the levels."""
    greatest = np.abs(weights).max(axis=axes, keepdims=True).astype(np.float32)
    too_small = greatest < LEVELS * np.finfo(np.float32).tiny  # for steps that can be divided by
    return np.where(too_small, np.float32(1), greatest / np.float32(LEVELS))


def _handed_on(
    weights: NDArray[Any], kernel_axes: tuple[int, ...], nearest: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float32]:
    """Weights rounded to ``nearest``, each kernel, along ``kernel_axes``, with (nearly) the sum that it had."""
    last = tuple(range(-len(kernel_axes), 0))
    moved = np.moveaxis(weights, kernel_axes, last).astype(np.float64)
    kernels = moved.reshape(-1, int(np.prod([weights.shape[axis] for axis in kernel_axes])))
    order = np.argsort(-np.abs(kernels), axis=1, kind="stable")
    ordered = np.take_along_axis(kernels, order, axis=1)
    rounded, carried = np.empty_like(ordered), np.zeros(len(ordered))
    for tap in range(ordered.shape[1]):
        wanted = ordered[:, tap] + carried
        rounded[:, tap] = nearest(wanted)
        carried = wanted - rounded[:, tap]
    np.put_along_axis(kernels, order, rounded, axis=1)
    return np.moveaxis(kernels.reshape(moved.shape), last, kernel_axes).astype(np.float32)
