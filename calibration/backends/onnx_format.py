"""ONNX graphs with smaller numbers.

Weights alone: an int8 (or float16) constant that is cast and scaled where it is used. Every ONNX program reads that,
and ONNX Runtime does it once, when it opens the graph, so the graph runs as fast as in float32. Activations as well:
Quantize and Dequantize nodes around convolutions (QDQ), by onnxruntime.quantization. Convolutions with
ranges taken at run time (ConvInteger) are left out: ONNX Runtime computes them more slowly than in float32.
"""

from __future__ import annotations

import dataclasses
import io
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fusiongcn_edge.calibration.layers import (
    DENSE,
    DEPTHWISE,
    FEWEST_WEIGHTS,
    FP16,
    FP32,
    PRODUCT,
    STATIC8,
    STATIC16,
    WEIGHT_ONLY,
    CalibrationError,
    Layer,
    Precisions,
    Samples,
    gather,
)
from fusiongcn_edge.calibration.rounding import scales_of, to_half, to_int8
from fusiongcn_edge.runtime.bundle.manifest import Bundle, Graph
from fusiongcn_edge.runtime.engines.base import Arrays

FLOAT_ONLY = {"Div", "Reciprocal", "Exp", "Softplus", "Log", "Sqrt", "Pow", "Softmax", "Tanh"}


def precisions(layer: Layer) -> tuple[str, ...]:
    """See :class:`fusiongcn_edge.calibration.layers.Format`."""
    static = (STATIC8, STATIC16) if layer.kind != PRODUCT else ()
    return (WEIGHT_ONLY, FP16, *static, FP32)


def layers_of(bundle: Bundle) -> list[Layer]:
    """See :class:`fusiongcn_edge.calibration.layers.Format`."""
    found = []
    for key, graph in bundle.graphs.items():
        model = _loaded(graph)
        kinds = _kinds(model)
        for tensor in model.graph.initializer:
            weights = _array(tensor, graph)
            if weights.dtype == np.float32 and weights.size >= FEWEST_WEIGHTS and weights.min() < weights.max():
                found.append((key, kinds.get(tensor.name, PRODUCT), graph.file, tensor.name, weights))
    return gather(found)


def _loaded(graph: Graph) -> onnx.ModelProto:
    try:
        return onnx.load_from_string(graph.data)
    except Exception as error:  # the library raises several unrelated types
        raise _damaged(graph, error) from None


def _array(tensor: TensorProto, graph: Graph) -> NDArray[Any]:
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # likewise
        raise _damaged(graph, error) from None


def _damaged(graph: Graph, error: Exception) -> CalibrationError:
    return CalibrationError(f"{graph.file} is damaged", found=type(error).__name__, fix="export the model again")


def _kinds(model: onnx.ModelProto) -> dict[str, str]:
    """What the weights of convolutions are for, by their name."""
    kinds = {}
    for node in model.graph.node:
        if node.op_type == "Conv" and len(node.input) > 1:
            groups = [attribute.i for attribute in node.attribute if attribute.name == "group"]
            kinds[node.input[1]] = DENSE if groups in ([], [1]) else DEPTHWISE
    return kinds


def float_only(bundle: Bundle) -> list[str]:
    """See :class:`fusiongcn_edge.calibration.layers.Format`."""
    kinds = {node.op_type for graph in bundle.graphs.values() for node in _loaded(graph).graph.node}
    return sorted(kinds & FLOAT_ONLY)


def quantized(bundle: Bundle, precisions: Precisions, samples: Samples) -> dict[str, Graph]:
    """See :class:`fusiongcn_edge.calibration.layers.Format`."""
    wanted: dict[str, dict[str, str]] = {}  # file -> name of its tensor -> precision
    for layer in layers_of(bundle):
        for file, tensor in layer.sites:
            wanted.setdefault(file, {})[tensor] = precisions.get(layer.name, FP32)
    return {
        key: dataclasses.replace(graph, data=_quantized(graph.data, wanted.get(graph.file, {}), samples.get(key, ())))
        for key, graph in bundle.graphs.items()
    }


def _quantized(data: bytes, wanted: Mapping[str, str], samples: Sequence[Arrays]) -> bytes:
    if set(wanted.values()) <= {FP32}:
        return data
    model = onnx.load_from_string(data)
    for precision in (STATIC8, STATIC16):
        tensors = {name for name, own in wanted.items() if own == precision}
        if tensors:
            model = _static(model, tensors, precision, samples)
    kinds = _kinds(model)
    nodes: list[onnx.NodeProto] = []
    for tensor in list(model.graph.initializer):
        if wanted.get(tensor.name) == FP16:
            nodes += _in_half(model, tensor, kinds.get(tensor.name, PRODUCT))
        elif wanted.get(tensor.name) == WEIGHT_ONLY:
            nodes += _in_int8(model, tensor, kinds.get(tensor.name, PRODUCT))
    if nodes:
        nodes += model.graph.node
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _axes(kind: str, weights: NDArray[Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Axes of a kernel, and those that an output channel sums over."""
    if kind == PRODUCT:
        return (), (max(weights.ndim - 2, 0),)
    return tuple(range(2, weights.ndim)), tuple(range(1, weights.ndim))


def _in_half(model: onnx.ModelProto, tensor: TensorProto, kind: str) -> list[onnx.NodeProto]:
    name, weights = tensor.name, numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        halves = to_half(weights, _axes(kind, weights)[0]).astype(np.float16)
    tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}_half"))
    return [helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT)]


def _in_int8(model: onnx.ModelProto, tensor: TensorProto, kind: str) -> list[onnx.NodeProto]:
    name, weights = tensor.name, numpy_helper.to_array(tensor)
    kernel_axes, channel_axes = _axes(kind, weights)
    scales = scales_of(weights, channel_axes)
    tensor.CopyFrom(numpy_helper.from_array(to_int8(weights, kernel_axes, scales), f"{name}_int8"))
    model.graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scale"))
    return [
        helper.make_node("Cast", [f"{name}_int8"], [f"{name}_steps"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_steps", f"{name}_scale"], [name]),
    ]


def _static(model: onnx.ModelProto, tensors: set[str], precision: str, samples: Sequence[Arrays]) -> onnx.ModelProto:
    """Convolutions with these weights between Quantize and Dequantize."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            # the library gathers ranges of equal shapes only, and tiles may differ by a row or a column
            shapes = [tuple(array.shape for array in inputs.values()) for inputs in samples]
            usual = max(shapes, key=shapes.count, default=())
            self._left = iter([inputs for inputs, own in zip(samples, shapes, strict=True) if own == usual])

        def get_next(self) -> dict[str, Any] | None:
            inputs = next(self._left, None)
            return None if inputs is None else dict(inputs)

    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{index}"
    chosen = [n.name for n in model.graph.node if n.op_type == "Conv" and tensors & set(n.input)]
    wide = precision == STATIC16
    with (
        tempfile.TemporaryDirectory(prefix="fusiongcn-") as folder,
        redirect_stdout(io.StringIO()),
    ):
        target = Path(folder) / "graph.onnx"
        quantize_static(
            model,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QInt16 if wide else QuantType.QUInt8,
            nodes_to_quantize=chosen,
            calibrate_method=CalibrationMethod.MinMax if wide else CalibrationMethod.Percentile,
            extra_options={"ActivationSymmetric": wide, "CalibPercentile": 99.99, "UseQDQContribOps": wide},
        )
        return onnx.load(target)
