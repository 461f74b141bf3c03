"""The light network: what holds by construction, its bundles on either engine, and what ships."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from fusiongcn_edge.benchmarks.cost.count import cost_of_bundle, cost_of_file
from fusiongcn_edge.export.formats import ExportError
from fusiongcn_edge.export.pipeline import export_bundle
from fusiongcn_edge.export.subgraphs_lite import MARGIN, REACH
from fusiongcn_edge.model import training
from fusiongcn_edge.model.checkpoint import CheckpointError, load_checkpoint, load_network, save_checkpoint
from fusiongcn_edge.model.config import LITE_CONFIG
from fusiongcn_edge.model.data.photos import Photographs
from fusiongcn_edge.model.fusiongcn_lite import FusionGCNLite
from fusiongcn_edge.model.training import Run
from fusiongcn_edge.runtime.bundle.reader import load_bundle, manifest_checksum
from fusiongcn_edge.runtime.errors import BundleError, FusionError
from fusiongcn_edge.runtime.fuser import Fuser
from fusiongcn_edge.runtime.io.pixels import luminance
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fusiongcn_edge.runtime.networks.lite_inputs import grid_superpixels, preprocess, region_affinity, region_features
from fusiongcn_edge.runtime.system.resources import resident_memory
from fusiongcn_edge.runtime.tiling.windowed_cnn import WINDOW_BYTES
from helpers.bundle_cache import exported
from helpers.lite import SETTINGS, random_pair


@pytest.fixture
def network() -> FusionGCNLite:
    torch.manual_seed(0)
    return FusionGCNLite().eval()


def decide(network: FusionGCNLite, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    seen = preprocess(first, second)
    labels = grid_superpixels(seen, SETTINGS)
    graph = region_features(seen, labels), region_affinity(seen, labels)
    with torch.no_grad():
        tables = network.embed(*map(torch.from_numpy, graph))
        pixels = torch.from_numpy(labels.astype(np.int64))[None]
        return network.classify(torch.from_numpy(luminance(seen.gray)[:, None]), pixels, *tables)[0, 0].numpy()


def test_exchanging_the_photographs_flips_the_decision(network: FusionGCNLite) -> None:
    first, second = random_pair(72, 104)
    forth, back = decide(network, first, second), decide(network, second, first)
    assert forth.std() > 1e-4
    np.testing.assert_allclose(forth, 1 - back, atol=1e-6)


def test_identical_photographs_give_one_half(network: FusionGCNLite) -> None:
    first, _ = random_pair(72, 104)
    assert (decide(network, first, first) == 0.5).all()


def test_it_is_small(network: FusionGCNLite) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) <= 20_000


def test_a_tile_depends_on_no_luminance_beyond_the_halo(network: FusionGCNLite) -> None:
    planes = torch.randn(2, 1, 256, 256, requires_grad=True)
    context = torch.zeros(2, 24, 64, 64)
    network.cnn(planes, context)[0, 0, 128:136, 128:136].sum().backward()
    assert planes.grad is not None
    looked_at = planes.grad.abs().sum(dim=(0, 1)).nonzero()
    assert int(looked_at.min()) == 128 - REACH
    assert REACH <= MARGIN
    assert int(looked_at.max()) <= 135 + REACH


@pytest.mark.slow
def test_it_trains_and_its_checkpoint_says_what_it_is(photo_folder: Path, tmp_path: Path) -> None:
    recipe = replace(LITE_CONFIG, steps=12, batch=2, crop=48, warm_up=2)
    run = Run(recipe, tmp_path, Photographs(photo_folder), Photographs(photo_folder))
    losses = list(islice(run.steps(), 12))
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    run.save()
    network, facts = load_network(tmp_path / training.WEIGHTS)
    assert isinstance(network, FusionGCNLite)
    assert facts["network"] == "lite"
    with pytest.raises(CheckpointError, match="'lite', expected 'fusiongcn'"):
        load_checkpoint(tmp_path / training.WEIGHTS)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    network = FusionGCNLite()
    with torch.no_grad():
        network.cnn.out.weight *= 20  # so that a random network decides something
    path = tmp_path_factory.mktemp("lite") / "lite.pt"
    facts = {"network": "lite", "superpixels": asdict(SETTINGS), "blend": "soft", "origin": {"weights": "random"}}
    save_checkpoint(path, network, facts)
    return path


@pytest.fixture(scope="module")
def lite_bundles(checkpoint: Path) -> dict[str, Path]:
    tflite = exported(checkpoint, "lite-tflite", format="tflite", sizes=[(120, 136)], superpixels=[200])
    return {"onnx": exported(checkpoint, "lite-onnx"), "tflite": tflite}


def test_a_bundle_decides_as_the_network(checkpoint: Path, lite_bundles: dict[str, Path]) -> None:
    network, _ = load_network(checkpoint)
    assert isinstance(network, FusionGCNLite)
    first, second = random_pair(77, 101)
    result = Fuser.open(lite_bundles["onnx"]).fuse(first, second)
    np.testing.assert_allclose(result.probability, decide(network, first, second)[:77, :101], atol=1e-5)
    assert 0.2 < result.decision.mean() < 0.8
    assert result.labels.shape == (77, 101)


@pytest.mark.parametrize("side", [128, 160])
def test_windows_give_what_the_whole_gives(
    lite_bundles: dict[str, Path], side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = random_pair(344, 301)
    whole = Fuser.open(lite_bundles["onnx"]).fuse(*pair).probability
    monkeypatch.setattr("fusiongcn_edge.runtime.tiling.windowed_cnn.LEAST_PIXELS", side * side)
    monkeypatch.setattr("fusiongcn_edge.runtime.tiling.windowed_cnn.MOST_PIXELS", side * side)
    sizes: list[tuple[int, ...]] = []
    fuser = Fuser(
        load_bundle(lite_bundles["onnx"]),
        watch=lambda _, inputs: sizes.append(inputs.get("luminance", np.empty(0)).shape),
    )
    np.testing.assert_allclose(fuser.fuse(*pair).probability, whole, atol=1e-5)
    assert len([size for size in sizes if len(size) == 4]) >= 9


def test_windows_of_one_size_give_what_the_whole_gives(lite_bundles: dict[str, Path]) -> None:
    pair = random_pair(240, 300)
    one, other = (Fuser.open(lite_bundles[form]).fuse(*pair).probability for form in ("onnx", "tflite"))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_photographs_smaller_than_a_window_are_served(lite_bundles: dict[str, Path]) -> None:
    pair = random_pair(50, 60)
    one, other = (Fuser.open(lite_bundles[form]).fuse(*pair).probability for form in ("onnx", "tflite"))
    assert other.shape == (50, 60)
    inner = (slice(None, -20), slice(None, -20))  # beyond, one sees zeros where the other sees the edge repeated
    assert np.mean((one > 0.5)[inner] != (other > 0.5)[inner]) < 0.05


def test_more_superpixels_than_the_graph_holds_are_refused(lite_bundles: dict[str, Path]) -> None:
    fuser = Fuser.open(lite_bundles["tflite"])
    with pytest.raises(FusionError, match="at most 200"):
        fuser.fuse(*random_pair(400, 400))


def test_sixteen_bits_decide_as_eight(lite_bundles: dict[str, Path]) -> None:
    first, second = (gray[:, :, None].repeat(3, axis=2) for gray in np.stack(random_pair(64, 80))[..., 0])
    fuser = Fuser.open(lite_bundles["onnx"])
    eight = fuser.fuse(first, second)
    sixteen = fuser.fuse(first.astype(np.uint16) * 257, second.astype(np.uint16) * 257)
    np.testing.assert_allclose(eight.probability, sixteen.probability, atol=1e-4)
    assert sixteen.image.dtype == np.uint16


@pytest.mark.parametrize("form", ["onnx", "tflite"])
def test_exchange_and_equality_hold_on_the_engine(lite_bundles: dict[str, Path], form: str) -> None:
    fuser = Fuser.open(lite_bundles[form])
    first, second = random_pair(96, 88)
    there, back = fuser.fuse(first, second).image, fuser.fuse(second, first).image
    assert np.abs(there.astype(int) - back.astype(int)).max() <= 1
    same = fuser.fuse(first, first)
    np.testing.assert_array_equal(same.image, first)
    assert (same.probability == 0.5).all()


def test_little_memory_makes_windows_smaller_or_is_refused(lite_bundles: dict[str, Path]) -> None:
    pair = random_pair(600, 600)
    with pytest.raises(FusionError, match=r"of this size need about \d+ MB"):
        Fuser.open(lite_bundles["onnx"], max_memory=10).fuse(*pair)
    sizes = []
    fuser = Fuser(
        load_bundle(lite_bundles["onnx"]),
        max_memory=(resident_memory() + WINDOW_BYTES * 360 * 360) / 1e6,
        watch=lambda _, inputs: sizes.append(inputs["luminance"].shape) if "luminance" in inputs else None,
    )
    first = fuser.fuse(*pair).probability
    assert all(rows * columns <= 370 * 370 for *_, rows, columns in sizes)
    assert len(sizes) >= 4
    # what the engine keeps to work in is part of what the process holds now, and is not needed once more
    np.testing.assert_array_equal(fuser.fuse(*pair).probability, first)


@pytest.mark.export
def test_what_cannot_be_exported_is_said(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="leave --whole-cnn out"):
        export_bundle(checkpoint, tmp_path / "b", whole_cnn=True)
    with pytest.raises(ExportError, match="multiples of 8"):
        export_bundle(checkpoint, tmp_path / "b", format="tflite", sizes=[(100, 200)])


def test_a_bundle_says_what_network_it_holds(lite_bundles: dict[str, Path]) -> None:
    bundle = load_bundle(lite_bundles["onnx"])
    assert bundle.network == "lite"
    assert bundle.superpixels == SETTINGS
    assert bundle.macs(520, 520) <= 0.25e9


@pytest.mark.parametrize("form", ["onnx", "tflite"])
@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("network",), "heavy"),
        (("margin",), -8),
        (("margin",), None),
        (("margin",), 50),
        (("margin",), 400),
        (("stages",), [{"graph": "cnn"}]),
        (("decision", "component_removal"), "never"),
        (("decision", "threshold"), 1e308),
        (("macs", "per_pixel"), 1e308),
        (("params",), -5),
        (("preprocessing", "superpixels", "iterations"), 1e9),
        (("preprocessing", "superpixels", "segments_per_side"), 1e6),
        (("graphs", "GCN", "outputs"), {"other": ["float32", [2, "nodes", 24]]}),
        (("graphs", "GCN", "inputs"), {"features": ["float32", [2, "nodes", 5]]}),
        (("graphs", "CNN", "outputs"), {"probability": ["float32", [520, 520]]}),
        (("graphs", "CNN", "inputs", "luminance"), ["float32", [2, 2, 8, 8]]),
    ],
)
def test_a_damaged_manifest_is_refused(
    lite_bundles: dict[str, Path], form: str, keys: tuple[str, ...], value: object, tmp_path: Path
) -> None:
    path = tmp_path / "copy"
    shutil.copytree(lite_bundles[form], path)
    manifest = json.loads((path / "bundle.json").read_text())
    place = manifest
    names = {
        "GCN": next(key for key in manifest["graphs"] if "gcn" in key),
        "CNN": next(key for key in manifest["graphs"] if "cnn" in key),
    }
    for key in keys[:-1]:
        place = place[names.get(key, key)]
    place[keys[-1]] = value
    (path / "bundle.json").write_text(json.dumps({**manifest, "checksum": manifest_checksum(manifest)}))
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(path)


@pytest.mark.parametrize("form", ["onnx", "tflite"])
@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3), (17, 400, 4), (400, 17), (23, 31, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_small_thin_and_strange_photographs_are_fused(
    lite_bundles: dict[str, Path], form: str, shape: tuple[int, ...], dtype: type
) -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True) for _ in range(2))
    fused = Fuser.open(lite_bundles[form]).fuse(first, second)
    assert fused.image.shape == shape
    assert fused.image.dtype == dtype
    assert (fused.image >= np.minimum(first, second)).all()
    assert (fused.image <= np.maximum(first, second)).all()
    assert fused.labels.shape == fused.probability.shape == shape[:2]


@pytest.mark.parametrize("engine", ["onnx", "litert"])
def test_what_a_pair_costs_is_counted_with_its_margins(engine: str) -> None:
    bundle = load_bundle("fusiongcn-lite", [engine])
    usual = cost_of_bundle(bundle, 520, 520)
    assert usual.whole_macs == bundle.macs(520, 520)
    assert usual.whole_macs <= usual.macs <= 0.25e9
    assert usual.margins == 0
    large = cost_of_bundle(bundle, 1001, 1203)
    assert large.size == (1001, 1203)
    assert large.macs == large.once + large.margins
    assert large.margins > 0.1 * large.once
    if engine == "onnx":  # TFLite also computes superpixels that are not there
        assert usual.macs == usual.whole_macs
        assert large.once == pytest.approx(bundle.macs(1001, 1203), rel=1e-6)
    assert set(large.before) == {"gray", "details", "slic", "features", "graph"}


@pytest.mark.parametrize("engine", ["onnx", "litert"])
@pytest.mark.parametrize("model", ["fusiongcn-lite", "fusiongcn-lite-int8"])
def test_the_shipped_model_keeps_its_promises(model: str, engine: str) -> None:
    fuser = Fuser.open(model, engine=engine)
    first, second = synthetic_pair(120, 144)
    there, back = fuser.fuse(first, second), fuser.fuse(second, first)
    assert np.abs(there.image.astype(int) - back.image.astype(int)).max() <= 1
    assert there.decision[:, :50].mean() > 0.9
    assert there.decision[:, -50:].mean() < 0.1
    np.testing.assert_array_equal(fuser.fuse(first, first).image, first)
    flat = np.full_like(first, 100)
    assert (fuser.fuse(flat, flat).probability == 0.5).all()
    assert (
        fuser.fuse(flat, flat + 10).decision.mean() - 0.5
    ) ** 2 > 0.2  # one photograph nearly everywhere, no speckle


@pytest.mark.parametrize("engine", ["onnx", "litert"])
def test_the_shipped_int8_model_is_small(engine: str) -> None:
    path = load_bundle("fusiongcn-lite-int8", [engine]).path
    assert sum(file.stat().st_size for file in path.iterdir()) <= 60_000


def test_a_graph_file_of_lite_is_counted_by_itself(lite_bundles: dict[str, Path]) -> None:
    whole = cost_of_bundle(load_bundle(lite_bundles["onnx"]), 72, 104)
    by_itself = cost_of_file(lite_bundles["onnx"] / "cnn.onnx", (72, 104))
    assert by_itself.macs == sum(layer.macs for layer in whole.layers if layer.graph == "cnn")
    with pytest.raises(FusionError, match="multiples of 8"):
        cost_of_file(lite_bundles["onnx"] / "cnn.onnx", (70, 104))
