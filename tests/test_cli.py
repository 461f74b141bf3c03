from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import RANDOM_SUPERPIXELS
from numpy.typing import NDArray
from PIL import Image

from fusiongcn_edge import __version__
from fusiongcn_edge.cli import COMMANDS, main
from fusiongcn_edge.model.checkpoint import save_checkpoint
from fusiongcn_edge.model.network import FusionGCN
from fusiongcn_edge.runtime import EngineError, Fuser, info_commands
from fusiongcn_edge.runtime.bundle import load_bundle, manifest_checksum
from fusiongcn_edge.runtime.errors import mendable
from fusiongcn_edge.runtime.images import read_image, write_image

Picture = NDArray[Any]
Fails = Callable[..., str]


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, hidden files too."""
    found = folder.rglob("*")
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in found}


@pytest.fixture
def folder(tmp_path: Path, photographs: tuple[Picture, Picture], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, holding the pair ``a.png`` and ``b.png``."""
    monkeypatch.chdir(tmp_path)
    for name, image in zip(("a.png", "b.png"), photographs, strict=True):
        write_image(tmp_path / name, image)
    return tmp_path


@pytest.fixture
def fails(folder: Path, capfd: pytest.CaptureFixture[str]) -> Fails:
    """Runs a command that must end with exit code 2, one sentence and no file made or changed; gives the sentence."""

    def run(*arguments: str | Path) -> str:
        before = contents(folder)
        capfd.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        printed = capfd.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("fusiongcn: ")
        assert printed.err.endswith(".\n")
        assert printed.err.count("\n") == 1
        assert "Traceback" not in printed.err
        assert contents(folder) == before
        return printed.err

    return run


@pytest.fixture
def without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "fusiongcn_edge.runtime.engines.onnx_engine", raising=False)


def python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a few lines in an interpreter of their own."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# what is written


