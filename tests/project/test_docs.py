"""What the README and docs/ say can be typed, and is true."""

from __future__ import annotations

import glob
import json
import re
import shlex
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.experiments.stack_quality import made_stack
from fusiongcn_edge.cli import COMMANDS, main
from fusiongcn_edge.model import training
from fusiongcn_edge.runtime.bundle.manifest import FORMAT
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair, synthetic_photo
from helpers.camera_files import bayer_dng
from helpers.fake_camera import Picamera2
from helpers.paths import ROOT

Picture = NDArray[Any]

PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")

# lines that are not run here, by how they begin -> where they are
ELSEWHERE = {
    "pip ": ".ci/run installs plainly, each engine, tflite-runtime and the development extras",
    "python3 -m venv": ".ci/run makes such environments",
    ". fusion/bin/activate": ".ci/run uses such environments",
    "sudo apt": "wants root and a Debian; .ci/run does likewise for the emulator",
    "pytest ": "the device tests: .ci/run has them on emulated ARM, and any run of the tests on this machine",
}
# what a command is changed to, so that it takes seconds, and why
SMALLER = [
    (r"^fusiongcn train ", " --steps 2 --batch 1 --crop 64 --workers 0", "whole schedules take hours"),
    (r"^fusiongcn benchmark ", " --rounds 1 --size 64x64", "the published network five times takes minutes"),
    (r"^fusiongcn scenes ", " --count 2 --size 64", "16 scenes take some seconds"),
    (
        r"^fusiongcn export .*tflite",
        " --size 128x128 --superpixels 256",
        "two window sizes and two numbers of superpixels take four times as long",
    ),
    (
        r"^fusiongcn quantize ",
        " --max-flips 100% --max-pairs 2",
        "made pairs of 160 pixels are not what the budget is for",
    ),
]
OTHERWISE = [
    (r"--engine onnx-cuda", "--engine onnx", "there is no GPU"),
    (
        r"^fusiongcn quantize fusiongcn --engine litert",
        "fusiongcn quantize fusiongcn-lite --engine litert --recipe fp16",
        "the search over all layers of the published network takes an hour; test_quantize.py has a small one",
    ),
    (r"--max-memory 250", "--max-memory 2500", "the process that runs the tests holds torch"),
    (r"--threads 1,2", "--threads 1", "half of the time"),
    (r"--method laplacian,guided,enfuse", "--method laplacian,guided", "enfuse is a program of its own"),
]


def blocks(page: str) -> list[tuple[str, str]]:
    """(language, content) of the code blocks of a page, in their order."""
    return BLOCK.findall((ROOT / page).read_text("utf-8"))


def lines_of(content: str) -> Iterator[str]:
    """The commands of a block without a language, one a line."""
    for line in content.replace("\\\n", " ").splitlines():
        for part in line.partition(" # ")[0].split("&&"):
            if part.strip():
                yield part.strip()


def is_ours(command: str) -> bool:
    return command.startswith("fusiongcn ")


