from __future__ import annotations

import errno
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from fusiongcn_edge.cli import main
from fusiongcn_edge.export import pipeline
from fusiongcn_edge.export.dummy_inputs import example_inputs
from fusiongcn_edge.export.formats import ExportError
from fusiongcn_edge.export.pipeline import export_bundle
from fusiongcn_edge.export.subgraphs import CnnSubgraph, GcnSubgraph, OneExponentialMish
from fusiongcn_edge.model.checkpoint import save_checkpoint
from fusiongcn_edge.model.fusiongcn import FusionGCN
from fusiongcn_edge.runtime import BundleError, Fuser
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.bundle.writer import write_bundle
from fusiongcn_edge.runtime.engines.base import get_engine
from fusiongcn_edge.runtime.networks.fusiongcn import open_cnn
from fusiongcn_edge.runtime.networks.fusiongcn_inputs import network_input
from fusiongcn_edge.runtime.networks.region_graph import node_features, region_graph
from helpers.common import RANDOM_SUPERPIXELS, Fails, Stage, contents
from helpers.paths import ROOT
from helpers.processes import python

# steps of writing a bundle, and how often each succeeds before the disk is full
SINGLE_STEPS = [("fsync", 0), ("fsync", 1), ("rename", 0)]


@pytest.mark.slow
def test_onnx_runtime_gives_the_stages_of_the_authors_code(stage: Stage, official_bundle: Path) -> None:
    fuser = Fuser.open(official_bundle)
    result = fuser.fuse(stage.first, stage.second)
    np.testing.assert_array_equal(result.labels, stage.dump["labels"])
    np.testing.assert_allclose(result.probability, stage.dump["probability"], rtol=0, atol=1e-3)
    features = node_features(network_input(stage.first, stage.second), result.labels)
    np.testing.assert_allclose(features, stage.both("features"), rtol=1e-5)
    adjacency, mask = region_graph(result.labels)
    gcn = get_engine("onnx").load(fuser.bundle.graphs["gcn"], 1)
    tables = gcn.run({"features": features, "adjacency": adjacency, "attention_mask": mask})
    np.testing.assert_allclose(tables["shallow"], stage.both("shallow"), rtol=0, atol=1e-4)
    np.testing.assert_allclose(tables["deep"], stage.both("deep"), rtol=0, atol=1e-4)


@pytest.mark.export
@pytest.mark.parametrize(
    ("height", "width", "nodes"), [(16, 16, 1), (16, 16, 2), (37, 20, 7), (24, 61, 90), (64, 48, 12)]
)
@pytest.mark.parametrize("form", ["random_bundle", "whole_bundle"])
def test_the_graphs_compute_what_the_network_computes(
    height: int, width: int, nodes: int, form: str, random_network: FusionGCN, request: pytest.FixtureRequest
) -> None:
    bundle, engine = load_bundle(request.getfixturevalue(form)), get_engine("onnx")
    examples = example_inputs(height, width, nodes)
    edges = torch.rand(nodes, nodes, generator=torch.Generator().manual_seed(1)) < 0.3
    edges |= torch.eye(nodes, dtype=torch.bool)
    examples["gcn"]["adjacency"] = edges / edges.sum(1, keepdim=True)
    examples["gcn"]["attention_mask"] = torch.where(edges, 0.0, -1e4)
    tables = engine.load(bundle.graphs["gcn"], 1).run({name: t.numpy() for name, t in examples["gcn"].items()})
    with torch.no_grad():
        expected = random_network.embed(**examples["gcn"])
        for name, table in zip(("shallow", "deep"), expected, strict=True):
            np.testing.assert_allclose(tables[name], table.numpy(), rtol=1e-4, atol=1e-4)
            examples["cnn"][name] = table
        images, labels, *others = examples["cnn"].values()
        probability = random_network.classify(images, labels.unsqueeze(0), *others)[0, 0].numpy()
    arrays = {name: tensor.numpy() for name, tensor in examples["cnn"].items()}
    found = open_cnn(bundle, engine, 2).run(arrays)["probability"]
    assert found.shape == (height, width)
    assert np.ptp(probability) > 0.01
    np.testing.assert_allclose(found, probability, rtol=0, atol=1e-4)


