"""Cost of ONNX graphs, read from the file; see :mod:`fusiongcn_edge.benchmarks.cost.conventions` for what counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference

from fusiongcn_edge.benchmarks.cost.conventions import Count, Node, Shape, Weights, elements, peak_bytes, weights_of
from fusiongcn_edge.runtime.errors import FusionError

VIEWS = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout"}
MOVES = VIEWS | {
    "Transpose", "Concat", "Slice", "Split", "Gather", "GatherElements", "GatherND", "ScatterND", "Pad", "Cast",
    "CastLike", "Shape", "Size", "Expand", "Tile", "Constant", "ConstantOfShape", "Range", "DepthToSpace",
    "SpaceToDepth", "QuantizeLinear", "DequantizeLinear",
}  # fmt: skip
TABLES = {"Gather", "GatherElements", "GatherND"}  # moves whose constants are weights all the same
# operator -> places of its image or left factor, and of its weights or right factor
CONVOLUTIONS = {"Conv": (0, 1), "FusedConv": (0, 1), "ConvInteger": (0, 1), "QLinearConv": (0, 3)}
MOST_NUMBERS = 1 << 40  # in one tensor
PRODUCTS = {"MatMul": 0, "FusedMatMul": 0, "MatMulInteger": 0, "QLinearMatMul": 0, "Gemm": 0}
# what computes much and is not understood here
UNKNOWN = {
    "Einsum", "LSTM", "GRU", "RNN", "If", "Loop", "Scan", "DeformConv", "Attention", "MultiHeadAttention", "QGemm",
    "MatMulNBits", "QAttention", "FusedGemm", "GroupQueryAttention", "DFT", "STFT",
}  # fmt: skip


class OnnxGraph:
    """A graph file's content, to be counted at any sizes.

    Raises
    ------
    FusionError
        If it is no ONNX graph.
    """

    def __init__(self, data: bytes, name: str = "the graph") -> None:
        self._name = name
        try:
            self._model = onnx.load_from_string(data)
        except Exception as error:
            raise FusionError(f"{name} is no ONNX graph", found=type(error).__name__, fix="give another file") from None
        graph = self._model.graph
        if not graph.node:
            raise FusionError(f"{name} is an ONNX file without operators", fix="give another file")
        for tensor in graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                raise FusionError(f"{name} keeps its weights in other files", fix="save it with the weights inside")
        for node in graph.node:
            if node.domain == "com.microsoft" and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                node.domain = ""  # the same, for 16 bits, which ONNX itself has from opset 21 on
        self._constants = self._folded()
        given = {tensor.name for tensor in graph.initializer}
        self.inputs = {value.name: _dimensions(value) for value in graph.input if value.name not in given}
        del graph.value_info[:]
        for value in graph.output:
            value.type.tensor_type.ClearField("shape")

    def _folded(self) -> dict[str, tuple[Weights, bool]]:
        """Constants, also those computed from constants, which stand for the largest of these; whether real numbers."""
        real = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
        found: dict[str, tuple[Weights, bool]] = {}
        for tensor in self._model.graph.initializer:
            found[tensor.name] = weights_of(self._array(tensor)), tensor.data_type in real
        for node in self._model.graph.node:
            if node.op_type == "Constant":
                value = next((a.t for a in node.attribute if a.name == "value"), None)
                array = np.zeros(1, np.int64) if value is None else self._array(value)
                found[node.output[0]] = weights_of(array), value is not None and value.data_type in real
                continue
            read = [name for name in node.input if name]
            if read and all(name in found for name in read):
                largest = max((found[name][0] for name in read), key=lambda weights: weights.params)
                stored = sum(found[name][0].bytes for name in read)
                to = next((a.i for a in node.attribute if a.name == "to"), None)
                is_real = node.op_type == "DequantizeLinear" or (
                    to in real if node.op_type == "Cast" else any(found[name][1] for name in read)
                )
                stands_for = Weights(largest.key, largest.params, stored), is_real
                found |= {name: stands_for for name in node.output if name}
        return found

    def _array(self, tensor: TensorProto) -> NDArray[Any]:
        try:
            if min(tensor.dims, default=0) < 0:
                raise ValueError("negative lengths")
            return np.asarray(numpy_helper.to_array(tensor))
        except Exception as error:  # whatever the library makes of lengths and types that do not go together
            raise FusionError(
                f"{self._name} has a damaged constant {tensor.name!r}",
                found=type(error).__name__,
                fix="give another file",
            ) from None

    def count(self, inputs: Mapping[str, Shape]) -> Count:
        """See :class:`fusiongcn_edge.benchmarks.cost.conventions.Countable`."""
        shapes, sizes = self._inferred(inputs)
        nodes, steps, uncounted = [], [], set[str]()
        views = dict[str, str]()
        for index, node in enumerate(self._model.graph.node):
            given = [name for name in node.output if name]
            if all(name in self._constants for name in given):
                continue
            read = [name for name in node.input if name and name not in self._constants]
            steps.append((read, given))
            if node.op_type in VIEWS and read and given:
                views[given[0]] = read[0]
            if node.op_type in UNKNOWN:
                uncounted.add(node.op_type)
            nodes.append(self._node(node, index, shapes, read, given))
        results = [value.name for value in self._model.graph.output]
        outputs = {name: shapes[name] for name in results if name in shapes}
        return Count(tuple(nodes), outputs, peak_bytes(steps, sizes, views, results), tuple(sorted(uncounted)))

    def _inferred(self, inputs: Mapping[str, Shape]) -> tuple[dict[str, Shape], dict[str, int]]:
        """Shape and bytes of everything that is no constant."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for value in model.graph.input:
            if value.name in inputs:
                shape = value.type.tensor_type.shape
                del shape.dim[:]
                for length in inputs[value.name]:
                    shape.dim.add().dim_value = length
        for by_values in (False, True):  # of tensors that are shapes; the library makes them as long as the file says
            try:
                model = shape_inference.infer_shapes(model, data_prop=by_values, strict_mode=True)
            except Exception as error:
                reason = str(error).strip().splitlines()[-1][:200]
                raise FusionError(
                    f"The shapes in {self._name} do not fit together at this size",
                    found=reason,
                    fix="give another size or file",
                ) from None
            for value in model.graph.value_info:
                if math.prod(length for length in _dimensions(value) if isinstance(length, int)) > MOST_NUMBERS:
                    raise FusionError(
                        f"{self._name} says that {value.name!r} is larger than any memory", fix="give another file"
                    )
        shapes, sizes = {}, {}
        for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
            lengths = _dimensions(value)
            if value.type.HasField("tensor_type") and all(isinstance(length, int) for length in lengths):
                if not value.type.tensor_type.HasField("shape"):
                    continue
                shapes[value.name] = tuple(int(length) for length in lengths)
                if min(shapes[value.name], default=0) < 0:
                    raise FusionError(
                        f"{self._name} says that {value.name!r} has negative lengths", fix="give another file"
                    )
                kind = value.type.tensor_type.elem_type
                width = helper.tensor_dtype_to_np_dtype(kind).itemsize if kind != TensorProto.STRING else 0
                sizes[value.name] = elements(shapes[value.name]) * width
        shapes |= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        return shapes, {name: size for name, size in sizes.items() if name not in self._constants}

    def _node(self, node: Any, index: int, shapes: dict[str, Shape], read: list[str], given: list[str]) -> Node:
        def shape_of(name: str) -> Shape:
            if name not in shapes:
                raise FusionError(
                    f"The shape of {name!r} in {self._name} cannot be told ahead",
                    fix="export the graph with fixed sizes",
                )
            return shapes[name]

        kind = node.op_type
        out = shapes.get(given[0], ())
        counted = kind in CONVOLUTIONS or kind in PRODUCTS or kind == "ConvTranspose"
        if counted:
            out, macs = shape_of(given[0]), self._macs(node, shape_of)
        else:
            macs = 0
        other = 0
        if not counted and kind not in MOVES and kind not in UNKNOWN:
            other = max(elements(shape_of(name)) for name in (*read, *given))
        return Node(
            name=node.name or f"{kind}_{index}",
            operator=kind,
            shape=out,
            pixels=self._pixels(node, out),
            macs=macs,
            other=other,
            weights=self._weights(node, counted),
        )

    def _pixels(self, node: Any, out: Shape) -> int:
        if node.op_type in PRODUCTS and len(out) == 2 and node.input[0] not in self._constants:
            return out[0]  # pixels by channels
        return elements(out[-2:]) if len(out) == 4 else 0

    def _macs(self, node: Any, shape_of: Any) -> int:
        kind = node.op_type
        if kind in CONVOLUTIONS:
            return elements(shape_of(node.output[0])) * elements(shape_of(node.input[CONVOLUTIONS[kind][1]])[1:])
        if kind == "ConvTranspose":
            return elements(shape_of(node.input[0])) * elements(shape_of(node.input[1])[1:])
        left = shape_of(node.input[PRODUCTS[kind]])
        turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return elements(shape_of(node.output[0])) * (left[-2] if turned else left[-1])

    def _weights(self, node: Any, counted: bool) -> tuple[Weights, ...]:
        if node.op_type in MOVES - TABLES:
            return ()
        names = list(node.input)
        if node.op_type == "BatchNormalization":
            names = names[:3]  # what follows are statistics
        if node.op_type in ("QLinearConv", "QLinearMatMul"):
            names = [names[3], *names[8:]]
        elif node.op_type.endswith("Integer"):
            names = names[1:2]
        found = [self._constants[name] for name in names if name in self._constants]
        return tuple(weights for weights, real in found if counted or (real and weights.params > 1))


def _dimensions(value: Any) -> tuple[int | str, ...]:
    """Lengths, free ones by name."""
    dimensions = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else _text(d.dim_param) or "?" for d in dimensions)


def _text(name: str | bytes) -> str:
    """A name of a file; the library gives bytes where it is no UTF-8."""
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name
