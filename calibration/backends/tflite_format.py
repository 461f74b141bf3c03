"""TFLite graphs with smaller numbers, by ai-edge-quantizer.

Weights are put onto the grid here, each kernel's rounding error handed on within it; the quantizer, which takes the
greatest weight of a channel for the last of its levels, then finds them there.
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import algorithm_manager, calibrator, qtyping, quantizer
from numpy.typing import NDArray

from fusiongcn_edge.calibration.layers import (
    DENSE,
    DEPTHWISE,
    DYNAMIC,
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
from fusiongcn_edge.runtime.engines.litert_engine import as_tflite

OPERATORS = {
    schema.BuiltinOperator.CONV_2D: qtyping.TFLOperationName.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: qtyping.TFLOperationName.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED: qtyping.TFLOperationName.FULLY_CONNECTED,
}
KINDS = {
    qtyping.TFLOperationName.CONV_2D: DENSE,
    qtyping.TFLOperationName.DEPTHWISE_CONV_2D: DEPTHWISE,
    qtyping.TFLOperationName.FULLY_CONNECTED: PRODUCT,
}
CHANNEL_AXIS = {DENSE: 0, DEPTHWISE: 3, PRODUCT: 0}
KERNEL_AXES = {DENSE: (1, 2), DEPTHWISE: (1, 2), PRODUCT: ()}
FLOAT_ONLY = {"DIV", "EXP", "LOG", "SQRT", "RSQRT", "POW", "SOFTMAX", "TANH"}


def precisions(layer: Layer) -> tuple[str, ...]:
    """See :class:`fusiongcn_edge.calibration.layers.Format`."""
    if layer.kind == DENSE:
        return (DYNAMIC, WEIGHT_ONLY, FP16, STATIC8, STATIC16, FP32)
    static = (STATIC8, STATIC16) if layer.kind == DEPTHWISE else ()
    return (WEIGHT_ONLY, FP16, *static, FP32)


def layers_of(bundle: Bundle) -> list[Layer]:
    """See :class:`fusiongcn_edge.calibration.layers.Format`."""
    return gather(
        [
            (use.graph, use.kind, use.file, use.scope, use.weights)
            for data, file in _files(bundle).items()
            for use in _uses(_parsed(data), file)
        ]
    )


def float_only(bundle: Bundle) -> list[str]:
    """See :class:`fusiongcn_edge.calibration.layers.Format`."""
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    found = {names.get(code.builtinCode, "") for data in _files(bundle) for code in _parsed(data).operatorCodes}
    return sorted(found & FLOAT_ONLY)


def quantized(bundle: Bundle, precisions: Precisions, samples: Samples) -> dict[str, Graph]:
    """See :class:`fusiongcn_edge.calibration.layers.Format`."""
    wanted: dict[str, dict[str, tuple[Layer, str]]] = {}  # file -> operator -> its layer and precision
    for layer in layers_of(bundle):
        for file, scope in layer.sites:
            if precisions.get(layer.name, FP32) != FP32:
                wanted.setdefault(file, {})[scope] = (layer, precisions[layer.name])
    given: dict[str, dict[str, Sequence[Arrays]]] = {}  # file -> signature -> inputs
    for key, graph in bundle.graphs.items():
        given.setdefault(graph.file, {})[graph.entry or ""] = samples.get(key, ())
    files = {
        file: _quantized(data, file, wanted[file], given[file]) if file in wanted else data
        for data, file in _files(bundle).items()
    }
    return {key: dataclasses.replace(graph, data=files[graph.file]) for key, graph in bundle.graphs.items()}


def slim(data: bytes) -> bytes:
    """The same TFLite file with short names for its tensors, ``mix/3``, each once, and without what says nothing."""
    model = _parsed(data)
    names = [signature.signatureKey.decode() for signature in model.signatureDefs]
    bases = [name.partition("@")[0] for name in names]
    for signature, name, base in zip(model.signatureDefs, names, bases, strict=True):
        for index, tensor in enumerate(model.subgraphs[signature.subgraphIndex].tensors):
            tensor.name = f"{base if bases.count(base) == 1 else name}/{index}".encode()
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
    return _packed(model)


def _without_names(data: bytes) -> bytes:
    """The same TFLite file with no names for its tensors, and numbers that repeat (zero points) stored once."""
    model = _parsed(data)
    for tensor in (tensor for subgraph in model.subgraphs for tensor in subgraph.tensors):
        tensor.name = None
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            tensor.quantization.zeroPoint = np.asarray(tensor.quantization.zeroPoint, np.int64)
            tensor.quantization.scale = np.asarray(tensor.quantization.scale, np.float32)
    return _packed(model)


def _parsed(data: bytes) -> Any:
    try:
        return flatbuffer_utils.read_model_from_bytearray(data)
    except Exception as error:  # it believes every number of a damaged file
        raise _damaged(error) from None


def _damaged(error: Exception) -> CalibrationError:
    return CalibrationError("A TFLite file of the model is damaged", found=type(error).__name__, fix="export it again")


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Writes equal arrays once; a flatbuffer may point to one place from many."""

    def __init__(self) -> None:
        super().__init__(1 << 20)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def _packed(model: Any) -> bytes:
    builder = _SharingBuilder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@dataclasses.dataclass(frozen=True)
