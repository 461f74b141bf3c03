"""Count the instructions that an emulated Cortex-A72 executes for each stage, and hold them against the stored counts.

    python -m fusiongcn_edge.benchmarks.arm.instruction_counts [--model NAME …] [--store REASON]

One thread fuses the parts of the example photographs that the device tests use, with libraries of fixed versions
(the userland ``arm64-counted``). A stage that takes over 2 % more than is stored is counted twice more, and the least
is taken; exit code 1 if that is still too much. ``--store`` makes what was counted the new measure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fusiongcn_edge.benchmarks.arm.example_pair import MODELS, write_part, write_whole
from fusiongcn_edge.benchmarks.arm.sysroot import KINDS, python_command, run
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime.engines.base import ENGINES
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.fuser import STAGES
from fusiongcn_edge.runtime.io.files import check_folder, write_files

KIND, CPU = "arm64-counted", "cortex-a72"
PROGRAM = Path(__file__).with_name("instrumented_run.py")  # a file, for the sysroot has only the wheel
STORED = Path(__file__).with_name("instruction_counts.json")
MOST_GROWTH = 0.02
RECOUNTS = 2
Counts = dict[str, dict[str, int]]  # "model engine" -> stage -> instructions


@dataclass(frozen=True)
class Block:
    """A run of instructions without a jump into it, and how often it was executed."""

    stage: str
    executed: int
    code: bytes

    @property
    def instructions(self) -> int:
        """All that were executed."""
        return self.executed * len(self.code) // 4


@contextmanager
def plugin() -> Iterator[Path]:
    """The emulator's plugin, compiled."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "blocks.so"
        run("gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(Path(__file__).with_name("qemu_plugin.c")))
        yield library


def executed_blocks(
    library: Path, model: str, engine: str, cpu: str = CPU, whole: tuple[int, str] | None = None
) -> list[Block]:
    """List what a fusion executes, from superpixels to decision, on an emulated CPU.

    Parameters
    ----------
    library : Path
        The :func:`plugin`.
    model : str
        A shipped model or a bundle; or a TFLite file, all of which is the stage cnn.
    engine, cpu : str
    whole : (int, str), optional
        Side in pixels and stage to end before (``-``: none): the second fusion of the whole pair, in place of the
        first of a part.

    Raises
    ------
    FusionError
        If the program fails in the sysroot.
    """
    output = library.with_name(f"{Path(model).stem}-{engine}-{cpu}.txt")
    options = ["-plugin", f"{library},output={output}", "-E", "PYTHONHASHSEED=0"]
    command = python_command(KIND, cpu, emulator_arguments=options)
    with tempfile.TemporaryDirectory(dir=library.parent) as name:
        if model.endswith(".tflite"):
            arguments = [model]
        elif whole is None:
            arguments = [model, engine, *write_part(model, Path(name))]
        else:
            side, end = whole
            arguments = [model, engine, *write_whole(side, Path(name)), end]
        done = subprocess.run(
            ["setarch", "--addr-no-randomize", *command, str(PROGRAM), *arguments], capture_output=True, text=True
        )
    if done.returncode != 0:
        raise FusionError(f"{model} on {engine} could not be counted", found=done.stderr[-2000:].strip())
    found = []
    for line in output.read_text().splitlines():
        stage, executed, code = line.split()
        found.append(Block(STAGES[int(stage)], int(executed), bytes.fromhex(code)))
    return found


def instructions(blocks: list[Block]) -> dict[str, int]:
    """Instructions of each stage."""
    return {stage: sum(block.instructions for block in blocks if block.stage == stage) for stage in STAGES}


def growth(counted: Counts, stored: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What takes more than it may, a sentence each; what is not stored is new, and said as well."""
    found = []
    for name, stages in counted.items():
        for stage, count in stages.items():
            before = stored.get(name, {}).get(stage)
            if before is None:
                found.append(f"{name}, {stage}: no count is stored.")
            elif count > before * (1 + MOST_GROWTH):
                found.append(
                    f"{name}, {stage}: {count:,} instructions, {count / before - 1:+.1%} of {before:,} stored."
                )
    return found


def count(library: Path, model: str, engine: str, stored: Mapping[str, Mapping[str, int]]) -> Counts:
    """Count, and again if it seems too much: the least of each stage."""
    name = f"{model} {engine}"
    found = {name: instructions(executed_blocks(library, model, engine))}
    for _ in range(RECOUNTS):
        if not stored or not growth(found, stored):
            break
        again = instructions(executed_blocks(library, model, engine))
        found = {name: {stage: min(found[name][stage], again[stage]) for stage in STAGES}}
    return found


def main() -> int:
    """Count, print, compare or store."""
    parser = new_parser("arm.instruction_counts", __doc__)
    parser.add_argument("--model", action="append", choices=MODELS, help="once for each (default: all)")
    parser.add_argument("--store", metavar="REASON", help="store what is counted, and why it may be more or is new")
    arguments = parser.parse_args()
    grown: list[str] = []

    def body() -> None:
        if arguments.store:
            check_folder(STORED)
        before: Counts = json.loads(STORED.read_text("utf-8"))["instructions"] if STORED.exists() else {}
        counted: Counts = {}
        with plugin() as library:
            stored: Counts = {} if arguments.store else before
            jobs = [(model, engine) for model in arguments.model or MODELS for engine in ENGINES]
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for found in pool.map(lambda job: count(library, job[0], job[1], stored), jobs):
                    for name, stages in found.items():
                        parts = ", ".join(f"{stage} {number / 1e6:.2f}" for stage, number in stages.items())
                        print(f"{name}: {parts} million instructions", flush=True)
                    counted |= found
        if arguments.store:
            kept = {
                "reason": arguments.store,
                "cpu": CPU,
                "wheels": [wheel for wheel in KINDS[KIND].wheels if "==" in wheel],
                "instructions": before | counted,
            }
            write_files({str(STORED): (json.dumps(kept, indent=1) + "\n").encode()})
        else:
            grown.extend(growth(counted, before))
            for sentence in grown:
                print(sentence, file=sys.stderr)
            if grown:
                print("Make it cheaper, or store the counts with the reason: --store REASON.", file=sys.stderr)

    return exit_code(body) or (1 if grown else 0)


if __name__ == "__main__":
    sys.exit(main())
