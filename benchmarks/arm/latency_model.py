"""Estimate, without a board, how long boards take for a pair of 520x520: a bound and a band. No measurement.

    python -m fusiongcn_edge.benchmarks.arm.latency_model [--model NAME …] [--engine ENGINE …] [-o FILE.json]
    python -m fusiongcn_edge.benchmarks.arm.latency_model --validate

The model: emulated CPUs tell which blocks of code a fusion executes, and how often; llvm-mca tells for how many cycles
each occupies that core at least, with every load from the nearest cache. Lite is counted as it fuses the whole pair for
the second time, as are the published network's superpixels and graph; its CNN and GCN as they serve a small part,
scaled by the MACs that the runtime executes. The CNN is shared by all cores, the rest runs on one. What goes between
the graphs is moved once through memory, at the speed of a copy; the CNN takes the longer of both. That is the bound;
the band is 1.4 to 3.5 times as much. ``--validate`` does the same for MobileNetV1, whose times on boards are published:
they are 3.0 and 3.2 times the bound.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fusiongcn_edge import __version__
from fusiongcn_edge.benchmarks.arm.example_pair import MODELS, part_size
from fusiongcn_edge.benchmarks.arm.instruction_counts import Block, executed_blocks, plugin
from fusiongcn_edge.benchmarks.cost.count import cost_of_bundle
from fusiongcn_edge.benchmarks.report.schema import ESTIMATE_KIND, ESTIMATE_SCHEMA
from fusiongcn_edge.benchmarks.report.tables import estimate_text
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.bundle.manifest import LITE, Bundle
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.engines.base import ENGINES
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.files import check_folder, write_files
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair

METHOD = (
    "Not measured: instructions as executed under emulation, the least cycles that they occupy the core for (of the "
    "published network's CNN on a part of a pair, scaled to the whole); the CNN on all cores, the rest on one; what "
    "goes between graphs at a board's published speed of copying. No cache misses, no waiting, no heat: hence the band "
    "in brackets. MobileNetV1's published times are 3.0 and 3.2 times its bound, so expect times near the upper edge."
)
SIZE = 520
BAND = 1.4, 3.5  # of the bound; see --validate
COVERED = 0.99  # of a stage's instructions are looked at; the rest takes as long for each as these do
FEATURES = "-mattr=+v8.2a,+dotprod,+fullfp16"
UNKNOWN = "-skip-unsupported-instructions=lack-sched"  # to the model of a core: they cost nothing


@dataclass(frozen=True)
class Board:
    """A board: the core that is emulated, the one whose model llvm-mca has, and published figures."""

    name: str
    emulated: str
    modelled: str
    ghz: float
    cores: int
    gigabytes: float  # copied per second


BOARDS = (
    Board("Zero 2 W", "cortex-a53", "cortex-a53", 1.0, 4, 1.3),
    Board("Pi 3B+", "cortex-a53", "cortex-a53", 1.4, 4, 1.1),
    Board("Pi 4", "cortex-a72", "cortex-a72", 1.5, 4, 2.5),
    Board("Pi 5", "cortex-a76", "neoverse-n1", 2.4, 4, 5.2),
    Board("Orin Nano, CPU", "cortex-a76", "neoverse-n1", 1.5, 6, 68.0),
)
# seconds of MobileNetV1 1.0 in float32 on all cores, from XNNPACK's README (8 February 2022); the first in 32 bits
PUBLISHED = {"Pi 3B+": 0.114, "Pi 4": 0.077}


def cycles(blocks: Sequence[Block], core: str) -> dict[str, float]:
    """Cycles of each stage on a core, if every load hits the nearest cache."""
    stages: dict[str, list[Block]] = defaultdict(list)
    for block in blocks:
        stages[block.stage].append(block)
    looked_at = {stage: _most_executed(own) for stage, own in stages.items()}
    per_run = block_cycles({block.code for own in looked_at.values() for block in own}, core)
    found = {}
    for stage, own in looked_at.items():
        seen = sum(block.instructions for block in own)
        everything = sum(block.instructions for block in stages[stage])
        found[stage] = sum(block.executed * per_run[block.code] for block in own) * everything / seen
    return found


def _most_executed(blocks: list[Block]) -> list[Block]:
    most = sorted(blocks, key=lambda block: -block.instructions)
    total, seen, found = sum(block.instructions for block in blocks), 0, []
    for block in most:
        if seen >= COVERED * total:
            break
        found.append(block)
        seen += block.instructions
    return found


def block_cycles(codes: Iterable[bytes], core: str) -> dict[bytes, float]:
    """Least cycles of one execution of each block, by the units of the core that its instructions occupy."""
    ordered = sorted(codes)
    instructions = iter(_disassembled(b"".join(ordered)))
    text = []
    for number, code in enumerate(ordered):
        text += [f"# LLVM-MCA-BEGIN {number}", *islice(instructions, len(code) // 4), "# LLVM-MCA-END"]
    options = ["-mtriple=aarch64", FEATURES, f"-mcpu={core}", UNKNOWN]
    said = _llvm("llvm-mca", options, "\n".join(text) + "\n")
    found = [float(number) for number in re.findall(r"Block RThroughput:\s+([\d.]+)", said)]
    return dict(zip(ordered, found, strict=True))


def _disassembled(code: bytes) -> list[str]:
    """Each instruction; a jump, which llvm-mca may take for a call, becomes one that does nothing."""
    text = " ".join(f"0x{byte:02x}" for byte in code) + "\n"
    listing = _llvm("llvm-mc", ["--disassemble", "-triple=aarch64", FEATURES], text)
    lines = [line.strip() for line in listing.splitlines() if line.strip() != ".text"]
    return ["nop" if re.match(r"(b|bl|blr|br|ret|svc)\b", line) else line for line in lines]


def _llvm(tool: str, options: Sequence[str], text: str) -> str:
    try:
        done = subprocess.run([f"{tool}-19", *options], input=text, capture_output=True, text=True)
    except FileNotFoundError:
        raise FusionError("LLVM's tools are needed", fix="apt-get install llvm-19") from None
    if done.returncode != 0:
        raise FusionError(f"{tool} does not understand what was executed", fix=f"{done.stderr.strip().splitlines()[0]}")
    return done.stdout


def scales(bundle: Bundle, height: int, width: int) -> dict[str, float]:
    """How many times the work of a part of this size a pair of 520x520 takes, by stage."""

    def macs(rows: int, columns: int, gcn: bool) -> int:
        layers = cost_of_bundle(bundle, rows, columns).layers
        return sum(layer.macs for layer in layers if layer.graph.startswith("gcn") == gcn)

    found = {"decision": SIZE * SIZE / (height * width)}
    for stage in ("gcn", "cnn"):
        found[stage] = macs(SIZE, SIZE, stage == "gcn") / macs(height, width, stage == "gcn")
    return found


def moved_bytes(bundle: Bundle) -> int:
    """What goes between graphs for a pair of 520x520, written and read; their weights are read once."""
    given: list[int] = []
    fuser = Fuser(bundle, threads=1, watch=lambda graph, inputs: given.append(sum(a.nbytes for a in inputs.values())))
    fuser.fuse(*synthetic_pair(SIZE, SIZE))
    return 2 * sum(given) + sum(map(len, bundle.files.values()))


def bound(used: dict[str, float], moved: int, board: Board) -> float:
    """Seconds that a board takes at least, from the cycles of each stage and the bytes between the CNN's graphs."""
    seconds = {stage: number / (board.ghz * 1e9) for stage, number in used.items()}
    seconds["cnn"] = max(seconds["cnn"] / board.cores, moved / (board.gigabytes * 1e9))
    return sum(seconds.values())


