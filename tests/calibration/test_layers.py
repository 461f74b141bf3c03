"""Layers in fewer bits: weights rounded, the right numbers in the right places, and nearly the same answers."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fusiongcn_edge.calibration.backends import onnx_format
from fusiongcn_edge.calibration.calibration_data import collect_calibration_inputs
from fusiongcn_edge.calibration.flip_rate import FlipRateEvaluator
from fusiongcn_edge.calibration.layers import (
    DENSE,
    DEPTHWISE,
    DYNAMIC,
    FP16,
    PRODUCT,
    STATIC8,
    STATIC16,
    WEIGHT_ONLY,
    CalibrationError,
    format_of,
    with_precisions,
)
from fusiongcn_edge.calibration.recipes import RECIPES
from fusiongcn_edge.calibration.rounding import scales_of, to_half, to_int8
from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from helpers.calibrating import PAIRS, silent


def by_recipe(bundle: Bundle, name: str, given: Any = None) -> tuple[Bundle, dict[str, str]]:
    chosen = RECIPES[name].first_choice(bundle)
    return with_precisions(bundle, chosen, given or {}), chosen


def bytes_of(bundle: Bundle) -> int:
    return sum(len(data) for data in {graph.data for graph in bundle.graphs.values()})


# rounding


KERNELS = arrays.arrays(np.float32, (3, 2, 3, 3), elements=st.floats(-4, 4, width=32))


@given(KERNELS)
def test_int8_weights_lie_on_the_grid_and_keep_the_sums_of_their_kernels(weights: NDArray[np.float32]) -> None:
    scales = scales_of(weights, (1, 2, 3))
    steps = to_int8(weights, (2, 3), scales)
    assert steps.dtype == np.int8
    assert np.abs(steps.astype(int)).max() <= 127
    tolerance = scales * (1 + 1e-4)
    assert (np.abs(steps * scales - weights) <= 1.01 * tolerance).all()  # half a step of its own, half handed on
    difference = np.abs((steps * scales - weights).astype(np.float64).sum((2, 3), keepdims=True))
    clipped = np.abs(steps).max(axis=(2, 3), keepdims=True) == 127
    assert (difference[~np.broadcast_to(clipped, difference.shape)] <= 0.51 * scales.max()).all()


def test_the_greatest_weight_of_a_channel_stays_as_it_is_and_zeros_do_too() -> None:
    weights = np.array([[[[0.5, -1.27], [0.3, 0.01]]], [[[0.0, 0.0], [0.0, 0.0]]]], np.float32)
    scales = scales_of(weights, (1, 2, 3))
    steps = to_int8(weights, (2, 3), scales)
    np.testing.assert_allclose(scales.ravel(), [0.01, 1])
    np.testing.assert_array_equal(steps[0, 0], [[50, -127], [30, 1]])
    assert not steps[1].any()


def test_float16_weights_keep_the_sums_of_their_kernels_better_than_one_by_one() -> None:
    weights = np.random.default_rng(0).normal(0, 0.1, (8, 4, 3, 3)).astype(np.float32)
    found = to_half(weights, (2, 3))
    np.testing.assert_array_equal(found, found.astype(np.float16))
    np.testing.assert_allclose(found, weights, rtol=0, atol=3e-4)
    kept = np.abs((found - weights).sum((2, 3), dtype=np.float64)).mean()
    one_by_one = np.abs((weights.astype(np.float16) - weights).sum((2, 3), dtype=np.float64)).mean()
    assert kept < one_by_one / 10
    np.testing.assert_array_equal(to_half(weights, ()), weights.astype(np.float16))


# layers and precisions


def test_an_array_that_several_graphs_use_is_one_layer(bundle: Bundle) -> None:
    layers = format_of(bundle).layers_of(bundle)
    assert len({layer.name for layer in layers}) == len(layers)
    assert {layer.kind for layer in layers} == {DENSE, DEPTHWISE, PRODUCT}
    mix = [layer for layer in layers if layer.name.startswith("mix/")]
    assert [(layer.kind, sorted(layer.shape)) for layer in mix] == [(DENSE, [3, 3, 48, 72])]
    weigh = next(layer for layer in layers if layer.name == "encoder_weigh/1")
    assert weigh.kind == DEPTHWISE
    assert weigh.weights == 36 * 25
    # what is weighed and what is attended to are the same values, in every size
    sizes = 1 if bundle.engine == "onnx" else 2
    assert len(weigh.sites) == 2 * sizes
    assert sum(layer.weights for layer in layers) > 100_000


@pytest.mark.parametrize("recipe", [FP16, WEIGHT_ONLY, DYNAMIC])
def test_smaller_weights_answer_nearly_the_same(bundle: Bundle, recipe: str) -> None:
    if recipe == DYNAMIC and bundle.engine == "onnx":
        with pytest.raises(CalibrationError, match="No layer of this model can have the precision 'dynamic_wi8_afp32'"):
            by_recipe(bundle, recipe)
        return
    found, chosen = by_recipe(bundle, recipe)
    assert recipe in chosen.values()
    assert bytes_of(found) < bytes_of(bundle) * (0.85 if recipe == FP16 else 0.6)
    loss = FlipRateEvaluator(bundle, PAIRS).loss(found)
    assert 0 < loss.mean_error < {FP16: 1e-3, WEIGHT_ONLY: 0.05, DYNAMIC: 0.1}[recipe]
    assert loss.mean_flips < 0.1


def test_an_onnx_layer_in_int8_is_the_float_graph_with_rounded_weights(random_bundle: Path) -> None:
    bundle = load_bundle(random_bundle)
    found = with_precisions(bundle, {"mix/1": WEIGHT_ONLY}, {})
    changed = {key for key, graph in bundle.graphs.items() if found.graphs[key].data != graph.data}
    assert changed == {"mix"}
    before, after = (onnx.load_from_string(b.graphs["mix"].data) for b in (bundle, found))
    weights = next(numpy_helper.to_array(t) for t in before.graph.initializer if t.name == "conv.weight")
    stored = {t.name: numpy_helper.to_array(t) for t in after.graph.initializer}
    assert stored["conv.weight_int8"].dtype == np.int8
    assert "conv.weight" not in stored
    rounded = stored["conv.weight_int8"] * stored["conv.weight_scale"]
    assert 0 < np.abs(rounded - weights).max() <= np.abs(weights).max() / 127 * 1.01


def tflite_operators(bundle: Bundle, file: str) -> list[tuple[str, list[str], list[str]]]:
    """Every operator of a file: its name, and the types of what it takes and gives."""
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    types = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
    data = next(graph.data for graph in bundle.graphs.values() if graph.file == file)
    model = flatbuffer_utils.read_model_from_bytearray(data)
    found = []
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            inputs, outputs = (
                [types[subgraph.tensors[i].type] for i in places if i >= 0]
                for places in (operator.inputs, operator.outputs)
            )
            found.append((names[model.operatorCodes[operator.opcodeIndex].builtinCode], inputs, outputs))
    return found


def test_dynamic_layers_take_int8_weights_and_float_activations(tflite_bundle: Path) -> None:
    bundle = load_bundle(tflite_bundle)
    file = bundle.graphs["mix@16x40"].file
    found = with_precisions(bundle, {"mix/1": DYNAMIC}, {})
    hybrid = [types for name, types, _ in tflite_operators(found, file) if name == "CONV_2D" and types[1] == "INT8"]
    assert hybrid == [["FLOAT32", "INT8", "FLOAT32"]]
    # no island: nothing is turned into integers and back in the graph itself
    assert not {"QUANTIZE", "DEQUANTIZE"} & {name for name, _, _ in tflite_operators(found, file)}


def test_static_convolutions_are_islands_with_one_way_in_and_one_out(tflite_bundle: Path, random_bundle: Path) -> None:
    for path, chosen in ((tflite_bundle, "decoder_widen/1"), (random_bundle, "decoder_widen/1")):
        bundle = load_bundle(path)
        given = collect_calibration_inputs(bundle, PAIRS[:1], 0, silent)
        for precision in (STATIC8, STATIC16):
            found = with_precisions(bundle, {chosen: precision}, given)
            if bundle.engine == "onnx":
                model = onnx.load_from_string(found.graphs["decoder_widen"].data)
                ways = [node.op_type for node in model.graph.node if "Quantize" in node.op_type]
                activations = [name for name in ways if name == "QuantizeLinear"]
                assert len(activations) <= 2
            else:
                own = tflite_operators(found, bundle.graphs["decoder_widen@16x40"].file)
                assert [name for name, _, _ in own].count("QUANTIZE") == 1
                assert [name for name, _, _ in own].count("DEQUANTIZE") == 1
            loss = FlipRateEvaluator(bundle, PAIRS).loss(found)
            assert 0 < loss.mean_error < 0.1


def test_quantization_is_the_same_every_time(bundle: Bundle) -> None:
    found = [by_recipe(bundle, STATIC8, collect_calibration_inputs(bundle, PAIRS, 3, silent))[0] for _ in range(2)]
    assert {k: g.data for k, g in found[0].graphs.items()} == {k: g.data for k, g in found[1].graphs.items()}


@pytest.mark.export
@pytest.mark.slow
@pytest.mark.parametrize("whole", ["whole_bundle", "whole_tflite_bundle"])
def test_a_whole_cnn_is_quantized_as_well(whole: str, request: pytest.FixtureRequest) -> None:
    bundle = load_bundle(request.getfixturevalue(whole))
    found, _ = by_recipe(bundle, WEIGHT_ONLY)
    assert bytes_of(found) < 0.6 * bytes_of(bundle)
    loss = FlipRateEvaluator(bundle, PAIRS[:1]).loss(found)
    assert 0 < loss.mean_error < 0.05


def test_a_missing_library_is_told(tflite_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("fusiongcn_edge.calibration.backends.tflite_format")
    monkeypatch.setitem(sys.modules, "fusiongcn_edge.calibration.backends.tflite_format", None)
    with pytest.raises(CalibrationError, match=r"pip install '.\[calibration\]'"):
        format_of(load_bundle(tflite_bundle))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_weights_at_both_ends_of_float32_are_a_layer_and_equal_ones_are_none() -> None:
    def layers(weights: NDArray[np.float32]) -> int:
        graph = helper.make_graph(
            [helper.make_node("Conv", ["x", "w"], ["y"])],
            "made",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 8, 9, 9))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(weights, "w")],
        )
        data = helper.make_model(graph).SerializeToString()
        bundle = SimpleNamespace(graphs={"cnn": SimpleNamespace(data=data, file="x")})
        return len(onnx_format.layers_of(cast(Any, bundle)))

    weights = np.full((64, 8, 3, 3), 3e38, np.float32)
    assert layers(weights) == 0
    weights[0] = -3e38
    assert layers(weights) == 1
