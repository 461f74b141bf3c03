"""TFLite: the same answers as ONNX and torch, from graphs of fixed sizes, on kernels that XNNPACK has."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

from fusiongcn_edge.export.dummy_inputs import example_inputs
from fusiongcn_edge.export.formats import ExportError
from fusiongcn_edge.export.pipeline import export_bundle
from fusiongcn_edge.export.stages_tflite import WholeCnn
from fusiongcn_edge.export.subgraphs import PaddedGcnSubgraph
from fusiongcn_edge.model.fusiongcn import FusionGCN
from fusiongcn_edge.runtime import EngineError, Fuser, FusionError
from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.bundle.reader import load_bundle, manifest_checksum
from fusiongcn_edge.runtime.engines import litert_engine
from fusiongcn_edge.runtime.engines.base import get_engine
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fusiongcn_edge.runtime.networks.fusiongcn import GCN_INPUTS
from fusiongcn_edge.runtime.networks.gcn import Gcn
from fusiongcn_edge.runtime.networks.region_graph import region_graph
from helpers.bundle_cache import exported
from helpers.cnn import inputs, probability
from helpers.common import Stage
from helpers.paths import EXAMPLE

# kernels of XNNPACK (its list in the LiteRT documentation), and what is still needed of others: by tables alone
XNNPACK = {
    "ADD", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV", "FULLY_CONNECTED",
    "LEAKY_RELU", "LOGISTIC", "MAXIMUM", "MEAN", "MINIMUM", "MUL", "PAD", "RELU", "RESHAPE", "RSQRT", "SLICE",
    "SOFTMAX", "SPLIT", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "STRIDED_SLICE", "SUB", "TRANSPOSE",
}  # fmt: skip
OTHERS = {"gcn": {"SUM", "RELU_0_TO_1"}, "tables": {"SUM", "EMBEDDING_LOOKUP"}}


def operators(bundle: Bundle) -> dict[str, set[str]]:
    """Names of the operators in each TFLite graph."""
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    found = {}
    for data in bundle.files.values():
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
        for signature in model.signatureDefs:
            subgraph = model.subgraphs[signature.subgraphIndex]
            found[signature.signatureKey.decode()] = {codes[op.opcodeIndex] for op in subgraph.operators}
    return found


def with_file(bundle: Path, file: str, data: bytes) -> None:
    """Put other bytes into a bundle, with a manifest that vouches for them."""
    (bundle / file).write_bytes(data)
    manifest = json.loads((bundle / "bundle.json").read_text())
    for graph in manifest["graphs"].values():
        if graph["file"] == file:
            graph |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["checksum"] = manifest_checksum(manifest)
    (bundle / "bundle.json").write_text(json.dumps(manifest))


@pytest.fixture
def tflite_copy(tflite_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tflite_bundle, tmp_path / "bundle"))


# the graphs


def test_graphs_hold_nothing_that_xnnpack_lacks(tflite_bundle: Path, whole_tflite_bundle: Path) -> None:
    for path in (tflite_bundle, whole_tflite_bundle):
        found = operators(load_bundle(path))
        assert found.keys() == load_bundle(path).graphs.keys()
        for name, used in found.items():
            others = OTHERS.get(name.partition("@")[0], set())
            if name.startswith("cnn"):  # looks superpixels up itself, having no runtime of ours beside it
                others = {"SUM", "EMBEDDING_LOOKUP", "GREATER_EQUAL", "CAST", "PADV2"}
            assert used <= XNNPACK | others, name


def test_the_padded_gcn_is_the_gcn(random_network: FusionGCN) -> None:
    example = example_inputs(16, 16, 12)["gcn"]
    with torch.no_grad():
        for found, expected in zip(
            PaddedGcnSubgraph(random_network)(**example), random_network.embed(*example.values()), strict=True
        ):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_chain_as_one_graph_is_the_network(random_network: FusionGCN) -> None:
    arrays = {name: torch.from_numpy(array) for name, array in inputs(33, 47).items()}
    with torch.no_grad():
        found = WholeCnn(random_network)(arrays["images"].permute(0, 2, 3, 1), *list(arrays.values())[1:])
        expected = random_network.classify(
            arrays["images"], arrays["labels"].unsqueeze(0), arrays["shallow"], arrays["deep"]
        )[0, 0]
    assert expected.min() < 0.4 < 0.6 < expected.max()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


# superpixels: padding


@pytest.mark.parametrize("nodes", [1, 11, 12, 13, 60])
def test_superpixels_that_fill_a_graph_up_change_no_real_one(
    nodes: int, tflite_bundle: Path, random_network: FusionGCN
) -> None:
    rng = np.random.default_rng(nodes)
    labels = np.arange(nodes, dtype=np.int32).repeat(3).reshape(1, -1)
    adjacency, attention_mask = region_graph(np.vstack([labels, np.roll(labels, 5)]))
    features = rng.uniform(0, 3000, (2, nodes, 3)).astype(np.float32)
    arrays = {"features": features, "adjacency": adjacency, "attention_mask": attention_mask}
    engine = get_engine("litert")
    found = Gcn(load_bundle(tflite_bundle), lambda graph: engine.load(graph, 1), GCN_INPUTS).run(arrays)
    with torch.no_grad():
        expected = random_network.embed(*(torch.from_numpy(array) for array in arrays.values()))
    for name, table in zip(("shallow", "deep"), expected, strict=True):
        assert found[name].shape == table.shape
        np.testing.assert_allclose(found[name], table.numpy(), rtol=1e-4, atol=1e-4)


def test_too_many_superpixels_are_refused_with_what_to_do(tflite_bundle: Path) -> None:
    with pytest.raises(FusionError, match=r"exported for at most 60: use smaller .* --superpixels \d+\."):
        Fuser.open(tflite_bundle).fuse(*synthetic_pair(200, 200))
    with pytest.raises(FusionError, match="exported for at most 60"):
        probability(tflite_bundle, inputs(80, 80, nodes=61))


# fusing


def test_both_engines_fuse_alike(tflite_bundle: Path, random_bundle: Path) -> None:
    pair = synthetic_pair(70, 90)
    one, other = (Fuser.open(path).fuse(*pair) for path in (tflite_bundle, random_bundle))
    np.testing.assert_allclose(one.probability, other.probability, rtol=0, atol=1e-4)
    assert np.mean(one.decision != other.decision) < 1e-3


def test_the_shipped_model_is_there_for_both_engines_and_fuses_alike() -> None:
    pair = synthetic_pair(150, 170)
    one, other = (Fuser.open("fusiongcn", engine=engine).fuse(*pair) for engine in ("litert", "onnx"))
    np.testing.assert_allclose(one.probability, other.probability, rtol=0, atol=1e-4)
    assert (
        load_bundle("fusiongcn", ["litert"]).origin["weights"] == load_bundle("fusiongcn", ["onnx"]).origin["weights"]
    )


@pytest.mark.process
@pytest.mark.parametrize("missing", ["onnxruntime", "ai_edge_litert"])
def test_each_engine_works_without_the_other(missing: str, tmp_path: Path) -> None:
    example = EXAMPLE
    code = (
        "import sys, importlib.util\n"
        f"sys.modules['{missing}'] = None\n"
        "find = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *a: None if name == '{missing}' else find(name, *a)\n"
        "from fusiongcn_edge.cli import main\n"
        f"sys.exit(main(['fuse', r'{example}/near.jpg', r'{example}/far.jpg', '-o', 'fused.png']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "fused.png").exists()


@pytest.mark.slow
def test_the_probability_is_that_of_the_authors(stage: Stage, official_tflite: Path) -> None:
    found = Fuser.open(official_tflite).fuse(stage.first, stage.second)
    np.testing.assert_allclose(found.probability, stage.dump["probability"], rtol=0, atol=1e-3)
    assert np.mean(found.decision != stage.dump["decision"]) <= 1e-4


@pytest.fixture(scope="session")
def official_tflite(official_checkpoint: Path) -> Path:
    return exported(official_checkpoint, "official-tflite", format="tflite", superpixels=[320])


# float16


@pytest.mark.export
@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "tflite"])
def test_float16_is_smaller_and_nearly_the_same(
    form: str, random_checkpoint: Path, whole_bundle: Path, tmp_path: Path
) -> None:
    options = {"sizes": [(40, 60)], "superpixels": [12]} if form == "tflite" else {}
    assert export_bundle(random_checkpoint, tmp_path / "half", format=form, precision="fp16", **options) < 2e-2
    bundle = load_bundle(tmp_path / "half")
    assert bundle.precision == "fp16"
    arrays = inputs(40, 60)
    found, expected = probability(tmp_path / "half", arrays), probability(whole_bundle, arrays)
    assert 0 < np.abs(found - expected).max() < 2e-2
    mix = {len(graph.data) for graph in bundle.variants("mix").values()}
    if form == "onnx":  # 31,104 weights of two bytes
        assert mix.pop() < 31_104 * 3
    else:
        assert "DEQUANTIZE" in operators(bundle)["mix@40x60"]
        assert all(used <= XNNPACK for name, used in operators(bundle).items() if name.endswith("@40x60"))


# mistakes


def test_a_stage_that_is_not_there_for_every_size_is_a_damaged_bundle(tflite_copy: Path) -> None:
    manifest = json.loads((tflite_copy / "bundle.json").read_text())
    del manifest["graphs"]["mix@16x40"]
    manifest["checksum"] = manifest_checksum(manifest)
    (tflite_copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(FusionError, match="not there for the same sizes"):
        load_bundle(tflite_copy)


def test_an_export_says_what_it_cannot_do(random_checkpoint: Path, tmp_path: Path) -> None:
    def refusal(**options: object) -> str:
        with pytest.raises(ExportError) as caught:
            export_bundle(random_checkpoint, tmp_path / "bundle", **options)  # type: ignore[arg-type]
        return str(caught.value)

    assert "any size" in refusal(format="onnx", sizes=[(40, 40)])
    assert "any size" in refusal(format="onnx", superpixels=[10])
    assert "give it with --size" in refusal(format="tflite", whole_cnn=True)
    assert "at least 16x16" in refusal(format="tflite", sizes=[(8, 80)])
    assert "2 megapixels at most" in refusal(format="tflite", sizes=[(10**6, 10**6)])
    assert "1 to 8192" in refusal(format="tflite", superpixels=[0])
    assert "1 to 8192" in refusal(format="tflite", superpixels=[10**6])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_exporter_is_told(random_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"needs litert-torch .* pip install '.\[export-tflite\]'"):
        export_bundle(random_checkpoint, tmp_path / "bundle", format="tflite")


@pytest.mark.parametrize("data", [b"", b"certainly no graph", bytes(1000)])
def test_what_is_no_tflite_file_is_refused(data: bytes, tflite_copy: Path) -> None:
    with_file(tflite_copy, "gcn.tflite", data)
    with pytest.raises(EngineError, match=r"cannot open gcn.tflite .*: export it again\.$"):
        Fuser.open(tflite_copy)


def test_a_tflite_file_of_another_model_is_refused(tflite_copy: Path) -> None:
    with_file(tflite_copy, "gcn.tflite", (tflite_copy / "tables.tflite").read_bytes())
    with pytest.raises(EngineError, match=r"the file of another model: export it again\.$"):
        Fuser.open(tflite_copy)


def test_a_tflite_file_with_other_sizes_is_refused(tflite_copy: Path) -> None:
    manifest = json.loads((tflite_copy / "bundle.json").read_text())
    manifest["graphs"]["gcn@12"]["inputs"]["features"][1][1] = 13
    manifest["checksum"] = manifest_checksum(manifest)
    (tflite_copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(EngineError, match=r"\(2, 12, 3\) instead of float32 \(2, 13, 3\): export it again"):
        Fuser.open(tflite_copy)


def test_tflite_runtime_is_given_no_dynamic_int8(tflite_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = json.loads((tflite_copy / "bundle.json").read_text())
    manifest["precision"] = "dynamic_wi8_afp32"
    manifest["checksum"] = manifest_checksum(manifest)
    (tflite_copy / "bundle.json").write_text(json.dumps(manifest))
    Fuser.open(tflite_copy)
    monkeypatch.setattr(litert_engine, "LIBRARY", "tflite-runtime")
    with pytest.raises(EngineError, match="install ai-edge-litert in its place"):
        Fuser.open(tflite_copy)


@pytest.mark.parametrize(("numpy_version", "works"), [("1.26.4", True), ("2.0.0", False), ("10.1", False)])
def test_tflite_runtime_beside_numpy_2_is_refused(
    numpy_version: str, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = types.ModuleType("tflite_runtime.interpreter")
    interpreter.Interpreter = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.delitem(sys.modules, "ai_edge_litert.interpreter", raising=False)
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", interpreter)
    monkeypatch.delitem(sys.modules, "fusiongcn_edge.runtime.engines.litert_engine")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.14.0")
    monkeypatch.setattr(np, "__version__", numpy_version)
    if works:
        assert get_engine("litert").version == "tflite-runtime 2.14.0"
    else:
        with pytest.raises(EngineError, match=r"fails with numpy .*: pip install 'numpy<2'"):
            get_engine("litert")


def test_running_out_of_memory_is_not_called_a_damaged_file(
    tflite_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuser = Fuser.open(tflite_bundle, threads=1)

    def fail(**_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(litert_engine, "Interpreter", fail)
    for file in {id(file): file for file in litert_engine.ENGINE._files.values()}.values():
        monkeypatch.setattr(file, "_idle", [])
    with pytest.raises(FusionError, match=r"(?i)memory ran out"):
        fuser.fuse(*synthetic_pair(40, 40))
    with pytest.raises(FusionError, match="Memory ran out when"):
        Fuser.open(tflite_bundle, threads=1).fuse(*synthetic_pair(40, 40))


@pytest.mark.parametrize("shape", [[2, None, 3], [2, 2.5, 3], [2, 0, 3], [2, -12, 3], [2, True, 3]])
def test_a_size_that_is_none_is_a_damaged_bundle(shape: list[object], tflite_copy: Path) -> None:
    manifest = json.loads((tflite_copy / "bundle.json").read_text())
    manifest["graphs"]["gcn@12"]["inputs"]["features"][1] = shape
    manifest["checksum"] = manifest_checksum(manifest)
    (tflite_copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(FusionError, match="damaged"):
        load_bundle(tflite_copy)


@pytest.mark.parametrize("gather", [{"x": "labels"}, {"injected": "images"}, {"injected": "nowhere"}])
def test_a_table_is_spread_by_places_alone(gather: dict[str, str], tflite_copy: Path) -> None:
    manifest = json.loads((tflite_copy / "bundle.json").read_text())
    next(stage for stage in manifest["stages"] if stage["graph"] == "stem")["gather"] = gather
    manifest["checksum"] = manifest_checksum(manifest)
    (tflite_copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(FusionError, match="damaged"):
        load_bundle(tflite_copy)


def test_the_xnnpack_kernels_are_in_use(tflite_bundle: Path) -> None:
    graph = next(iter(load_bundle(tflite_bundle).variants("mix").values()))
    interpreter = litert_engine._Interpreter(graph.file, graph.data, 1)
    assert any(
        "XNN" in op["op_name"].upper() or "DELEGATE" in op["op_name"].upper()
        for op in interpreter._interpreter._get_ops_details()
    )
