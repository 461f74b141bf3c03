"""Fuse the example pair's part once, telling the emulator's plugin where each stage begins; started by ``arm.counts``.

python -m fusiongcn_edge.benchmarks.arm.counted_run MODEL ENGINE PHOTOGRAPHS
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

from fusiongcn_edge.benchmarks.arm.observed import pair
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.fuser import STAGES

FIRST = 0x7F000000  # the plugin listens for the numbers from here on: no process has one


def begin(stage: int) -> None:
    """Tell that a stage begins."""
    with suppress(ProcessLookupError):
        os.getpriority(os.PRIO_PROCESS, FIRST + stage)


def main() -> int:
    """Open, fuse, tell."""
    model, engine, photographs = sys.argv[1:]
    if model.endswith(".tflite"):
        return _run_file(model)
    fuser = Fuser.open(model, engine=engine, threads=1)
    first, second = pair(model, Path(photographs))
    gc.disable()
    fuser.fuse(first, second, progress=lambda name: begin(STAGES.index(name)))
    begin(len(STAGES))
    return 0


def _run_file(file: str) -> int:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(file, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.invoke()
    begin(STAGES.index("cnn"))
    interpreter.invoke()
    begin(len(STAGES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