class _Use:
    """An operator with constant weights: ``scope`` is the name of what it gives, by which the quantizer finds it."""

    graph: str
    kind: str
    file: str
    scope: str
    weights: NDArray[np.float32]
    subgraph: int
    operator: int


def _files(bundle: Bundle) -> dict[bytes, str]:
    """Content and name of each file, once."""
    return {graph.data: graph.file for graph in bundle.graphs.values()}


def _uses(model: Any, file: str) -> list[_Use]:
    try:
        return list(_each_use(model, file))
    except (AttributeError, IndexError, TypeError, ValueError) as error:  # it refers to what is not there
        raise _damaged(error) from None


def _each_use(model: Any, file: str) -> Iterator[_Use]:
    names = {signature.subgraphIndex: signature.signatureKey.decode() for signature in model.signatureDefs}
    for number, subgraph in enumerate(model.subgraphs):
        for index, operator in enumerate(subgraph.operators):
            name = OPERATORS.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
            if name is None:
                continue
            tensor = subgraph.tensors[operator.inputs[1]]
            content = model.buffers[tensor.buffer].data
            if content is None or tensor.type != schema.TensorType.FLOAT32 or len(content) < 4 * FEWEST_WEIGHTS:
                continue
            weights = np.frombuffer(bytes(content), np.float32).reshape(tensor.shape)
            scope = subgraph.tensors[operator.outputs[0]].name.decode()
            yield _Use(names.get(number, str(number)), KINDS[name], file, scope, weights, number, index)


def _quantized(
    data: bytes, file: str, wanted: Mapping[str, tuple[Layer, str]], samples: Mapping[str, Sequence[Arrays]]
) -> bytes:
    data = _on_the_grid(data, file, {scope: precision for scope, (_, precision) in wanted.items()})
    recipe = quantizer.Quantizer(data)
    operations = {kind: operation for operation, kind in KINDS.items()}
    for scope, (layer, precision) in wanted.items():
        algorithm = algorithm_manager.AlgorithmName.MIN_MAX_UNIFORM_QUANT
        recipe.update_quantization_recipe(
            regex=f"^{re.escape(scope)};?$",
            operation_name=operations[layer.kind],
            op_config=_config(precision),
            algorithm_key=algorithm_manager.AlgorithmName.FLOAT_CASTING if precision == FP16 else algorithm,
        )
    with redirect_stderr(io.StringIO()):
        ranges = None
        if recipe.need_calibration:
            ranges = recipe.calibrate(
                {entry: [as_tflite(inputs) for inputs in own] for entry, own in samples.items() if own},
                num_threads=1,
                mode=calibrator.CalibrationMode.CALIBRATION_PRESERVE_ALL_TENSORS,
            )
        found = recipe.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return _without_names(bytes(found.quantized_model))


def _config(precision: str) -> qtyping.OpQuantizationConfig:
    int8 = qtyping.TensorQuantizationConfig(
        num_bits=8, symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
    )
    if precision == FP16:
        half = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        return qtyping.OpQuantizationConfig(
            weight_tensor_config=half, compute_precision=qtyping.ComputePrecision.FLOAT, explicit_dequantize=True
        )
    if precision == WEIGHT_ONLY:
        return qtyping.OpQuantizationConfig(
            weight_tensor_config=int8, compute_precision=qtyping.ComputePrecision.FLOAT, explicit_dequantize=True
        )
    activations = {
        DYNAMIC: None,
        STATIC8: qtyping.TensorQuantizationConfig(num_bits=8, symmetric=False),
        STATIC16: qtyping.TensorQuantizationConfig(num_bits=16, symmetric=True),
    }[precision]
    return qtyping.OpQuantizationConfig(
        activation_tensor_config=activations,
        weight_tensor_config=int8,
        compute_precision=qtyping.ComputePrecision.INTEGER,
        explicit_dequantize=False,
    )


def _on_the_grid(data: bytes, file: str, wanted: Mapping[str, str]) -> bytes:
    """The file with the weights of these operators rounded, still in float32."""
    model = _parsed(data)
    for use in _uses(model, file):
        if use.scope not in wanted:
            continue
        kernel_axes, channel = KERNEL_AXES[use.kind], CHANNEL_AXIS[use.kind]
        if wanted[use.scope] == FP16:
            rounded = to_half(use.weights, kernel_axes)
        else:
            others = tuple(axis for axis in range(use.weights.ndim) if axis != channel)
            scales = scales_of(use.weights, others)
            rounded = to_int8(use.weights, kernel_axes, scales) * scales
        subgraph = model.subgraphs[use.subgraph]
        tensor = subgraph.tensors[subgraph.operators[use.operator].inputs[1]]
        model.buffers[tensor.buffer].data = np.frombuffer(rounded.astype(np.float32).tobytes(), np.uint8)
    return _packed(model)