def spent(library: Path, bundle: Bundle, model: str, engine: str, board: Board) -> dict[str, float]:
    """Cycles of each stage for a pair of 520x520 on a board's core.

    What one can wait for under emulation is counted whole, of a second fusion: all of Lite, and the published network's
    superpixels and graph. Its other stages are scaled from a part.
    """
    end = "-" if bundle.network == LITE else "gcn"
    found = cycles(executed_blocks(library, model, engine, board.emulated, (SIZE, end)), board.modelled)
    if end != "-":
        scale = scales(bundle, *part_size(model))
        part = cycles(executed_blocks(library, model, engine, board.emulated), board.modelled)
        found |= {stage: number * scale[stage] for stage, number in part.items() if stage in scale}
    return found


def estimate(library: Path, model: str, engine: str) -> dict[str, float]:
    """The bound in seconds on each board."""
    bundle = load_bundle(model, [engine])
    moved = moved_bytes(bundle)
    found, known = {}, dict[str, dict[str, float]]()
    for board in BOARDS:
        if board.modelled not in known:
            known[board.modelled] = spent(library, bundle, model, engine, board)
        found[board.name] = bound(known[board.modelled], moved, board)
    return found


def validate(library: Path) -> None:
    """Print the bound of MobileNetV1 beside its published time."""
    from fusiongcn_edge.benchmarks.arm.mobilenet_v1 import write_mobilenet

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mobilenet.tflite"
        moved = write_mobilenet(file)
        for board in BOARDS:
            if board.name in PUBLISHED:
                blocks = executed_blocks(library, str(file), "litert", board.emulated)
                found, published = bound(cycles(blocks, board.modelled), moved, board), PUBLISHED[board.name]
                print(
                    f"MobileNetV1 on {board.name}: {estimate_text(found, BAND)} s estimated, {published} s published, "
                    f"{published / found:.2f} times the bound"
                )


def main() -> int:
    """Estimate and print, or validate."""
    parser = new_parser("arm.latency_model", __doc__)
    parser.add_argument("--model", action="append", choices=MODELS, help="once for each (default: all)")
    parser.add_argument("--engine", action="append", choices=list(ENGINES), help="once for each (default: both)")
    parser.add_argument("--validate", action="store_true", help="MobileNetV1 against its published time")
    parser.add_argument("-o", "--output", metavar="FILE", help="write JSON, for 'fusiongcn report'")
    arguments = parser.parse_args()

    def body() -> None:
        if arguments.output:
            check_folder(arguments.output)
        with plugin() as library:
            if arguments.validate:
                return validate(library)
            names = [board.name for board in BOARDS]
            print(f"| estimated seconds per pair | {' | '.join(names)} |\n{'|---' * (len(names) + 1)}|", flush=True)
            models = []
            for model in arguments.model or MODELS:
                for engine in arguments.engine or ENGINES:
                    found = estimate(library, model, engine)
                    models.append({"model": model, "engine": engine, "seconds": found})
                    told = [estimate_text(found[name], BAND) for name in names]
                    print(f"| {model}, {engine} | {' | '.join(told)} |", flush=True)
        if arguments.output:
            facts = {
                "kind": ESTIMATE_KIND,
                "schema": ESTIMATE_SCHEMA,
                "version": __version__,
                "size": [SIZE, SIZE],
                "boards": names,
            }
            facts |= {"band": list(BAND), "method": METHOD, "models": models}
            write_files({arguments.output: (json.dumps(facts, indent=1) + "\n").encode()})

    return exit_code(body)


if __name__ == "__main__":
    sys.exit(main())
