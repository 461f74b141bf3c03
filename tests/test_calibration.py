"""Quantization: the right numbers in the right places, measured, and refused where it costs too much."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
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

from fusiongcn_edge.calibration import commands, gate, onnx_format, samples
from fusiongcn_edge.calibration.gate import Judge, Loss, Trial, search, sensitivities
from fusiongcn_edge.calibration.layers import (
    DENSE,
    DEPTHWISE,
    DYNAMIC,
    FP16,
    FP32,
    PRODUCT,
    STATIC8,
    STATIC16,
    WEIGHT_ONLY,
    CalibrationError,
    Layer,
    format_of,
    with_precisions,
)
from fusiongcn_edge.calibration.recipes import RECIPES
from fusiongcn_edge.calibration.rounding import scales_of, to_half, to_int8
from fusiongcn_edge.calibration.samples import pairs_from, recorded
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.bundle import Bundle, load_bundle
from fusiongcn_edge.runtime.pairs import made_pair

PAIRS = [made_pair(48, 64, seed) for seed in range(2)]


def silent(text: str) -> None:
    """No progress."""


def by_recipe(bundle: Bundle, name: str, given: Any = None) -> tuple[Bundle, dict[str, str]]:
    chosen = RECIPES[name].first_choice(bundle)
    return with_precisions(bundle, chosen, given or {}), chosen


def bytes_of(bundle: Bundle) -> int:
    return sum(len(data) for data in {graph.data for graph in bundle.graphs.values()})


@pytest.fixture(params=["onnx", "litert"])
def bundle(request: pytest.FixtureRequest, random_bundle: Path, tflite_bundle: Path) -> Bundle:
    return load_bundle(random_bundle if request.param == "onnx" else tflite_bundle)


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
    loss = Judge(bundle, PAIRS).loss(found)
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
        given = recorded(bundle, PAIRS[:1], 0, silent)
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
            loss = Judge(bundle, PAIRS).loss(found)
            assert 0 < loss.mean_error < 0.1


def test_static_recipes_say_why_not_everything_is_in_integers(bundle: Bundle) -> None:
    assert "div" in commands.why_not_all(bundle)


# samples


def test_samples_are_the_runtimes_own_inputs_and_the_same_for_a_seed(bundle: Bundle) -> None:
    pairs = [made_pair(130, 150, seed) for seed in range(2)]
    first, again, other = (recorded(bundle, pairs, seed, silent) for seed in (0, 0, 1))
    assert set(first) == set(bundle.graphs)
    for key, graph in bundle.graphs.items():
        for kept in first[key]:
            assert set(kept) == set(graph.inputs)
        for one, two in zip(first[key], again[key], strict=True):
            assert all(np.array_equal(one[name], two[name]) for name in one)
    if bundle.engine == "litert":  # many small tiles, of which some are drawn
        for key in ("stem@16x40", "stem@24x20"):
            assert len(first[key]) == len(other[key]) == 16
            assert any(
                not np.array_equal(one["images"], two["images"])
                for one, two in zip(first[key], other[key], strict=True)
            )


def test_quantization_is_the_same_every_time(bundle: Bundle) -> None:
    found = [by_recipe(bundle, STATIC8, recorded(bundle, PAIRS, 3, silent))[0] for _ in range(2)]
    assert {k: g.data for k, g in found[0].graphs.items()} == {k: g.data for k, g in found[1].graphs.items()}


def folder_of(path: Path, pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> Path:
    for side, place in (("a", 0), ("b", 1)):
        (path / side).mkdir(parents=True)
        for number, pair in enumerate(pairs):
            cv2.imwrite(str(path / side / f"{number}.png"), pair[place])
    return path


def test_pairs_that_say_nothing_are_named(tmp_path: Path) -> None:
    first, second = made_pair(40, 50)
    flat = np.full((40, 50, 3), 90, np.uint8)

    def refusal(name: str, pair: tuple[NDArray[Any], NDArray[Any]]) -> str:
        with pytest.raises(CalibrationError) as caught:
            pairs_from(folder_of(tmp_path / name, [pair]), 8, 0)
        return str(caught.value)

    blue = np.zeros_like(flat) + np.array([255, 0, 0], np.uint8)
    for name, pair in {"flat": (flat, second), "blue": (second, blue), "same": (first, first)}.items():
        assert "0.png are flat or the same" in refusal(name, pair)
    assert "same size" in refusal("sizes", (first, second[1:]))
    with pytest.raises(FusionError, match="No pairs below"):
        pairs_from(tmp_path / "nothing", 8, 0)


def test_pairs_are_drawn_by_seed_and_known_by_their_pixels(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "pairs", [made_pair(40, 50, seed) for seed in range(6)])
    first, again, other = (pairs_from(folder, 3, seed) for seed in (0, 0, 1))
    assert len(first.pairs) == 3
    assert first.sha256 == again.sha256 != other.sha256
    assert pairs_from(None, 4, 0).sha256 == pairs_from(None, 4, 0).sha256
    assert [len(half.pairs) for half in pairs_from(None, 3, 0).split()] == [2, 1]


# the gate


class Additive:
    """A judge for whom every layer flips what a table says, wherever it is used."""

    def __init__(self, bundle: Bundle, flips: dict[tuple[str, str], float]) -> None:
        self.bundle, self.flips, self.asked = bundle, flips, 0

    def loss(self, candidate: Any) -> Loss:
        self.asked += 1
        return Loss((sum(self.flips.get(item, 0.0) for item in candidate.items()),), (50.0,), (0.0,))


def layer(name: str, weights: int) -> Layer:
    return Layer(name, DENSE, (weights,), ())


@pytest.fixture
def additive(monkeypatch: pytest.MonkeyPatch, random_bundle: Path) -> Additive:
    monkeypatch.setattr(gate, "with_precisions", lambda bundle, precisions, samples: dict(precisions))
    flips = {
        ("cheap", DYNAMIC): 0.001, ("cheap", WEIGHT_ONLY): 0.0005,
        ("dear", DYNAMIC): 0.010, ("dear", WEIGHT_ONLY): 0.004,
        ("large", DYNAMIC): 0.010, ("large", WEIGHT_ONLY): 0.001,
    }  # fmt: skip
    return Additive(load_bundle(random_bundle), flips)


LADDERS = {layer(name, n): (DYNAMIC, WEIGHT_ONLY, FP32) for name, n in (("cheap", 100), ("dear", 100), ("large", 1000))}


def found_for(additive: Additive, max_flips: float) -> dict[str, str]:
    trials = sensitivities(additive, LADDERS, {}, silent)  # type: ignore[arg-type]
    assert len(trials) == 6
    return search(additive, LADDERS, trials, max_flips, {}, silent)[0]  # type: ignore[arg-type]


def test_the_search_gives_up_what_saves_most_for_least(additive: Additive) -> None:
    assert set(found_for(additive, 0.05).values()) == {DYNAMIC}
    assert found_for(additive, 0.016) == {"cheap": DYNAMIC, "dear": WEIGHT_ONLY, "large": DYNAMIC}
    assert found_for(additive, 0.012) == {"cheap": DYNAMIC, "dear": FP32, "large": DYNAMIC}
    assert found_for(additive, 0.0021) == {"cheap": DYNAMIC, "dear": FP32, "large": WEIGHT_ONLY}
    assert set(found_for(additive, 0.0).values()) == {FP32}


def test_the_search_refuses_a_budget_that_cannot_be_met(additive: Additive) -> None:
    ladders = {one: (DYNAMIC, WEIGHT_ONLY) for one in LADDERS}
    trials = [Trial(one, DYNAMIC, Loss((additive.flips[one.name, DYNAMIC],), (50.0,), (0.0,))) for one in ladders]
    with pytest.raises(CalibrationError, match=r"flips 0\.550% of the decisions, and 0\.100% are allowed"):
        search(additive, ladders, trials, 0.001, {}, silent)  # type: ignore[arg-type]


def test_the_loss_is_that_of_the_pictures(random_bundle: Path) -> None:
    bundle = load_bundle(random_bundle)
    same = Judge(bundle, PAIRS).loss(bundle)
    assert same.flips == (0.0, 0.0)
    assert same.psnr == (100.0, 100.0)
    assert same.error == (0.0, 0.0)


# the command


def quantize(*arguments: object) -> int:
    return main(["quantize", *map(str, arguments)])


def test_a_quantized_bundle_says_how_it_was_made(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "RANKING_PAIRS", 1)
    pairs = folder_of(tmp_path / "pairs", [made_pair(48, 64, seed) for seed in range(4)])
    target, picture = tmp_path / "int8", tmp_path / "layers.png"
    options = ["--pairs", pairs, "-o", target, "--recipe", WEIGHT_ONLY, "--max-flips", "10%"]
    assert quantize(bundle.path, *options, "--picture", picture) == 0
    told = capsys.readouterr()
    assert "flipped decisions" in told.out
    assert "speed, this machine" in told.out
    assert "mix/1" in told.out
    assert cv2.imread(str(picture)) is not None
    made = load_bundle(target)
    assert made.precision == WEIGHT_ONLY
    assert made.engine == bundle.engine
    facts = made.quantization
    assert facts["recipe"] == WEIGHT_ONLY
    assert facts["layers"]["mix/1"] == WEIGHT_ONLY
    assert facts["calibrated"]["sha256"] != facts["judged"]["sha256"]
    assert facts["judged"]["mean_flips"] <= 0.1
    assert main(["info", "--model", str(target), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["quantization"] == facts
    assert quantize(target, "--pairs", pairs, "-o", tmp_path / "twice") == 2
    assert f"is in {WEIGHT_ONLY} already" in capsys.readouterr().err
    assert not (tmp_path / "twice").exists()


@pytest.mark.parametrize("engine", ["onnx", "litert"])
@pytest.mark.parametrize("model", ["fusiongcn", "fusiongcn-lite"])
def test_shipped_models_can_be_quantized(model: str, engine: str, tmp_path: Path) -> None:
    pairs = folder_of(tmp_path / "pairs", [made_pair(48, 64, seed) for seed in range(4)])
    source, target = load_bundle(model, [engine]), tmp_path / "small"
    options = ["--pairs", pairs, "--most", 2, "--max-flips", "100%", "--recipe", FP16]
    assert quantize(model, "--engine", engine, *options, "-o", target) == 0
    made = load_bundle(target)
    assert (made.network, made.cleaning, made.blend) == (source.network, source.cleaning, source.blend)
    assert made.precision == FP16
    fused = [Fuser(each, threads=1).fuse(*made_pair(64, 80)).probability for each in (source, made)]
    np.testing.assert_allclose(fused[0], fused[1], atol=0.05)


def test_auto_keeps_the_budget(
    random_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def few(bundle: Bundle) -> list[Layer]:
        return [one for one in every(bundle) if one.name in ("stem/1", "mix/1")]

    every = onnx_format.layers_of
    monkeypatch.setattr(samples, "SIDE", 64)
    monkeypatch.setattr(onnx_format, "layers_of", few)
    assert quantize(random_bundle, "-o", tmp_path / "auto", "--most", 2, "--max-flips", "100") == 0
    assert set(load_bundle(tmp_path / "auto").quantization["layers"].values()) == {WEIGHT_ONLY}
    assert quantize(random_bundle, "-o", tmp_path / "half", "--most", 2, "--max-flips", "0.2%") == 0
    facts = load_bundle(tmp_path / "half").quantization
    assert FP16 in facts["layers"].values()
    assert facts["judged"]["mean_flips"] <= 2e-3
    assert "chosen" in capsys.readouterr().out
    monkeypatch.setattr(commands, "search", lambda *_: ({"stem/1": FP32, "mix/1": FP32}, None))
    assert quantize(random_bundle, "-o", tmp_path / "none", "--most", 2) == 2
    assert "No layer can be quantized with 0.200% of flipped" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_gate_refuses_a_bad_recipe_and_leaves_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = folder_of(tmp_path / "pairs", [made_pair(48, 64, seed) for seed in range(4)])
    options = ["--pairs", pairs, "-o", tmp_path / "bad", "--recipe", WEIGHT_ONLY]
    assert quantize(bundle.path, *options, "--max-flips", "100%") == 0  # it is the budget that refuses it below
    monkeypatch.setattr("fusiongcn_edge.calibration.rounding.LEVELS", 3)
    assert quantize(bundle.path, *options[:3], tmp_path / "worse", *options[4:]) == 2
    assert "of the decisions, and 0.200% are allowed, so nothing was written" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "pairs"]


def test_mistakes_on_the_command_line_are_told(
    random_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = folder_of(tmp_path / "pairs", [made_pair(48, 64, seed) for seed in range(3)])

    def told(*arguments: object) -> str:
        assert quantize(*arguments) == 2
        return capsys.readouterr().err

    output = ["-o", tmp_path / "out"]
    assert "2 pairs to calibrate and 1 to judge with are too few" in told(random_bundle, "--pairs", pairs, *output)
    assert "--judge is given without --pairs" in told(random_bundle, "--judge", pairs, *output)
    assert "end it with .png" in told(random_bundle, *output, "--picture", tmp_path / "x.jpg")
    assert "No model 'missing'" in told("missing", *output)
    assert "pairs exists" in told(random_bundle, "-o", pairs)
    assert "share photographs" in told(random_bundle, "--pairs", pairs, "--judge", pairs, *output)
    assert "not 'litert': name no engine" in told(random_bundle, "--engine", "litert", *output)
    drawn = ["--recipe", FP16, "--picture", tmp_path / "x.png"]
    assert "fp16 has none: leave it out" in told(random_bundle, *drawn, *output)
    static = told("fusiongcn-lite", "--engine", "litert", "--recipe", STATIC8, "--most", 2, *output)
    assert "tens of gigabytes to find: use a recipe" in static
    assert "no model is written over" in told(random_bundle, "-o", random_bundle)
    assert list(tmp_path.iterdir()) == [pairs]


def test_a_count_is_at_least_nothing(random_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--seed", "--most"):
        with pytest.raises(SystemExit):
            quantize(random_bundle, "-o", "x", option, "-1")
        assert "give a whole number of at least 0" in capsys.readouterr().err


def test_ranges_of_a_whole_tflite_cnn_are_refused(
    whole_tflite_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quantize(whole_tflite_bundle, "-o", tmp_path / "out", "--most", 2, "--recipe", STATIC8) == 2
    assert "take tens of gigabytes" in capsys.readouterr().err


@pytest.mark.parametrize("whole", ["whole_bundle", "whole_tflite_bundle"])
def test_a_whole_cnn_is_quantized_as_well(whole: str, request: pytest.FixtureRequest) -> None:
    bundle = load_bundle(request.getfixturevalue(whole))
    found, _ = by_recipe(bundle, WEIGHT_ONLY)
    assert bytes_of(found) < 0.6 * bytes_of(bundle)
    loss = Judge(bundle, PAIRS[:1]).loss(found)
    assert 0 < loss.mean_error < 0.05


def test_a_share_is_given_in_per_cent() -> None:
    assert commands._percent("0.2%") == commands._percent("0.2") == 0.002
    for text in ("x", "-1", "200%", "nan"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no share"):
            commands._percent(text)


def test_a_missing_library_is_told(tflite_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("fusiongcn_edge.calibration.litert_format")
    monkeypatch.setitem(sys.modules, "fusiongcn_edge.calibration.litert_format", None)
    with pytest.raises(CalibrationError, match=r"pip install '.\[calibration\]'"):
        format_of(load_bundle(tflite_bundle))


# what ships


@pytest.mark.parametrize("engine", ["onnx", "litert"])
def test_the_shipped_int8_model_is_small_and_says_what_it_lost(engine: str) -> None:
    before, after = (load_bundle(name, [engine]) for name in ("fusiongcn", "fusiongcn-int8"))
    assert (after.engine, after.name, after.params) == (engine, before.name, before.params)
    sizes = [sum(file.stat().st_size for file in bundle.path.iterdir()) for bundle in (before, after)]
    assert sizes[1] <= 0.4 * sizes[0]
    facts = after.quantization
    assert facts["calibrated"]["source"] == "20 of 20 pairs in lytro"
    assert "lytro" not in facts["judged"]["source"]
    assert facts["judged"]["mean_flips"] <= 0.002
    assert set(facts["layers"]) == {layer.name for layer in format_of(before).layers_of(before)}
    assert Judge(before, [made_pair(96, 128)]).loss(after).mean_flips < 0.01


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
