"""``fusiongcn info``, and models and engines that no command can use."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fusiongcn_edge import __version__
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import EngineError
from fusiongcn_edge.runtime.bundle.reader import load_bundle, manifest_checksum
from fusiongcn_edge.runtime.cli import info
from helpers.common import Fails


@pytest.fixture
def without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "fusiongcn_edge.runtime.engines.onnxruntime_engine", raising=False)


# info


def test_info_as_json(random_bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", str(random_bundle), "--size", "300x400", "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts["version"] == __version__
    assert facts["engines"]["onnx"]["installed"] is True
    assert "CPU" in facts["engines"]["onnx"]["provider"]
    model = facts["model"]
    assert (model["params"], model["size"], model["precision"]) == (137_174, "300x400", "fp32")
    assert model["macs"] == load_bundle(random_bundle).macs(300, 400)
    assert model["file_bytes"] == {path.name: path.stat().st_size for path in random_bundle.glob("*.onnx")}
    assert model["origin"]["weights"] == "random"


def test_info_counts_at_520_unless_told_otherwise(random_bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", str(random_bundle)]) == 0
    text = capfd.readouterr().out
    assert "params: 137,174" in text
    assert "size: 520x520" in text
    assert f"macs: {load_bundle(random_bundle).macs(520, 520):,}" in text


def test_info_explains_a_precision_and_counts_layers(capfd: pytest.CaptureFixture[str]) -> None:
    asked = ["info", "fusiongcn-int8", "--engine", "onnx"]
    assert main([*asked, "--json"]) == 0
    layers = json.loads(capfd.readouterr().out)["model"]["quantization"]["layers"]
    floats = sum(precision == "fp16" for precision in layers.values())
    assert main(asked) == 0
    text = capfd.readouterr().out
    assert "precision: weights in int8, computed in float32 (weight_only_wi8_afp32)\n" in text
    assert f"layers: {len(layers) - floats} weight_only_wi8_afp32, {floats} fp16\n" in text


def test_info_needs_no_model(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert "model" not in facts
    assert set(facts["engines"]) >= {"onnx"}


@pytest.mark.usefixtures("without_onnxruntime")
def test_info_tells_how_a_missing_engine_is_installed(random_bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json", "--model", str(random_bundle)]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts["engines"]["onnx"] == {"installed": False, "install": "pip install onnxruntime"}
    assert facts["model"]["params"] == 137_174
    assert main(["info"]) == 0
    assert "install: pip install onnxruntime" in capfd.readouterr().out


@pytest.mark.parametrize("size", ["520", "520x", "0x520", "520x-1", "axb", "1x2x3"])
def test_info_refuses_what_is_no_size(size: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["info", f"--size={size}"])
    assert caught.value.code == 2
    assert "is no size: give height x width" in capfd.readouterr().err


def test_info_takes_a_model_by_its_place_too(random_bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(random_bundle), "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts["model"]["params"] == 137_174
    assert facts["default_model"] == "fusiongcn-lite"


def test_info_refuses_two_models_and_an_engine_that_the_bundle_is_not_for(fails: Fails, random_bundle: Path) -> None:
    assert "Two models are named" in fails("info", random_bundle, "--model", "fusiongcn")
    assert "is made for the engine 'onnx', not 'litert'" in fails("info", random_bundle, "--engine", "litert")


def test_info_tells_why_an_installed_engine_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str) -> None:
        raise EngineError(f"{name} was built for numpy 1.")

    monkeypatch.setattr(info, "get_engine", broken)
    assert main(["info", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)["engines"]["onnx"]
    assert found == {"installed": True, "usable": False, "problem": "onnx was built for numpy 1."}


# models and engines that cannot be used


def test_an_unknown_model(fails: Fails) -> None:
    assert "No model 'no-such'" in fails("fuse", "a.png", "b.png", "-o", "out.png", "--model", "no-such")
    assert "No model 'no-such'" in fails("info", "--model", "no-such")


def damage_graph(bundle: Path) -> None:
    data = (bundle / "gcn.onnx").read_bytes()
    (bundle / "gcn.onnx").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def cut_graph(bundle: Path) -> None:
    (bundle / "join.onnx").write_bytes((bundle / "join.onnx").read_bytes()[:1000])


def remove_graph(bundle: Path) -> None:
    (bundle / "join.onnx").unlink()


def remove_manifest(bundle: Path) -> None:
    (bundle / "bundle.json").unlink()


def cut_manifest(bundle: Path) -> None:
    (bundle / "bundle.json").write_text((bundle / "bundle.json").read_text()[:1000])


def change_manifest(bundle: Path, **values: Any) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(manifest | values))


@pytest.mark.parametrize("command", [["fuse", "a.png", "b.png", "-o", "out.png"], ["info"]], ids=["fuse", "info"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_graph, "SHA-256 differs"),
        (cut_graph, "truncated"),
        (remove_graph, "is missing"),
        (remove_manifest, "is no bundle"),
        (cut_manifest, "damaged"),
        (lambda bundle: change_manifest(bundle, preprocessing={}), "damaged"),
        (lambda bundle: change_manifest(bundle, format=99), "upgrade fusiongcn-edge"),
    ],
    ids=["altered", "truncated", "missing", "no manifest", "truncated manifest", "altered manifest", "too new"],
)
def test_a_damaged_bundle(
    command: list[str], damage: Callable[[Path], None], message: str, fails: Fails, bundle_copy: Path
) -> None:
    damage(bundle_copy)
    assert message in fails(*command, "--model", bundle_copy)


def test_a_graph_that_the_engine_cannot_open(fails: Fails, bundle_copy: Path) -> None:
    manifest = json.loads((bundle_copy / "bundle.json").read_text())
    data = b"certainly no graph"
    (bundle_copy / "join.onnx").write_bytes(data)
    manifest["graphs"]["join"] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["checksum"] = manifest_checksum(manifest)
    (bundle_copy / "bundle.json").write_text(json.dumps(manifest))
    sentence = fails("fuse", "a.png", "b.png", "-o", "out.png", "--model", bundle_copy)
    assert "ONNX Runtime cannot open join.onnx" in sentence


@pytest.mark.usefixtures("without_onnxruntime")
def test_a_missing_engine(fails: Fails, random_bundle: Path) -> None:
    sentence = fails("fuse", "a.png", "b.png", "-o", "out.png", "--model", random_bundle)
    assert "needs onnxruntime, which is not installed: pip install onnxruntime" in sentence
