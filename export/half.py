"""Weights in float16, rounded so that flat parts of an image are answered as in float32.

Rounded one by one, the weights of a kernel miss its sum by chance, and every pixel of a flat region, where the network
is least sure, is pushed the same way. So the error of each weight is handed on to the next smaller one of its kernel,
and what is left is less than the rounding of the smallest. It needs no data, and the file is the same size.

Only the dense convolutions are rounded. They hold four fifths of the weights; the depthwise ones decide more than they
weigh.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def round_convolutions(module: nn.Module) -> None:
    """Give the dense convolutions of a module weights that float16 holds exactly."""
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d) and conv.groups == 1:
            with torch.no_grad():
                conv.weight.copy_(torch.from_numpy(round_kernels(conv.weight.numpy())))


def round_kernels(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """O x I x h x w to the same in values of float16, each of the O x I kernels with (nearly) the sum that it had."""
    kernels = weight.reshape(-1, weight.shape[2] * weight.shape[3]).astype(np.float64)
    order = np.argsort(-np.abs(kernels), axis=1)
    ordered = np.take_along_axis(kernels, order, axis=1)
    rounded, carried = np.empty_like(ordered), np.zeros(len(ordered))
    with np.errstate(over="ignore"):  # what does not fit is found when the graphs are compared with the network
        for tap in range(ordered.shape[1]):
            wanted = ordered[:, tap] + carried
            rounded[:, tap] = wanted.astype(np.float16)
            carried = wanted - rounded[:, tap]
    np.put_along_axis(kernels, order, rounded, axis=1)
    return kernels.reshape(weight.shape).astype(np.float32)