def test_every_line_is_run_or_has_a_reason_not_to() -> None:
    lines = [line for page in PAGES for language, content in blocks(page) if not language for line in lines_of(content)]
    pictures = [line for line in lines if re.match(r"^(file ─|[│├└])", line)]  # diagrams
    strange = [line for line in lines if not is_ours(line) and not line.startswith(tuple(ELSEWHERE))]
    assert [line for line in strange if line not in pictures] == []
    assert {language for page in PAGES for language, _ in blocks(page)} <= {"", "python", "json", "text"}
    assert sum(map(is_ours, lines)) > 30


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with all the files that are named on the pages."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    shutil.copytree(ROOT / "docs" / "example", tmp_path / "docs" / "example")
    near, far = (read_image(f"docs/example/{name}.jpg")[60:220, 200:400] for name in ("near", "far"))
    for name, picture in (("near", near), ("far", far)):
        write_image(f"{name}.jpg", picture)
        write_image(f"{name}.tif", picture.astype(np.uint16) * 257)
        bayer_dng(tmp_path / f"{name}.dng", cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.uint16) * 16, 1)
    for number, picture in enumerate((near, far, near), start=1):
        write_image(f"{number}.jpg", picture)
        (tmp_path / "my-stacks" / "one").mkdir(parents=True, exist_ok=True)
        write_image(f"my-stacks/one/{number}.jpg", picture)
    write_image("all-in-focus.png", near)
    for root in ("my-pairs", "lytro", "others"):
        for number in range(4):
            seed = number + 10 * len(root)
            made = synthetic_pair(160, 160, seed)
            truth = np.clip(synthetic_photo(160, 160, seed), 0, 255).astype(np.uint8)
            for side, picture in zip(("a", "b", "truth"), (*made, truth), strict=True):
                (tmp_path / root / side).mkdir(parents=True, exist_ok=True)
                write_image(f"{root}/{side}/{number}.png", picture)
    for part in ("train", "val"):
        (tmp_path / "photos" / part).mkdir(parents=True)
        for number in range(2):
            picture = np.clip(synthetic_photo(160, 160, 40 + number + len(part)), 0, 255).astype(np.uint8)
            write_image(f"photos/{part}/{number}.png", picture)
    shutil.copy(ROOT / "docs" / "models" / "fusiongcn-lite" / "weights.pt", "fusiongcn.ckpt")  # small, and of our own
    return tmp_path


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in for picamera2 that the tests of ``fusiongcn capture`` use."""
    scene = np.clip(synthetic_photo(160, 160, 5), 0, 255).astype(np.uint8)
    module = types.ModuleType("picamera2")
    stand_in = type("Picamera2", (Picamera2,), {"opened": [], "scene": made_stack(scene, 3, seed=3)[0]})
    module.Picamera2 = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)


def changed(command: str) -> str:
    """A command as it is run here."""
    for pattern, replacement, _ in OTHERWISE:
        command = re.sub(pattern, replacement, command)
    return command + "".join(more for pattern, more, _ in SMALLER if re.search(pattern, command))


def run(command: str) -> int:
    words = [path for word in shlex.split(command) for path in (sorted(glob.glob(word)) or [word])]
    return main(words[1:])


@pytest.mark.slow
@pytest.mark.export
@pytest.mark.usefixtures("folder", "camera")
@pytest.mark.parametrize("page", PAGES, ids=[Path(page).stem for page in PAGES])
def test_what_a_page_says_can_be_typed(
    page: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "keep_freed_memory", lambda: None)  # it would start this process again
    names: dict[str, object] = {}  # what a page has defined further up
    for language, content in blocks(page):
        if language == "python":
            exec(compile(content, page, "exec"), names)
        elif language == "json":
            json.loads(content)
        for command in lines_of(content) if not language else ():
            if is_ours(command):
                if ".heic" in command:
                    made_heic()
                capfd.readouterr()
                assert run(changed(command)) == 0, (command, capfd.readouterr())


def made_heic() -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif, of the extra heic, is not installed")
    for name in ("near", "far"):
        picture = np.ascontiguousarray(read_image(f"{name}.jpg")[:, :, ::-1])
        heif.from_bytes("RGB", picture.shape[1::-1], picture.tobytes()).save(f"{name}.heic", quality=90)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_help_are_understood(
    command: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    examples = [line.strip() for line in capfd.readouterr().out.splitlines() if line.startswith("  fusiongcn ")]
    assert examples or command in ("info", "scenes")
    for example in examples:
        name = shlex.split(example)[1]
        module = COMMANDS[name][0]
        __import__(module)
        monkeypatch.setattr(sys.modules[module], f"run_{name}", lambda arguments: 0)
        assert main(shlex.split(example)[1:]) == 0, example


def test_links_lead_somewhere() -> None:
    more = sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*/*.md"))
    for page in [*PAGES, *more, "CONTRIBUTING.md", "ARCHITECTURE.md"]:
        for target, heading in LINK.findall((ROOT / page).read_text("utf-8")):
            if target.startswith("http"):
                continue
            path = (ROOT / page).parent / target if target else ROOT / page
            assert path.exists(), (page, target)
            if heading:
                titles = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
                anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
                assert heading in anchors, (page, target, heading)


def test_the_page_on_bundles_names_every_field() -> None:
    page, contract = ((ROOT / name).read_text("utf-8") for name in ("docs/bundle.md", "runtime/bundle/FORMAT.md"))
    for path in sorted((ROOT / "runtime" / "bundles").glob("*/*/bundle.json")):
        manifest = json.loads(path.read_text("utf-8"))
        inner = [name for part in ("preprocessing", "decision") for name in manifest[part]]
        inner += [name for part in ("guide", "superpixels") for name in manifest["preprocessing"].get(part, {})]
        for field in [*manifest, *inner, *next(iter(manifest["graphs"].values()))]:
            assert f"`{field}`" in page, (path, field)
            assert field in contract, (path, field)
    assert f"its own format, {FORMAT} " in page
    assert f"## Format {FORMAT}" in contract
