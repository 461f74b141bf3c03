"""Instruction counts of stages: sums and the gate by hand, and a plugin that is really compiled."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from fusiongcn_edge.benchmarks.arm import compare_models, example_pair, footprint, instruction_counts, instrumented_run
from fusiongcn_edge.benchmarks.arm.example_pair import MODELS
from fusiongcn_edge.benchmarks.arm.instruction_counts import Block, growth
from fusiongcn_edge.benchmarks.arm.sysroot import KINDS, ROOT
from fusiongcn_edge.runtime.engines.base import ENGINES
from fusiongcn_edge.runtime.fuser import STAGES
from fusiongcn_edge.runtime.io.images import read_image
from helpers.paths import EXAMPLE

pytestmark = pytest.mark.arm

NOP = bytes.fromhex("1f2003d5")


def test_a_stage_that_takes_more_than_two_percent_more_is_told() -> None:
    stored = {"m onnx": {"gcn": 1000, "cnn": 1000}}
    assert growth({"m onnx": {"gcn": 1020, "cnn": 10}}, stored) == []
    (sentence,) = growth({"m onnx": {"gcn": 1021, "cnn": 1000}}, stored)
    assert sentence == "m onnx, gcn: 1,021 instructions, +2.1% of 1,000 stored."
    assert growth({"new onnx": {"gcn": 1}}, stored) == ["new onnx, gcn: no count is stored."]


def test_instructions_are_those_of_each_execution_of_a_block() -> None:
    blocks = [Block("gcn", 10, NOP * 3), Block("cnn", 2, NOP), Block("gcn", 1, NOP)]
    found = instruction_counts.instructions(blocks)
    assert found == {"superpixels": 0, "graph": 0, "gcn": 31, "cnn": 2, "decision": 0}


def test_what_seems_too_much_is_counted_again_and_the_least_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = iter([1050, 1019, 2000])
    monkeypatch.setattr(instruction_counts, "executed_blocks", lambda *_: [Block("cnn", next(runs), NOP)])
    stored = {"m onnx": dict.fromkeys(STAGES, 0) | {"cnn": 1000}}
    assert instruction_counts.count(Path(), "m", "onnx", stored)["m onnx"]["cnn"] == 1019
    assert next(runs) == 2000, "it was within the limit, and counted no more"


def test_every_shipped_model_has_stored_counts_of_the_pinned_libraries() -> None:
    stored = json.loads(instruction_counts.STORED.read_text("utf-8"))
    assert set(stored["instructions"]) == {f"{model} {engine}" for model in MODELS for engine in ENGINES}
    assert all(min(stages.values()) > 0 and set(stages) == set(STAGES) for stages in stored["instructions"].values())
    assert stored["wheels"] == [wheel for wheel in KINDS[instruction_counts.KIND].wheels if "==" in wheel]
    assert stored["reason"]


def test_the_plugin_compiles() -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    with instruction_counts.plugin() as library:
        assert library.read_bytes()[:4] == b"\x7fELF"


def test_the_plugin_and_the_counted_program_agree_on_the_first_number() -> None:
    assert f"FIRST = {instrumented_run.FIRST:#x}" in (ROOT / "benchmarks" / "arm" / "qemu_plugin.c").read_text()


def test_one_models_instructions_are_shares_of_anothers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def blocks(library: Path, model: str, engine: str, cpu: str, whole: tuple[int, str]) -> list[Block]:
        assert (engine, cpu, whole) == ("litert", "cortex-a76", (104, "-"))
        executed = 600 if model.endswith("int8") else 1000
        return [Block(stage, 1000 if stage != "cnn" else executed, NOP * 1000) for stage in STAGES]

    monkeypatch.setattr(compare_models, "executed_blocks", blocks)
    monkeypatch.setattr(compare_models, "plugin", lambda: nullcontext(Path()))
    monkeypatch.setattr(sys, "argv", ["compare_models", "fusiongcn-int8", "fusiongcn", "--side", "104"])
    assert compare_models.main() == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[4] == ["cnn", "0.6", "1.0", "60.0%"]
    assert lines[6] == ["all", "4.6", "5.0", "92.0%"]


def test_a_program_in_a_sysroot_is_given_the_part_of_its_model(tmp_path: Path) -> None:
    for model in MODELS:
        near, far = (read_image(file) for file in example_pair.write_part(model, tmp_path))
        assert near.shape[:2] == far.shape[:2] == example_pair.part_size(model)
        rows, columns = example_pair.PARTS[model.removesuffix("-int8")]
        np.testing.assert_array_equal(near, read_image(EXAMPLE / "near.jpg")[rows, columns])
    assert [read_image(file).shape for file in example_pair.write_whole(96, tmp_path)] == [(96, 96, 3)] * 2


IN_SYSROOT = [instruction_counts.PROGRAM, footprint.PROGRAM]


@pytest.mark.parametrize("program", IN_SYSROOT, ids=lambda path: path.name)
def test_what_runs_in_a_sysroot_imports_only_what_the_wheel_holds(program: Path) -> None:
    unshipped = ("fusiongcn_edge.benchmarks.arm", "fusiongcn_edge.benchmarks.experiments")
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{str(program)!r}]\n"
        f"runpy.run_path({str(program)!r}, run_name='program')\n"
        f"print([name for name in sys.modules if name.startswith({unshipped!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
