"""What fusing costs, counted from graph files, ours and foreign ones: against counts by hand, torch's and thop's."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from fusiongcn_edge.benchmarks.cost.analytic import preprocessing, published_convention
from fusiongcn_edge.benchmarks.cost.count import Cost, cost_of_bundle, cost_of_file, grid_labels
from fusiongcn_edge.calibration.backends import onnx_format, tflite_format
from fusiongcn_edge.calibration.layers import DENSE, DYNAMIC, WEIGHT_ONLY
from fusiongcn_edge.cli import main
from fusiongcn_edge.model.config import PUBLISHED_SUPERPIXELS
from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from helpers.onnx_models import RNG, onnx_model
from helpers.published_cost import FEATURE_MIX, PER_NODE, PER_NODE_SQUARED, PER_PIXEL, STEM


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
    for path, round_up_to_multiple in ((random_bundle, 50), (tflite_bundle, 60)):  # TFLite's is there for 12 and for 60
        layers = cost_of_bundle(load_bundle(path), 48, 64, superpixels=50).layers
        found = sum(layer.macs for layer in layers if layer.graph.startswith("gcn"))
        assert found == round_up_to_multiple * PER_NODE + round_up_to_multiple**2 * PER_NODE_SQUARED


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
    form, path = (onnx_format, random_bundle) if engine == "onnx" else (tflite_format, tflite_bundle)
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


def test_a_suffix_in_capitals_is_the_same(tflite_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "GCN.TFLITE").write_bytes((tflite_bundle / "gcn.tflite").read_bytes())
    assert cost_of_file(tmp_path / "GCN.TFLITE").macs == cost_of_file(tflite_bundle / "gcn.tflite").macs


def test_a_length_without_meaning_is_refused(tmp_path: Path, random_bundle: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(onnx_model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["tokens", 4]}, {}, ["y"]))
    with pytest.raises(FusionError, match=r"'tokens' of x .* fixed size"):
        cost_of_file(path)
    path.write_bytes(onnx_model([helper.make_node("Relu", ["x"], ["y"])], {"x": [" ", 4]}, {}, ["y"]))
    with pytest.raises(FusionError, match=r"' ' of x .* fixed size"):
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
        ([random_bundle, "--size", "40x60", "--superpixels", "9999"], "more superpixels than"),
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


def test_a_missing_library_is_told_in_one_sentence(
    foreign: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "fusiongcn_edge.benchmarks.cost.onnx_graph")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["cost", str(foreign)]) == 2
    assert capsys.readouterr().err == (
        "fusiongcn: Counting ONNX graphs needs onnx, which is not installed: "
        "pip install '.[calibration]' in the checkout.\n"
    )