def test_fuse_writes_what_the_fuser_gives(
    folder: Path, random_bundle: Path, photographs: tuple[Picture, Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    outputs = ["-o", "fused.png", "--decision-map", "map.png", "--probability", "probability.png"]
    assert main(["fuse", "a.png", "b.png", *outputs, "--model", str(random_bundle), "--threads", "1"]) == 0
    expected = Fuser.open(random_bundle, threads=1).fuse(*photographs)
    assert 0.05 < expected.decision.mean() < 0.95
    np.testing.assert_array_equal(read_image("fused.png"), expected.image)
    np.testing.assert_array_equal(read_image("map.png"), np.where(expected.decision, 255, 0))
    probability = read_image("probability.png")
    assert probability.dtype == np.uint8
    np.testing.assert_allclose(probability, expected.probability * 255, rtol=0, atol=0.5001)
    assert sorted(contents(folder)) == ["a.png", "b.png", "fused.png", "map.png", "probability.png"]
    printed = capfd.readouterr()
    assert printed.out.startswith("fused.png: 128x96, ")
    assert printed.out.count("\n") == 1
    assert printed.err == ""


def test_fuse_writes_nothing_but_what_is_asked_for(folder: Path, random_bundle: Path) -> None:
    assert main(["fuse", "a.png", "b.png", "-o", "fused.jpg", "--model", str(random_bundle), "--engine", "onnx"]) == 0
    assert sorted(contents(folder)) == ["a.png", "b.png", "fused.jpg"]


def test_fuse_keeps_sixteen_bits_and_alpha(folder: Path, random_bundle: Path) -> None:
    for name, alpha in (("a", 1000), ("b", 65_535)):
        image = np.insert(read_image(f"{name}.png").astype(np.uint16) * 257, 3, alpha, axis=2)
        write_image(f"{name}.tif", image)
    assert main(["fuse", "a.tif", "b.tif", "-o", "fused.png", "--model", str(random_bundle)]) == 0
    fused = read_image("fused.png")
    assert fused.dtype == np.uint16
    assert set(np.unique(fused[:, :, 3])) == {1000, 65_535}


@pytest.mark.parametrize("form", ["colour", "gray", "16 bits with alpha"])
def test_a_preview_shows_both_photographs_the_decision_and_the_result(
    form: str, folder: Path, random_bundle: Path
) -> None:
    for name in ("a.png", "b.png"):
        image = read_image(name)
        if form == "gray":
            image = image[:, :, 1]
        elif form == "16 bits with alpha":
            image = np.insert(image.astype(np.uint16) * 257, 3, 9, axis=2)
        write_image(name, image)
    outputs = ["-o", "fused.png", "--preview", "preview.png", "--decision-map", "map.png"]
    assert main(["fuse", "a.png", "b.png", *outputs, "--model", str(random_bundle)]) == 0
    preview = read_image("preview.png")
    assert preview.dtype == np.uint8
    assert preview.shape == (18 + 96, 4 * (128 + 4), 3)  # photographs this small are shown as they are
    for place, name in enumerate(["a.png", "b.png", "map.png", "fused.png"]):
        shown, picture = preview[18:, place * 132 :][:, :128], read_image(name)
        picture = (picture // 257).astype(np.uint8) if picture.dtype == np.uint16 else picture
        expected = np.dstack([picture] * 3) if picture.ndim == 2 else picture[:, :, :3]
        np.testing.assert_array_equal(shown, expected)
        label = preview[:18, place * 132 :][:, :128]
        assert (label < 100).any()
        assert (preview[:, place * 132 + 128 :][:, :4] == 255).all()


def test_a_preview_of_large_photographs_is_small(folder: Path, random_bundle: Path) -> None:
    for name in ("a.png", "b.png"):
        write_image(name, cv2.resize(read_image(name), (96, 512)))
    outputs = ["-o", "fused.png", "--preview", "preview.jpg"]
    assert main(["fuse", "a.png", "b.png", *outputs, "--model", str(random_bundle)]) == 0
    assert read_image("preview.jpg").shape == (18 + 400, 4 * (75 + 4), 3)


def test_fuse_replaces_an_older_output(folder: Path, random_bundle: Path) -> None:
    (folder / "fused.png").write_text("older")
    assert main(["fuse", "a.png", "b.png", "-o", "fused.png", "--model", str(random_bundle)]) == 0
    assert read_image("fused.png").shape == (96, 128, 3)


@pytest.mark.usefixtures("folder")
def test_fuse_shows_its_stages_on_a_terminal_and_wipes_them(
    random_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["fuse", "a.png", "b.png", "-o", "fused.png", "--model", str(random_bundle)]) == 0
    shown = terminal.getvalue()
    assert "[1/5] superpixels" in shown
    assert "[4/5] cnn" in shown
    assert shown.endswith("\r\033[K")
    assert "\n" not in shown


# what is refused: the photographs


def test_a_missing_photograph(fails: Fails, random_bundle: Path) -> None:
    assert "no file none.png" in fails("fuse", "none.png", "b.png", "-o", "out.png", "--model", random_bundle)
    assert "no file none.png" in fails("fuse", "a.png", "none.png", "-o", "out.png", "--model", random_bundle)


def test_a_folder_for_a_photograph(fails: Fails, folder: Path, random_bundle: Path) -> None:
    assert "is a folder" in fails("fuse", folder, "b.png", "-o", "out.png", "--model", random_bundle)


def test_a_photograph_that_may_not_be_read(fails: Fails, random_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.open

    def denied(path: str | Path, *arguments: Any, **named: Any) -> int:
        if path == Path("a.png"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path, *arguments, **named)

    monkeypatch.setattr(os, "open", denied)
    assert "check its permissions" in fails("fuse", "a.png", "b.png", "-o", "out.png", "--model", random_bundle)


@pytest.mark.parametrize("length", [0, 8, 40, 5000])
def test_a_damaged_photograph(length: int, fails: Fails, folder: Path, random_bundle: Path) -> None:
    (folder / "half.png").write_bytes((folder / "a.png").read_bytes()[:length])
    assert "half.png is no image" in fails("fuse", "half.png", "b.png", "-o", "out.png", "--model", random_bundle)


def test_a_text_for_a_photograph(fails: Fails, folder: Path, random_bundle: Path) -> None:
    (folder / "notes.jpg").write_text("sharp at the front")
    assert "notes.jpg is no image" in fails("fuse", "a.png", "notes.jpg", "-o", "out.png", "--model", random_bundle)


def test_a_photograph_of_floating_point_samples(fails: Fails, random_bundle: Path) -> None:
    Image.fromarray(np.ones((96, 128), np.float32)).save("float.tif")
    assert "samples of type float32" in fails("fuse", "float.tif", "b.png", "-o", "out.png", "--model", random_bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: image[:, :-1], "differ in size (128x96 and 127x96 pixels)"),
        (lambda image: image[:, :, 0], "differ in their channels"),
        (lambda image: image.astype(np.uint16), "differ in depth"),
    ],
)
def test_photographs_that_do_not_match(
    change: Callable[[Picture], Picture], message: str, fails: Fails, random_bundle: Path
) -> None:
    write_image("other.png", change(read_image("b.png")))
    assert message in fails("fuse", "a.png", "other.png", "-o", "out.png", "--model", random_bundle)


def test_photographs_smaller_than_the_network_can_serve(fails: Fails, random_bundle: Path) -> None:
    write_image("small.png", read_image("a.png")[:15])
    sentence = fails("fuse", "small.png", "small.png", "-o", "out.png", "--model", random_bundle)
    assert "128x15 pixels, and this model needs at least 16" in sentence


# what is refused: the model and its engine


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


def test_no_threads(fails: Fails, random_bundle: Path) -> None:
    sentence = fails("fuse", "a.png", "b.png", "-o", "out.png", "--model", random_bundle, "--threads", "0")
    assert "from 1 to" in sentence


@pytest.mark.parametrize("option", ["a", "--model", "-o"])
def test_a_name_that_is_too_long(option: str, fails: Fails, random_bundle: Path) -> None:
    long = "x" * 300 + ".png"
    names = {"a": "a.png", "--model": str(random_bundle), "-o": "out.png", option: long}
    fails("fuse", names["a"], "b.png", "-o", names["-o"], "--model", names["--model"])


# what is refused: the output


@pytest.mark.parametrize("option", ["-o", "--decision-map", "--probability", "--preview"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out", "known image format"),
        ("out.txt", "known image format"),
        ("no/such/folder/out.png", "does not exist: create it first"),
        ("folder.png", "is a folder"),
        ("a.png", "is one of the photographs"),
        ("./b.png", "is one of the photographs"),
        ("twice.png", "is named twice as an output"),
    ],
)
def test_an_output_that_cannot_be(
    option: str, name: str, message: str, fails: Fails, folder: Path, random_bundle: Path
) -> None:
    (folder / "folder.png").mkdir()
    outputs = {"-o": "1.png", "--decision-map": "2.png", "--probability": "3.png", "--preview": "4.png", option: name}
    if name == "twice.png":
        outputs[next(other for other in outputs if other != option)] = name
    arguments = [part for pair in outputs.items() for part in pair]
    assert message in fails("fuse", "a.png", "b.png", *arguments, "--model", random_bundle)


def test_a_link_to_a_photograph_as_output(fails: Fails, folder: Path, random_bundle: Path) -> None:
    (folder / "link.png").symlink_to("a.png")
    assert "is one of the photographs" in fails("fuse", "a.png", "b.png", "-o", "link.png", "--model", random_bundle)


def test_an_output_folder_that_may_not_be_written_to(
    fails: Fails, folder: Path, random_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == folder and mode == os.W_OK))
    assert "cannot be written to" in fails("fuse", "a.png", "b.png", "-o", "out.png", "--model", random_bundle)


@pytest.mark.parametrize(
    "change",
    [lambda image: image.astype(np.uint16), lambda image: np.insert(image, 3, 9, axis=2)],
    ids=["16 bits", "alpha"],
)
def test_a_format_that_cannot_hold_the_photographs(
    change: Callable[[Picture], Picture], fails: Fails, random_bundle: Path
) -> None:
    for name in ("a.png", "b.png"):
        write_image(name, change(read_image(name)))
    assert "cannot hold" in fails("fuse", "a.png", "b.png", "-o", "out.jpg", "--model", random_bundle)


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("successes", [0, 1, 2])
def test_a_disk_that_is_full_at_any_moment(
    step: str, successes: int, fails: Fails, random_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = getattr(os, step), []

    def full_later(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) > successes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments)

    monkeypatch.setattr(os, step, full_later)
    outputs = ["-o", "fused.png", "--decision-map", "map.png", "--probability", "probability.png"]
    sentence = fails("fuse", "a.png", "b.png", *outputs, "--model", random_bundle)
    assert "cannot be written (No space left on device)" in sentence


def test_an_interruption_ends_quietly(
    folder: Path, random_bundle: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Fuser, "fuse", interrupted)
    before = contents(folder)
    assert main(["fuse", "a.png", "b.png", "-o", "out.png", "--model", str(random_bundle)]) == 130
    assert capfd.readouterr().err == "fusiongcn: interrupted; no unfinished file was left.\n"
    assert contents(folder) == before


@pytest.mark.usefixtures("folder")
def test_a_bug_is_not_told_as_a_mistake_of_the_user_s(random_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(Fuser, "fuse", broken)
    with pytest.raises(ValueError, match="a bug"):
        main(["fuse", "a.png", "b.png", "-o", "out.png", "--model", str(random_bundle)])


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

    monkeypatch.setattr(info_commands, "get_engine", broken)
    assert main(["info", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)["engines"]["onnx"]
    assert found == {"installed": True, "usable": False, "problem": "onnx was built for numpy 1."}


# export


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
    assert "differ from the network" in fails("export", "--checkpoint", "other.ckpt", "-o", "bundle")


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


@pytest.mark.parametrize("command", ["export", "train", "scenes"])
def test_a_command_explains_itself_without_its_libraries(command: str) -> None:
    missing = "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'litert_torch']))"
    done = python(f"{missing}; from fusiongcn_edge.cli import main; sys.exit(main())", command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: fusiongcn {command}" in done.stdout


def test_train_tells_the_defaults_of_both_networks(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    told = " ".join(capfd.readouterr().out.split())
    assert "(default: 6000 for fusiongcn, 20000 for lite)" in told
    assert "of the superpixels (default: 0.1)" in told


# what is done, with a remark


@pytest.fixture
def remarked(folder: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Runs a command that succeeds, and gives the lines on standard error."""

    def run(*arguments: str | Path) -> list[str]:
        capfd.readouterr()
        assert main([str(argument) for argument in arguments]) == 0
        return capfd.readouterr().err.splitlines()

    return run


def test_the_same_photograph_twice_is_told(remarked: Callable[..., list[str]], random_bundle: Path) -> None:
    for command in ("fuse", "stack"):
        (told,) = remarked(command, "a.png", "a.png", "-o", "out.png", "--model", random_bundle)
        assert told.startswith("fusiongcn: note: a.png and a.png are the same photograph")


@pytest.mark.parametrize("option", [["--png-compression", "9"], ["--jpeg-quality", "90"]])
def test_an_option_of_a_format_that_is_not_written_is_told(
    option: list[str], remarked: Callable[..., list[str]], random_bundle: Path
) -> None:
    arguments = ["fuse", "a.png", "b.png", "-o", "out.tif", *option, "--model", random_bundle]
    assert f"{option[0]} changes nothing" in remarked(*arguments)[0]
    used = ["--decision-map", "map.png" if "png" in option[0] else "map.jpg"]
    assert remarked(*arguments, *used) == []


# the command itself


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fuse", "a.png"], "the following arguments are required: B, -o/--output; see 'fusiongcn fuse --help'."),
        (
            ["fuse", "a.png", "b.png", "c.png", "-o", "out.png"],
            "c.png is not understood: more than two photographs are a stack, for 'fusiongcn stack'; "
            "see 'fusiongcn fuse --help'.",
        ),
        (["fuse", "a.png", "b.png", "-o", "o.png", "--fast"], "--fast is not understood; see 'fusiongcn fuse --help'."),
        (["fues", "a.png"], "there is no command 'fues' (did you mean 'fuse'?); see 'fusiongcn --help'."),
        (["info", "--size", "520"], "argument --size: '520' is no size: give height x width, 520x520 for example; see "
         "'fusiongcn info --help'."),
    ],
)  # fmt: skip
def test_a_mistake_in_the_arguments_is_one_sentence(
    arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", f"fusiongcn: {said}\n")


def test_without_a_command_it_explains_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 0
    assert "COMMAND --help" in capfd.readouterr().out


def test_a_folder_is_no_stack(fails: Fails, folder: Path) -> None:
    (folder / "many").mkdir()
    sentence = fails("stack", "many", "-o", "out.png")
    assert "many is a folder: name its photographs, many/*, or fuse each" in sentence
    assert "'fusiongcn batch many -o ...'" in sentence


def test_the_version_is_printed_by_the_module_too() -> None:
    command = [sys.executable, "-m", "fusiongcn_edge", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fusiongcn-edge {__version__}\n", "")


LOADED = "print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def test_the_version_costs_no_import_of_numpy_or_opencv() -> None:
    code = f"""
import sys
from fusiongcn_edge.cli import main
try:
    main(["--version"])
finally:
    {LOADED}
"""
    version, loaded = python(code).stdout.splitlines()
    assert version == f"fusiongcn-edge {__version__}"
    assert "fusiongcn_edge" in loaded.split()
    assert not {"numpy", "cv2", "onnxruntime", "torch"} & set(loaded.split())


def test_the_runtime_loads_neither_torch_nor_scipy_nor_scikit_image(folder: Path, random_bundle: Path) -> None:
    imported = python(f"import sys, fusiongcn_edge.runtime; {LOADED}").stdout.split()
    assert {"numpy", "cv2"} <= set(imported)
    assert not {"torch", "scipy", "skimage", "onnx", "onnxruntime"} & set(imported)
    code = f"import sys; from fusiongcn_edge.cli import main; main(sys.argv[1:]); {LOADED}"
    arguments = ["fuse", folder / "a.png", folder / "b.png", "-o", folder / "out.png", "--model", random_bundle]
    used = python(code, *arguments).stdout.splitlines()[-1].split()
    assert {"numpy", "cv2", "onnxruntime"} <= set(used)
    assert not {"torch", "scipy", "skimage", "onnx"} & set(used)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    printed = capfd.readouterr()
    assert printed.out.startswith(f"usage: fusiongcn {command}")
    assert COMMANDS[command][1][1:] in " ".join(printed.out.split())
    assert printed.err == ""


def test_all_commands_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    listed = {line.split()[0] for line in capfd.readouterr().out.splitlines() if line.startswith("    ")}
    assert set(COMMANDS) <= listed


def test_the_example_pair_of_the_repository_can_be_fused(random_bundle: Path, tmp_path: Path) -> None:
    example = Path(__file__).resolve().parents[1] / "docs" / "example"
    near, far = (cv2.imread(str(example / f"{name}.jpg")) for name in ("near", "far"))
    assert near.shape == far.shape
    near, far = (image[100:196, 200:328] for image in (near, far))
    assert Fuser.open(random_bundle).fuse(near, far).image.shape == near.shape


@pytest.mark.parametrize("library", ["cv2", "numpy"])
def test_without_what_the_runtime_needs_a_sentence_says_so(library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from fusiongcn_edge.cli import main; sys.exit(main(['info']))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 2
    assert process.stderr.startswith("fusiongcn: numpy and OpenCV are needed and cannot be loaded (")
    assert "pip install numpy opencv-python-headless" in process.stderr
    assert process.stderr.count("\n") == 1


def test_opencv_without_memory_is_told_in_a_sentence() -> None:
    with pytest.raises(cv2.error) as caught:
        cv2.copyMakeBorder(np.zeros((2, 2), np.uint8), 0, 1 << 30, 0, 1 << 16, cv2.BORDER_CONSTANT)
    assert mendable(caught.value) == "Memory ran out: use smaller photographs or close other programs."
