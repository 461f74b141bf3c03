"""Cost of TFLite graphs, read from the file; see :mod:`fusiongcn_edge.benchmarks.cost.conventions` for what counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from fusiongcn_edge.benchmarks.cost.conventions import Count, Node, Shape, Weights, elements, peak_bytes, weights_of
from fusiongcn_edge.runtime.errors import FusionError

NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
WIDTHS = {
    schema.TensorType.FLOAT32: 4, schema.TensorType.INT32: 4, schema.TensorType.UINT32: 4,
    schema.TensorType.FLOAT16: 2, schema.TensorType.INT16: 2, schema.TensorType.UINT16: 2,
    schema.TensorType.INT8: 1, schema.TensorType.UINT8: 1, schema.TensorType.BOOL: 1,
    schema.TensorType.INT64: 8, schema.TensorType.UINT64: 8, schema.TensorType.FLOAT64: 8,
}  # fmt: skip
REAL = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16, schema.TensorType.FLOAT64)
ARRAYS = {
    schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16, schema.TensorType.FLOAT64: np.float64,
    schema.TensorType.INT8: np.int8, schema.TensorType.INT16: np.int16, schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64, schema.TensorType.UINT8: np.uint8, schema.TensorType.BOOL: np.uint8,
}  # fmt: skip
VIEWS = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}
MOVES = VIEWS | {
    "TRANSPOSE", "CONCATENATION", "SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "GATHER", "GATHER_ND", "PAD", "PADV2",
    "MIRROR_PAD", "CAST", "SHAPE", "BROADCAST_TO", "TILE", "FILL", "PACK", "UNPACK", "RANGE", "SPACE_TO_BATCH_ND",
    "BATCH_TO_SPACE_ND", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "QUANTIZE", "DEQUANTIZE", "EMBEDDING_LOOKUP", "SELECT",
    "SELECT_V2",
}  # fmt: skip
TABLES = {"GATHER", "GATHER_ND", "EMBEDDING_LOOKUP"}  # moves whose constants are weights all the same
COUNTED = {"CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"}
RANKS = {"CONV_2D": 4, "CONV_3D": 5, "DEPTHWISE_CONV_2D": 4, "TRANSPOSE_CONV": 1, "FULLY_CONNECTED": 1}  # at least
UNKNOWN = {"CUSTOM", "WHILE", "IF", "LSTM", "RNN", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "STABLEHLO_COMPOSITE"}


class LiteRtFile:
    """A TFLite file's content: each of its graphs, by signature, to be counted.

    Raises
    ------
    FusionError
        If it is no TFLite file.
    """

    def __init__(self, data: bytes, name: str = "the graph") -> None:
        if data[4:8] != b"TFL3":
            raise FusionError(f"{name} is no TFLite file", fix="give another file")
        try:
            model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
            keys = {s.subgraphIndex: s.signatureKey.decode("utf-8", "replace") for s in model.signatureDefs or ()}
            self.graphs = {
                keys.get(index, "main" if index == 0 else f"subgraph {index}"): _Graph(model, index)
                for index in range(len(model.subgraphs))
            }
        except Exception as error:
            raise FusionError(
                f"{name} is a damaged TFLite file", found=type(error).__name__, fix="export it again"
            ) from None


class _Graph:
    """One graph of a file; its sizes are fixed."""

    def __init__(self, model: Any, index: int) -> None:
        self._model, self._graph = model, model.subgraphs[index]
        self._check()
        self._constants = self._folded()

    def _check(self) -> None:
        """A ValueError unless all that operators refer to is there."""
        graph, model = self._graph, self._model
        references = [(tensor.buffer, model.buffers, 0) for tensor in graph.tensors]
        references += [(index, graph.tensors, 0) for index in (*graph.inputs, *graph.outputs)]
        for operator in graph.operators:
            references.append((operator.opcodeIndex, model.operatorCodes, 0))
            references += [(index, graph.tensors, -1) for index in operator.inputs]  # -1: left out
            references += [(index, graph.tensors, 0) for index in operator.outputs]
            if not len(operator.outputs):
                raise ValueError("an operator gives nothing")
        if not all(least <= index < len(those) for index, those, least in references):
            raise ValueError("an operator or tensor is missing")
        if any(min(self._shape(index), default=0) < 0 for index in range(len(graph.tensors))):
            raise ValueError("a tensor has negative lengths")

    def _folded(self) -> dict[int, Weights]:
        found = {}
        for index, tensor in enumerate(self._graph.tensors):
            content = self._model.buffers[tensor.buffer].data
            if content is None or not len(content):
                continue
            kind = ARRAYS.get(tensor.type, np.uint8)
            scale = None if tensor.quantization is None else tensor.quantization.scale
            more = 0 if scale is None else 4 * len(scale)
            found[index] = weights_of(np.frombuffer(bytes(content), kind), more, elements(self._shape(index)))
        for operator in self._graph.operators:
            read = [i for i in operator.inputs if i >= 0]
            if read and all(i in found for i in read):
                largest = max((found[i] for i in read), key=lambda weights: weights.params)
                found |= {int(i): largest for i in operator.outputs}
        return found

    def _shape(self, index: int) -> Shape:
        shape = self._graph.tensors[index].shape
        return () if shape is None else tuple(int(length) for length in shape)

    def count(self, inputs: Mapping[str, Shape] | None = None) -> Count:
        """See :class:`fusiongcn_edge.benchmarks.cost.conventions.Countable`; the sizes are those of the file."""
        nodes, steps, uncounted, views = [], [], set[str](), dict[str, str]()
        for index, operator in enumerate(self._graph.operators):
            if all(i in self._constants for i in operator.outputs):
                continue
            code = self._model.operatorCodes[operator.opcodeIndex]
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            kind = NAMES.get(number, f"OPERATOR_{number}")
            read = [int(i) for i in operator.inputs if i >= 0 and i not in self._constants]
            steps.append(([str(i) for i in read], [str(i) for i in operator.outputs]))
            if kind in VIEWS and read:
                views[str(operator.outputs[0])] = str(read[0])
            if kind in UNKNOWN:
                uncounted.add(kind)
            nodes.append(self._node(operator, kind, index, read))
        sizes = {
            str(i): elements(self._shape(i)) * WIDTHS.get(tensor.type, 4)
            for i, tensor in enumerate(self._graph.tensors)
            if i not in self._constants
        }
        results = [str(i) for i in self._graph.outputs]
        outputs = {self._name(int(i)): self._shape(int(i)) for i in self._graph.outputs}
        return Count(tuple(nodes), outputs, peak_bytes(steps, sizes, views, results), tuple(sorted(uncounted)))

    def _name(self, index: int) -> str:
        name = self._graph.tensors[index].name
        return name.decode("utf-8", "replace") if name else str(index)

    def _node(self, operator: Any, kind: str, index: int, read: list[int]) -> Node:
        out = self._shape(operator.outputs[0])
        other = 0
        if kind not in COUNTED and kind not in MOVES and kind not in UNKNOWN:
            other = max(elements(self._shape(int(i))) for i in (*read, *operator.outputs))
        return Node(
            name=f"{kind.lower()}_{index}",
            operator=kind,
            shape=out,
            pixels=elements(out[1:3])
            if len(out) == 4
            else out[-2]
            if kind == "FULLY_CONNECTED" and len(out) > 1
            else 0,
            macs=self._macs(operator, kind, out) if kind in COUNTED else 0,
            other=other,
            weights=self._weights(operator, kind),
        )

    def _macs(self, operator: Any, kind: str, out: Shape) -> int:
        read = [self._shape(index) if index >= 0 else () for index in operator.inputs]
        if len(read) <= (kind == "TRANSPOSE_CONV") + 1 or min(len(read[0]), len(read[1])) < RANKS.get(kind, 2):
            raise FusionError(f"The file is damaged, a {kind} of it reads too little", fix="export it again")
        first, second = read[:2]
        if kind == "CONV_2D":  # weights: outputs, rows, columns, inputs per group
            return elements(out) * elements(second[1:])
        if kind == "DEPTHWISE_CONV_2D":  # 1, rows, columns, outputs
            return elements(out) * elements(second[1:3])
        if kind == "CONV_3D":  # depth, rows, columns, inputs, outputs
            return elements(out) * elements(second[:4])
        if kind == "TRANSPOSE_CONV":  # the image comes third; weights: outputs, rows, columns, inputs
            return elements(read[2]) * elements(second[:3])
        if kind == "FULLY_CONNECTED":  # outputs, inputs
            return elements(out) * second[-1]
        options = operator.builtinOptions
        return elements(out) * (first[-2] if getattr(options, "adjX", False) else first[-1])

    def _weights(self, operator: Any, kind: str) -> tuple[Weights, ...]:
        if kind in MOVES - TABLES:
            return ()
        found = []
        for place, index in enumerate(operator.inputs):
            if index not in self._constants or (kind == "TRANSPOSE_CONV" and place == 0):
                continue
            tensor, weights = self._graph.tensors[index], self._constants[int(index)]
            scaled = tensor.quantization is not None and tensor.quantization.scale is not None
            if kind in COUNTED or ((tensor.type in REAL or scaled) and weights.params > 1):
                found.append(weights)
        return tuple(found)
