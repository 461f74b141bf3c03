"""What fusing costs, counted from graph files: against counts by hand, torch's and thop's."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from onnx import TensorProto, helper, numpy_helper
from test_network import FEATURE_MIX, PER_NODE, PER_NODE_SQUARED, PER_PIXEL, STEM

from fusiongcn_edge.benchmarks.cost import Cost, cost_of_bundle, cost_of_file, grid_labels
from fusiongcn_edge.benchmarks.cost_formulas import preprocessing, published_convention
from fusiongcn_edge.benchmarks.cost_rule import Count, peak_bytes
from fusiongcn_edge.benchmarks.litert_cost import LiteRtFile
from fusiongcn_edge.benchmarks.onnx_cost import OnnxGraph
from fusiongcn_edge.calibration import litert_format, onnx_format
from fusiongcn_edge.calibration.layers import DENSE, DYNAMIC, STATIC8, STATIC16, WEIGHT_ONLY
from fusiongcn_edge.cli import main
from fusiongcn_edge.model.recipe import PUBLISHED_SUPERPIXELS
from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.bundle import Bundle, load_bundle

RNG = np.random.default_rng(1)

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


def onnx_model(
    nodes: list[onnx.NodeProto], inputs: dict[str, Any], constants: dict[str, np.ndarray], outputs: list[str]
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()


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


@pytest.mark.parametrize("size", [(48, 64), (130, 70)])
def test_the_whole_network_as_onnx_costs_what_torch_counts(whole_bundle: Path, size: tuple[int, int]) -> None:
    bundle = load_bundle(whole_bundle)
    cost = cost_of_bundle(bundle, *size)
    assert cost.macs == cost.once == cost.whole_macs == bundle.macs(*size)
    # 137,174 without the guide filter, and without the normalisations that convolutions have taken in: scale and shift
    # of 18, 36, 72, 48, 96, 192 and 24 channels
    assert cost.params == 137_174 - (6 * 49 + 1) - 2 * (18 + 36 + 72 + 48 + 96 + 192 + 24)
    terms = bundle.macs_terms
    more = cost_of_bundle(bundle, *size, superpixels=9)
    assert more.macs == terms["per_pair"] + terms["per_pixel"] * size[0] * size[1] + 9 * terms["per_node"] + (
        81 * terms["per_node_squared"]
    )


def test_the_graph_network_costs_its_hand_count_on_both_engines(random_bundle: Path, tflite_bundle: Path) -> None:
    for path, filled_up in ((random_bundle, 50), (tflite_bundle, 60)):  # TFLite's is there for 12 and for 60
        layers = cost_of_bundle(load_bundle(path), 48, 64, superpixels=50).layers
        found = sum(layer.macs for layer in layers if layer.graph.startswith("gcn"))
        assert found == filled_up * PER_NODE + filled_up**2 * PER_NODE_SQUARED


def stage_macs(cost: Cost) -> int:
    """Of the CNN's stages, without what is computed twice. ONNX Runtime's sums are kernels of ones for a part of the
    pixels: they are left out."""
    return sum(
        layer.once
        for layer in cost.layers
        if layer.graph.partition("@")[0] not in ("gcn", "tables") and not layer.again
        if layer.times is None or layer.times >= 1
    )


def test_stages_of_both_engines_cost_the_same_but_for_what_is_computed_twice(
    random_bundle: Path, tflite_bundle: Path
) -> None:
    height, width = 50, 84
    costs = [cost_of_bundle(load_bundle(path), height, width) for path in (random_bundle, tflite_bundle)]
    # one 9x9 kernel in place of three; the graph branch is computed per pattern, in the tables; the shuffled
    # convolution is a depthwise one and a product 288 -> 24; grouped 1x1 convolutions are multiplied element by element
    per_pixel = PER_PIXEL - 2 * STEM + 2 * 3 * 81 * 18 - FEATURE_MIX + 288 * 24 - 2 * 4 * 18 - 4 * 48
    by_hand = height * width * per_pixel + 2 * 288 * 4
    assert [stage_macs(cost) for cost in costs] == [by_hand, by_hand]
    for cost in costs:
        assert cost.macs == cost.once + cost.again + cost.margins
        assert cost.margins > 0
        assert cost.again > 0
        assert not cost.uncounted
    assert [layer.times for layer in costs[1].layers if layer.graph.startswith("stem") and layer.macs] == [
        pytest.approx(computed_pixels(height, width) / (height * width))
    ]


def computed_pixels(height: int, width: int) -> int:
    """Of tiles of 16x40 or 24x20, whichever reach less beyond the photograph."""
    return min(-(-height // rows) * rows * (-(-width // columns) * columns) for rows, columns in ((16, 40), (24, 20)))


def test_the_tables_are_counted_at_the_patterns_there_are(random_bundle: Path) -> None:
    cost = cost_of_bundle(load_bundle(random_bundle), 64, 64, superpixels=4)
    # inside 4 superpixels; at their borders with each other, at the frame, and where both meet
    table = [layer for layer in cost.layers if layer.graph == "tables" and layer.macs]
    assert sum(layer.macs for layer in table) == 9 * (4 + 1) * 72 * 48


@pytest.mark.parametrize("engine", ["onnx", "litert"])
def test_eight_bits_cost_the_same_work_and_fewer_bytes(engine: str, random_bundle: Path, tflite_bundle: Path) -> None:
    form, path = (onnx_format, random_bundle) if engine == "onnx" else (litert_format, tflite_bundle)
    bundle = load_bundle(path)
    for dense in {WEIGHT_ONLY, WEIGHT_ONLY if engine == "onnx" else DYNAMIC}:
        wanted = {layer.name: dense if layer.kind == DENSE else WEIGHT_ONLY for layer in form.layers_of(bundle)}
        small = dataclasses.replace(bundle, graphs=form.quantized(bundle, wanted, {}))
        before, after = (cost_of_bundle(which, 40, 60) for which in (bundle, small))
        assert (after.macs, after.once) == (before.macs, before.once)
        assert products(after) == products(before)
        assert after.weight_bytes < 0.5 * before.weight_bytes


def products(cost: Cost) -> list[tuple[str, int]]:
    """Parameters of each operator that multiplies and adds."""
    return [(layer.operator, layer.params) for layer in cost.layers if layer.macs]


def test_the_published_convention_is_thops(random_bundle: Path) -> None:
    bundle = published(load_bundle(random_bundle))
    told = published_convention(bundle, 520, 520, 256)
    assert told["params"] == 137_174
    # thop 0.1.1 on our layers, its graph layers (54, 1,944 and 3,888 MACs a node and photograph) left out, and on the
    # average of 288 channels, which is a layer of the authors'
    assert told["operations"] == 50_591_301_504 + 288 * (520 * 520 + 1) == pytest.approx(50.76e9, rel=0.002)
    assert told["left_out_one_hot_macs"] == 2 * (18 + 36) * 256 * 520 * 520
    other = dataclasses.replace(bundle, params=1)
    assert published_convention(other, 520, 520, 256) == {}


def published(bundle: Bundle) -> Bundle:
    return dataclasses.replace(bundle, superpixels=dataclasses.replace(bundle.superpixels, **PUBLISHED_SUPERPIXELS))


def test_preprocessing_follows_its_formula(random_bundle: Path) -> None:
    found = preprocessing(published(load_bundle(random_bundle)).superpixels, 520, 520, 256)
    pixels = 520 * 520
    assert found["guide"]["macs"] == pixels * 6 * 49
    assert found["smoothing"]["macs"] == pixels * 2 * 41
    # 16 x 16 centres, 33 and 32 pixels apart as they come out, each looked at from 4 x 32 + 1 pixels around
    assert found["slic"]["other"] == 10 * (6 * 256 * 129 * 129 + 3 * pixels)
    assert found["features"] == {"macs": pixels * 72, "other": pixels * 30}


@pytest.mark.parametrize(("height", "width", "nodes"), [(4, 4, 16), (30, 50, 17), (1, 9, 5), (9, 1, 5), (7, 5, 1)])
def test_grid_labels_are_as_many_as_asked_for(height: int, width: int, nodes: int) -> None:
    assert np.array_equal(np.unique(grid_labels(height, width, nodes)), np.arange(nodes))


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A graph of someone else's, its image of any size."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4)
    weights = {"w": RNG.normal(size=(8, 3, 3, 3)).astype(np.float32)}
    path = tmp_path / "foreign.onnx"
    path.write_bytes(onnx_model([node], {"x": ["batch", 3, None, "W"]}, weights, ["y"]))
    return path


def test_foreign_files_are_counted_at_any_size(foreign: Path) -> None:
    assert cost_of_file(foreign).macs == 520 * 520 * 8 * 27
    cost = cost_of_file(foreign, (10, 14))
    assert (cost.macs, cost.params, cost.weight_bytes) == (140 * 8 * 27, 216, 864)
    assert cost.activation_bytes == 4 * 140 * (3 + 8)


def test_a_length_without_meaning_is_refused(tmp_path: Path, random_bundle: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(onnx_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["tokens", 4]}, {}, ["y"]))
    with pytest.raises(FusionError, match=r"'tokens' of x .* fixed size"):
        cost_of_file(path)
    with pytest.raises(FusionError, match="--superpixels"):
        cost_of_file(random_bundle / "gcn.onnx")
    assert cost_of_file(random_bundle / "gcn.onnx", superpixels=5).macs > 0
    assert cost_of_file(random_bundle / "mix.onnx", (10, 12)).macs == 120 * FEATURE_MIX


def test_the_command_prints_and_writes(random_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", str(random_bundle), "--size", "40x60", "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["size"] == [40, 60]
    assert told["flops"] == 2 * told["macs"] == 2 * sum(layer["macs"] for layer in told["layers"])
    file = tmp_path / "cost.json"
    assert main(["cost", str(random_bundle), "--size", "40x60", "--layers", "--json", str(file)]) == 0
    text = capsys.readouterr().out
    assert json.loads(file.read_text()) == told
    assert f"{told['macs']:,}" in text
    assert "each pixel once" in text
    assert "stem" in text
    assert main(["cost", str(random_bundle / "mix.onnx"), "--size", "10x12"]) == 0
    assert f"{120 * FEATURE_MIX:,}" in capsys.readouterr().out


def test_mistakes_are_told_in_one_sentence(
    foreign: Path, random_bundle: Path, tflite_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged, empty = tmp_path / "damaged.onnx", tmp_path / "empty.tflite"
    damaged.write_bytes(foreign.read_bytes()[:50])
    empty.write_bytes(b"")
    (tmp_path / "text.txt").write_text("no model")
    for arguments, sentence in [
        (["nothing"], "No model"),
        (["9" * 5000], "No model"),
        ([tmp_path / "none.onnx"], "cannot be read"),
        ([damaged], "no ONNX"),
        ([empty], "no TFLite file"),
        ([next(tflite_bundle.glob("*.tflite")), "--size", "9x9"], "are fixed"),
        ([random_bundle, "--size", "2x9"], "smaller than"),
        ([random_bundle, "--size", "40x60", "--superpixels", "9999"], "more than"),
        ([random_bundle, "--engine", "litert"], "made for the engine 'onnx'"),
        ([tmp_path / "text.txt"], "neither an .onnx nor a .tflite"),
        ([foreign, "--engine", "onnx"], "leave it out"),
        ([foreign, "--json", tmp_path / "no" / "where.json"], "does not exist"),
        ([foreign, "--json", foreign], "another name"),
    ]:
        assert main(["cost", *map(str, arguments)]) == 2, arguments
        error = capsys.readouterr().err
        assert sentence in error
        assert len(error.splitlines()) == 1


def test_a_tensor_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    kernel = {"w": np.ones((8, 3, 3, 3), np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["wide"], pads=[0, 0, 0, 1 << 40]),
        helper.make_node("Relu", ["wide"], ["y"]),
    ]
    (tmp_path / "bomb.onnx").write_bytes(onnx_model(nodes, {"x": (1, 3, 8, 9)}, kernel, ["y"]))
    with pytest.raises(FusionError, match="'wide' is larger than any memory"):
        cost_of_file(tmp_path / "bomb.onnx")


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


def test_a_missing_library_is_told_in_one_sentence(
    foreign: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "fusiongcn_edge.benchmarks.onnx_cost")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["cost", str(foreign)]) == 2
    assert capsys.readouterr().err == (
        "fusiongcn: Counting ONNX graphs needs onnx, which is not installed: "
        "pip install '.[calibration]' in the checkout.\n"
    )