def test_folding_changes_the_modules_but_not_the_function(random_network: FusionGCN) -> None:
    examples = example_inputs(30, 22, 9)
    before = {name: tensor.clone() for name, tensor in random_network.state_dict().items()}
    gcn, cnn = GcnSubgraph(random_network), CnnSubgraph(random_network)
    left = [type(module).__name__ for part in (gcn, cnn) for module in part.modules()]
    assert "BatchNorm2d" not in left
    assert "Mish" not in left
    with torch.no_grad():
        shallow, deep = gcn(**examples["gcn"])
        examples["cnn"] |= {"shallow": shallow, "deep": deep}
        images, labels = examples["cnn"]["images"], examples["cnn"]["labels"].unsqueeze(0)
        expected = random_network(images, labels, *examples["gcn"].values())[0, 0]
        torch.testing.assert_close(cnn(**examples["cnn"]), expected, rtol=0, atol=1e-5)
    for name, tensor in random_network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["gcn", "cnn"])
def test_the_graphs_are_valid_onnx_of_free_size(name: str, whole_bundle: Path) -> None:
    graph = load_bundle(whole_bundle).graphs[name]
    model = onnx.load_from_string(graph.data)
    onnx.checker.check_model(model, full_check=True)
    signature = {
        value.name: tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in (*model.graph.input, *model.graph.output)
    }
    assert signature == {name: shape for name, (_, shape) in (graph.inputs | graph.outputs).items()}
    assert (
        signature
        == {
            "gcn": {
                "features": (2, "nodes", 3),
                "adjacency": ("nodes", "nodes"),
                "attention_mask": ("nodes", "nodes"),
                "shallow": (2, "nodes", 18),
                "deep": (2, "nodes", 36),
            },
            "cnn": {
                "images": (2, 3, "height", "width"),
                "labels": ("height", "width"),
                "shallow": (2, "nodes", 18),
                "deep": (2, "nodes", 36),
                "probability": ("height", "width"),
            },
        }[name]
    )


