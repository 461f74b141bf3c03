"""What operators of ONNX and TFLite cost, against counts by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from onnx import TensorProto, helper

from fusiongcn_edge.benchmarks.cost.conventions import Count, peak_bytes
from fusiongcn_edge.benchmarks.cost.onnx_graph import OnnxGraph
from fusiongcn_edge.benchmarks.cost.tflite_graph import LiteRtFile
from fusiongcn_edge.calibration.backends import onnx_format
from fusiongcn_edge.calibration.layers import STATIC8, STATIC16
from helpers.onnx_models import RNG, onnx_model

# name, operator, shape of the image, of the weights, attributes, MACs and parameters by hand
BY_HAND = [
    # 5 x 6 pixels, 8 outputs, 2 inputs of its group, 9 taps; every second pixel
    ("grouped, strided", "Conv", (1, 4, 10, 12), (8, 2, 3, 3), {"group": 2, "strides": [2, 2], "pads": [1] * 4},
     30 * 8 * 2 * 9, 144),
    # 7 x 9 pixels, 12 outputs, 25 taps
    ("depthwise, dilated", "Conv", (1, 6, 7, 9), (12, 1, 5, 5), {"group": 6, "dilations": [2, 2], "pads": [4] * 4},
     63 * 12 * 25, 300),
    ("valid, batch of 2", "Conv", (2, 3, 8, 8), (5, 3, 1, 3), {}, 2 * 8 * 6 * 5 * 3 * 3, 45),
    ("transposed", "ConvTranspose", (1, 3, 4, 6), (3, 5, 2, 2), {"strides": [2, 2]}, 24 * 3 * 5 * 4, 60),
    ("product", "MatMul", (2, 7, 5), (5, 3), {}, 2 * 7 * 3 * 5, 15),
    ("turned product", "Gemm", (5, 7), (5, 3), {"transA": 1}, 7 * 3 * 5, 15),
    ("turned weights", "Gemm", (7, 5), (3, 5), {"transB": 1}, 7 * 3 * 5, 15),
]  # fmt: skip


def params(count: Count) -> int:
    return sum({w.key: w.params for node in count.nodes for w in node.weights}.values())


def macs(count: Count) -> int:
    return sum(node.macs for node in count.nodes)


@pytest.mark.parametrize("stored", ["float32", "float16", "cast and scaled", "dequantized"])
@pytest.mark.parametrize("case", BY_HAND, ids=lambda case: case[0])
def test_onnx_operators_cost_what_they_cost_by_hand(case: tuple[Any, ...], stored: str) -> None:
    _, operator, image, kernel, attributes, expected, numbers = case
    weights = RNG.normal(size=kernel).astype(np.float32)
    int8 = np.clip(weights * 50, -127, 127).astype(np.int8)
    scale = np.float32([0.02])
    before: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = {"w": weights}
    if stored == "float16":
        constants = {"half": weights.astype(np.float16)}
        before = [helper.make_node("Cast", ["half"], ["w"], to=TensorProto.FLOAT)]
    if stored == "cast and scaled":
        constants = {"int8": int8, "scale": scale}
        before = [
            helper.make_node("Cast", ["int8"], ["steps"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["steps", "scale"], ["w"]),
        ]
    if stored == "dequantized":
        constants = {"int8": int8, "scale": scale[0]}
        before = [helper.make_node("DequantizeLinear", ["int8", "scale"], ["w"])]
    node = helper.make_node(operator, ["x", "w"], ["y"], **attributes)
    count = OnnxGraph(onnx_model([*before, node], {"x": image}, constants, ["y"])).count({"x": image})
    assert (macs(count), params(count), len(count.nodes)) == (expected, numbers, 1)
    width = {"float32": 4, "float16": 2}.get(stored, 1)
    extra = 0 if stored.startswith("float") else 4  # the scale
    assert count.nodes[0].weights[0].bytes == numbers * width + extra


def test_integer_operators_of_onnx_count_alike() -> None:
    w, zero = RNG.integers(-100, 100, (8, 2, 3, 3)).astype(np.int8), np.int8(0)
    one = np.float32(1)
    constants = {"w": w, "zero": zero, "one": np.asarray(one), "b": RNG.integers(0, 9, 8).astype(np.int32)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["q"]),
        helper.make_node("ConvInteger", ["q", "w"], ["i"], group=2),
        helper.make_node("QLinearConv", ["q", "one", "zero", "w", "one", "zero", "one", "zero", "b"], ["l"], group=2),
        helper.make_node("DequantizeLinear", ["l", "one", "zero"], ["y"]),
    ]
    shape = (1, 4, 6, 6)
    count = OnnxGraph(onnx_model(nodes, {"x": shape}, constants, ["y"])).count({"x": shape})
    assert [node.macs for node in count.nodes] == [0, 16 * 8 * 18, 16 * 8 * 18, 0]
    assert params(count) == 144 + 8  # the same kernel twice, and a bias


def test_products_of_two_tensors_and_other_operations() -> None:
    nodes = [
        helper.make_node("MatMul", ["a", "b"], ["c"]),
        helper.make_node("Softmax", ["c"], ["d"]),
        helper.make_node("ReduceMean", ["d"], ["e"], keepdims=0),
        helper.make_node("Transpose", ["d"], ["f"]),
    ]
    shapes = {"a": (6, 8, 4), "b": (6, 4, 9)}
    count = OnnxGraph(onnx_model(nodes, shapes, {}, ["e", "f"])).count(shapes)
    assert [(node.macs, node.other) for node in count.nodes] == [(6 * 8 * 9 * 4, 0), (0, 432), (0, 432), (0, 0)]
    assert count.outputs == {"e": (), "f": (9, 8, 6)}


def test_scalars_sizes_and_running_statistics_are_no_parameters() -> None:
    vectors = {name: RNG.normal(size=3).astype(np.float32) for name in ("scale", "shift", "mean", "variance")}
    constants = {**vectors, "half": np.float32([0.5]), "shape": np.int64([1, 3, -1])}
    nodes = [
        helper.make_node("BatchNormalization", ["x", *vectors], ["n"]),
        helper.make_node("Mul", ["n", "half"], ["m"]),
        helper.make_node("Reshape", ["m", "shape"], ["y"]),
    ]
    count = OnnxGraph(onnx_model(nodes, {"x": (1, 3, 4, 4)}, constants, ["y"])).count({"x": (1, 3, 4, 4)})
    assert params(count) == 6
    assert [node.other for node in count.nodes] == [48, 48, 0]


def test_what_is_not_understood_is_named() -> None:
    node = helper.make_node("Einsum", ["x", "x"], ["y"], equation="ij,jk->ik")
    assert OnnxGraph(onnx_model([node], {"x": (4, 4)}, {}, ["y"])).count({"x": (4, 4)}).uncounted == ("Einsum",)


def tflite_model(
    kind: str, shapes: list[tuple[int, ...]], constant: np.ndarray | None, options: Any = None, out: Any = None
) -> bytes:
    """One operator; the tensors are its inputs, the last of them ``constant`` if there is one, and its output."""
    types = {np.dtype(np.float32): schema.TensorType.FLOAT32, np.dtype(np.int8): schema.TensorType.INT8}
    model, graph, operator, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT(), schema.BufferT()]
    graph.tensors = []
    for shape in [*shapes, *([] if constant is None else [constant.shape]), out]:
        tensor = schema.TensorT()
        tensor.shape, tensor.buffer, tensor.type = list(shape), 0, schema.TensorType.FLOAT32
        tensor.name = str(len(graph.tensors)).encode()
        graph.tensors.append(tensor)
    if constant is not None:
        weights = graph.tensors[-2]
        weights.buffer, weights.type = 1, types[constant.dtype]
        model.buffers[1].data = np.frombuffer(constant.tobytes(), np.uint8)
        if constant.dtype == np.int8:
            weights.quantization = schema.QuantizationParametersT()
            weights.quantization.scale = [0.02]
    last = len(graph.tensors) - 1
    operator.inputs, operator.outputs, operator.builtinOptions = list(range(last)), [last], options
    if options is not None:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    graph.operators, graph.inputs, graph.outputs = [operator], list(range(len(shapes))), [last]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
@pytest.mark.parametrize(
    ("kind", "image", "kernel", "out", "expected"),
    [  # the same counts as of the ONNX operators above
        ("CONV_2D", (1, 10, 12, 4), (8, 3, 3, 2), (1, 5, 6, 8), 30 * 8 * 2 * 9),
        ("DEPTHWISE_CONV_2D", (1, 7, 9, 6), (1, 5, 5, 12), (1, 7, 9, 12), 63 * 12 * 25),
        ("CONV_2D", (2, 8, 8, 3), (5, 1, 3, 3), (2, 8, 6, 5), 2 * 8 * 6 * 5 * 3 * 3),
        ("FULLY_CONNECTED", (2, 7, 5), (3, 5), (2, 7, 3), 2 * 7 * 3 * 5),
        ("BATCH_MATMUL", (6, 8, 4), (6, 4, 9), (6, 8, 9), 6 * 8 * 9 * 4),
    ],
)
def test_tflite_operators_cost_the_same(
    kind: str, image: Any, kernel: Any, out: Any, expected: int, dtype: type
) -> None:
    constant = RNG.integers(-100, 100, kernel).astype(dtype)
    count = LiteRtFile(tflite_model(kind, [image], constant, out=out)).graphs["main"].count()
    assert (macs(count), params(count)) == (expected, constant.size)
    assert count.nodes[0].weights[0].bytes == constant.nbytes + (4 if dtype == np.int8 else 0)
    assert count.activation_bytes == 4 * (np.prod(image) + np.prod(out))


def test_a_turned_product_of_tflite() -> None:
    options = schema.BatchMatMulOptionsT()
    options.adjX = True
    data = tflite_model("BATCH_MATMUL", [(5, 7), (5, 3)], None, options, (7, 3))
    assert macs(LiteRtFile(data).graphs["main"].count()) == 7 * 3 * 5


def test_activations_live_from_first_to_last_use() -> None:
    steps = [(["x"], ["a"]), (["a"], ["v"]), (["v"], ["b"]), (["b", "x"], ["y"])]
    sizes = {"x": 10, "a": 100, "v": 100, "b": 5, "y": 1}
    assert peak_bytes(steps, sizes, {}, ["y"]) == 10 + 100 + 100
    assert peak_bytes(steps, sizes, {"v": "a"}, ["y"]) == 10 + 100 + 5  # a reshaped array is no copy
    assert peak_bytes(steps, sizes, {"v": "a"}, ["y", "a"]) == 10 + 100 + 5 + 1


@pytest.mark.parametrize("precision", [STATIC8, STATIC16])
def test_graphs_between_quantize_and_dequantize_count_alike(precision: str) -> None:
    kernel = RNG.normal(size=(8, 3, 3, 3)).astype(np.float32)
    constants = {"w": kernel, "b": RNG.normal(size=8).astype(np.float32)}
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"])
    plain = onnx.load_from_string(onnx_model([node], {"x": (1, 3, 8, 9)}, constants, ["y"]))
    image = RNG.normal(size=(1, 3, 8, 9)).astype(np.float32)
    between = onnx_format._static(plain, {"w"}, precision, [{"x": image}])
    count = OnnxGraph(between.SerializeToString()).count({"x": image.shape})
    assert macs(count) == 6 * 7 * 8 * 27
    assert params(count) == 216 + 8
