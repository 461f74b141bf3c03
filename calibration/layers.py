"""What can be quantized: the layers of a bundle, and the precisions that each can have.

A layer is an array of weights. Where the same array is used in several graphs (a stage that weighs and the one that
attends, one graph for several sizes) it is one layer, so that all of them go on computing the same.

Precisions are named as ai-edge-quantizer names them: ``wi8`` weights in int8, one scale for each output channel;
``ai8``, ``ai16`` activations in int8 or int16 as well, with ranges from calibration; ``dynamic`` activations in int8
with ranges taken while the graph runs; ``afp32`` activations in float32.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.manifest import Bundle, Graph
from fusiongcn_edge.runtime.engines.base import Arrays
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.text import install_hint

FP32, FP16 = "fp32", "fp16"
WEIGHT_ONLY = "weight_only_wi8_afp32"
DYNAMIC = "dynamic_wi8_afp32"
STATIC8, STATIC16 = "static_wi8_ai8", "static_wi8_ai16"
PRECISIONS = (STATIC8, STATIC16, DYNAMIC, WEIGHT_ONLY, FP16, FP32)  # a bundle is named after the first that it has
FEWEST_WEIGHTS = 256  # smaller arrays gain nothing: their scales and nodes take more room than they give up

DENSE, DEPTHWISE, PRODUCT = "dense convolution", "depthwise convolution", "product"

Precisions = Mapping[str, str]  # name of a layer to its precision; layers that are not named stay as they are
Samples = Mapping[str, Sequence[Arrays]]  # key of a graph in the bundle to inputs that it was given


class CalibrationError(FusionError):
    """A quantization that cannot be done, or costs more than it may."""


@dataclass(frozen=True)
class Layer:
    """An array of weights and where it is used: ``sites`` are pairs of a file and the tensor's place or name in it."""

    name: str
    kind: str
    shape: tuple[int, ...]
    sites: tuple[tuple[str, Any], ...]

    @property
    def weights(self) -> int:
        """How many there are."""
        return math.prod(self.shape)


class Format(Protocol):
    """What the module of a file format does."""

    def precisions(self, layer: Layer) -> tuple[str, ...]:
        """Those a layer can have, the ones that the engine gains most by first; the last is fp32."""

    def layers_of(self, bundle: Bundle) -> list[Layer]:
        """In the order of the graphs."""

    def quantized(self, bundle: Bundle, precisions: Precisions, samples: Samples) -> dict[str, Graph]:
        """All graphs of the bundle, with these layers in these precisions."""

    def float_only(self, bundle: Bundle) -> list[str]:
        """Names of operators in its graphs that have no use in integers, such as a division by a variance."""


def format_of(bundle: Bundle) -> Format:
    """The module for a bundle's format.

    Raises
    ------
    CalibrationError
        If the library that it needs is not installed.
    """
    try:
        if bundle.engine == "onnx":
            from fusiongcn_edge.calibration.backends import onnx_format

            return onnx_format
        from fusiongcn_edge.calibration.backends import tflite_format

        return tflite_format
    except ModuleNotFoundError as error:
        raise CalibrationError(
            f"Quantizing this bundle needs {error.name}, which is not installed", fix=f"{install_hint('calibration')}"
        ) from None


def gather(found: Sequence[tuple[str, str, str, Any, NDArray[np.float32]]]) -> list[Layer]:
    """Layers from (graph, kind, file, place, weights) of every use: equal arrays in the same role are one layer."""
    uses: dict[tuple[str, tuple[int, ...], bytes], list[tuple[str, str, Any]]] = {}
    for graph, kind, file, place, weights in found:
        uses.setdefault((kind, weights.shape, weights.tobytes()), []).append((graph, file, place))
    counts: dict[str, int] = {}
    layers = []
    for (kind, shape, _), users in uses.items():
        graph = users[0][0].partition("@")[0]
        counts[graph] = counts.get(graph, 0) + 1
        sites = tuple(dict.fromkeys((file, place) for _, file, place in users))
        layers.append(Layer(f"{graph}/{counts[graph]}", kind, shape, sites))
    return layers


def with_precisions(bundle: Bundle, precisions: Precisions, samples: Samples) -> Bundle:
    """A bundle in memory with these layers in these precisions."""
    return dataclasses.replace(bundle, graphs=format_of(bundle).quantized(bundle, precisions, samples))