def test_tables_reach_the_pixels_by_gather_and_batch_normalisation_is_folded(whole_bundle: Path) -> None:
    model = onnx.load(whole_bundle / "cnn.onnx")
    kinds = Counter(node.op_type for node in model.graph.node)
    assert kinds["Gather"] == 2  # one for each table
    assert not {"OneHot", "BatchNormalization", "ScatterND", "ScatterElements", "Mish", "Softplus", "Exp"} & set(kinds)
    # what products there are, are those of the squeeze-and-excitation: their second factor is a weight
    weights = {weight.name for weight in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm", "Einsum")]
    assert len(products) == 2
    assert all(product.input[1] in weights for product in products)


def test_convolutions_are_exported_as_they_are(whole_bundle: Path) -> None:
    convolutions = [node for node in onnx.load(whole_bundle / "cnn.onnx").graph.node if node.op_type == "Conv"]
    groups = Counter(next(a.i for a in node.attribute if a.name == "group") for node in convolutions)
    once = dict.fromkeys([36, 18, 96, 48, 72, 144, 24], 1)  # encoder, decoder, graph decoder
    assert groups == {1: 10, **once}


@pytest.mark.parametrize("name", ["gcn.onnx", "join.onnx", "mix.onnx", "bundle.json"])
def test_a_bundle_says_nothing_about_the_machine_it_was_made_on(name: str, random_bundle: Path) -> None:
    data = (random_bundle / name).read_bytes()
    for trace in (str(ROOT), sys.prefix, "site-packages", str(random_bundle), ".py"):
        assert trace.encode() not in data


def test_mish_with_one_exponential_is_mish() -> None:
    x = torch.linspace(-60, 60, 24_001, dtype=torch.float64)
    torch.testing.assert_close(OneExponentialMish()(x), F.mish(x), rtol=1e-12, atol=1e-300)
    torch.testing.assert_close(OneExponentialMish()(x.float()).double(), F.mish(x.float().double()), rtol=1e-6, atol=0)


def test_mish_with_one_exponential_does_not_overflow() -> None:
    assert OneExponentialMish()(torch.tensor([-3e38, 3e38])).tolist() == pytest.approx([0, 3e38])


def test_a_bundle_holds_the_numbers_of_its_checkpoint(random_bundle: Path, random_network: FusionGCN) -> None:
    bundle = load_bundle(random_bundle)
    how = bundle.superpixels
    assert {name: getattr(how, name) for name in RANDOM_SUPERPIXELS} == RANDOM_SUPERPIXELS
    np.testing.assert_array_equal(how.guide_kernel, random_network.mix.weight.detach().numpy()[0])
    assert how.guide_bias == random_network.mix.bias.item()
    assert (bundle.threshold, bundle.smallest_component, bundle.blend) == (0.5, 0.001, "hard")
    assert bundle.params == 137_174
    assert bundle.origin["weights"] == "random"


@pytest.mark.export
@pytest.mark.parametrize("blend", ["hard", "soft"])
def test_a_bundle_fuses_as_its_checkpoint_says(blend: str, random_network: FusionGCN) -> None:
    facts = {"superpixels": RANDOM_SUPERPIXELS, "blend": blend}
    assert pipeline.manifest(random_network, facts)["decision"]["blend"] == blend


def test_the_authors_checkpoint_is_exported_with_the_published_numbers(official_bundle: Path) -> None:
    bundle = load_bundle(official_bundle)
    how = bundle.superpixels
    assert (how.segments_per_side, how.compactness, how.sigma, how.iterations) == (0.5, 10, 5, 10)
    assert bundle.origin["weights"] == "fusiongcn-official.ckpt"


@pytest.mark.usefixtures("no_second_export")
def test_graphs_that_do_not_compute_what_the_network_computes_are_not_written(tmp_path: Path) -> None:
    torch.manual_seed(11)
    save_checkpoint(tmp_path / "other.ckpt", FusionGCN(), {"superpixels": RANDOM_SUPERPIXELS, "origin": {}})
    with pytest.raises(ExportError, match="differ too much from the network"):
        export_bundle(tmp_path / "other.ckpt", tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["other.ckpt"]


@pytest.mark.usefixtures("no_second_export")
def test_weights_that_overflow_are_not_exported(tmp_path: Path) -> None:
    network = FusionGCN()
    torch.nn.init.constant_(network.cnn_encoder1.block1[0].weight, 1e38)
    save_checkpoint(tmp_path / "huge.ckpt", network, {"superpixels": RANDOM_SUPERPIXELS, "origin": {}})
    with pytest.raises(ExportError, match="differ too much from the network"):
        export_bundle(tmp_path / "huge.ckpt", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(("name", "successes"), SINGLE_STEPS)
def test_an_export_that_cannot_be_written_leaves_nothing(
    name: str, successes: int, random_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = load_bundle(random_bundle).graphs
    original, calls = getattr(os, name), []

    def full(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == successes + 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(BundleError, match="cannot be written"):
            write_bundle(tmp_path / "bundle", {}, graphs)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["bundle", "folder", "empty folder", "file", "dangling link"])
def test_an_export_writes_over_nothing(kind: str, random_bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "holiday"
    if kind == "file":
        output.write_text("precious")
    elif kind == "dangling link":
        output.symlink_to(tmp_path / "elsewhere")
    elif kind == "bundle":
        shutil.copytree(random_bundle, output)
    else:
        output.mkdir()
    if kind == "folder":
        (output / "photo.jpg").write_text("precious")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    with pytest.raises(BundleError, match="exists, and no model is written over: choose another name"):
        write_bundle(output, {}, {})
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


# the command


@pytest.mark.usefixtures("no_second_export")
def test_an_exported_bundle_can_be_fused_with(
    folder: Path, random_checkpoint: Path, random_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--checkpoint", str(random_checkpoint), "--format", "onnx", "-o", "mine"]) == 0
    printed = capfd.readouterr()
    assert printed.out.startswith("mine: fp32 onnx, greatest difference from torch ")
    assert printed.err == ""
    assert contents(folder / "mine") == contents(random_bundle)
    assert main(["fuse", "a.png", "b.png", "-o", "out.png", "--model", "mine"]) == 0


def test_a_missing_checkpoint(fails: Fails) -> None:
    assert "no checkpoint none.ckpt" in fails("export", "--checkpoint", "none.ckpt", "-o", "bundle")


def test_a_text_for_a_checkpoint(fails: Fails, folder: Path) -> None:
    (folder / "notes.ckpt").write_text("weights? what weights?")
    assert "notes.ckpt is no checkpoint" in fails("export", "--checkpoint", "notes.ckpt", "-o", "bundle")


def test_a_checkpoint_of_another_network(fails: Fails) -> None:
    torch.save(torch.nn.Linear(2, 3).state_dict(), "other.ckpt")
    assert "is not a FusionGCN checkpoint" in fails("export", "--checkpoint", "other.ckpt", "-o", "bundle")


@pytest.mark.usefixtures("no_second_export")
@pytest.mark.parametrize(("output", "message"), [("a.png", "a.png exists"), ("no/such/bundle", "does not exist")])
def test_a_bundle_that_cannot_be_written(output: str, message: str, fails: Fails, random_checkpoint: Path) -> None:
    assert message in fails("export", "--checkpoint", random_checkpoint, "-o", output)


@pytest.mark.usefixtures("no_second_export")
def test_an_export_that_comes_out_wrong(fails: Fails) -> None:
    save_checkpoint("other.ckpt", FusionGCN(), {"superpixels": RANDOM_SUPERPIXELS, "origin": {}})
    assert "differ too much from the network" in fails("export", "--checkpoint", "other.ckpt", "-o", "bundle")


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("library", ["torch", "onnx", "onnxscript"])
def test_export_without_its_libraries_names_the_extra(library: str, random_checkpoint: Path, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from fusiongcn_edge.cli import main; sys.exit(main())"
    done = python(code, "export", "--checkpoint", random_checkpoint, "-o", tmp_path / "bundle")
    assert done.returncode == 2
    assert done.stderr == (
        f"fusiongcn: 'fusiongcn export' needs {library}, which is not installed: pip install '.[export]' in the "
        "checkout (to export to TFLite: pip install '.[export-tflite]' in the checkout).\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_exports_both_forms(
    random_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    called = []
    monkeypatch.setattr(pipeline, "export_bundle", lambda *paths, **options: called.append((paths, options)) or 0.0)
    arguments = ["--checkpoint", str(random_checkpoint), "-o", str(tmp_path / "mine"), "--precision", "fp16"]
    options = ["--size", "40x60", "--size", "20x30", "--superpixels", "99"]
    assert main(["export", "--format", "onnx,tflite", *arguments, *options]) == 0
    common = {"precision": "fp16", "whole_cnn": False}
    assert called == [
        (
            (str(random_checkpoint), f"{tmp_path}/mine-tflite"),
            {"format": "tflite", **common, "sizes": [(40, 60), (20, 30)], "superpixels": [99]},
        ),
        ((str(random_checkpoint), f"{tmp_path}/mine-onnx"), {"format": "onnx", **common}),
    ]
    assert "mine-tflite: fp16 tflite" in capfd.readouterr().out
    (tmp_path / "mine-tflite").write_text("precious")
    called.clear()
    assert main(["export", "--format", "onnx,tflite", *arguments]) == 2
    assert called == []
