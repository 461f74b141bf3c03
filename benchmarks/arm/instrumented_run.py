"""Fuse the example pair's part once, telling the emulator's plugin where each stage begins; started by ``arm.counts``.

python -m fusiongcn_edge.benchmarks.arm.instrumented_run MODEL ENGINE PHOTOGRAPHS [SIDE END]

With SIDE the pair is the whole one, as a square of so many pixels a side; it is fused twice, the second time is what
counts, and both end before the stage END (``-``: at the end).
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.arm.reference_outputs import pair, whole_pair
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.fuser import STAGES
from fusiongcn_edge.runtime.types import OnStage

Image = NDArray[Any]
FIRST = 0x7F000000  # the plugin listens for the numbers from here on: no process has one


def begin(stage: int) -> None:
    """Tell that a stage begins."""
    with suppress(ProcessLookupError):
        os.getpriority(os.PRIO_PROCESS, FIRST + stage)


def main() -> int:
    """Open, fuse, tell."""
    model, engine, photographs, *whole = sys.argv[1:]
    if model.endswith(".tflite"):
        return _run_file(model)
    fuser = Fuser.open(model, engine=engine, threads=1)
    gc.disable()
    if whole:
        first, second = whole_pair(int(whole[0]), Path(photographs))
        _fuse_until(whole[1], fuser, first, second, lambda name: None)
        _fuse_until(whole[1], fuser, first, second, lambda name: begin(STAGES.index(name)))
    else:
        fuser.fuse(*pair(model, Path(photographs)), progress=lambda name: begin(STAGES.index(name)))
    begin(len(STAGES))
    return 0


class _End(Exception):
    pass


def _fuse_until(end: str, fuser: Fuser, first: Image, second: Image, progress: OnStage) -> None:
    def told(stage: str) -> None:
        if stage == end:
            raise _End
        progress(stage)

    with suppress(_End):
        fuser.fuse(first, second, progress=told)


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
