"""Fuse a pair, and mark for the emulator's plugin where each stage begins; started by ``instruction_counts``.

    python benchmarks/arm/instrumented_run.py MODEL ENGINE FIRST SECOND [END]
    python benchmarks/arm/instrumented_run.py FILE.tflite

Imports nothing of the project but what the wheel holds: it runs in a sysroot, as a file of the checkout. With END the
pair is fused twice, both times until the stage of that name begins (``-``: to the end), and the second time counts. A
TFLite file is run twice likewise, as the stage cnn.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import Any

from numpy.typing import NDArray

from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.fuser import STAGES
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.types import OnStage

Image = NDArray[Any]
FIRST = 0x7F000000  # the plugin listens for the numbers from here on: no process has one


def begin(stage: int) -> None:
    """Mark that a stage begins: the plugin listens for this system call."""
    with suppress(ProcessLookupError):
        os.getpriority(os.PRIO_PROCESS, FIRST + stage)


def main() -> int:
    """Open, fuse, mark the stages."""
    if sys.argv[1].endswith(".tflite"):
        return _run_file(sys.argv[1])
    model, engine, first_file, second_file, *end = sys.argv[1:]
    fuser = Fuser.open(model, engine=engine, threads=1)
    gc.disable()
    first, second = read_image(first_file), read_image(second_file)
    if end:
        _fuse_until(end[0], fuser, first, second, lambda name: None)
        _fuse_until(end[0], fuser, first, second, lambda name: begin(STAGES.index(name)))
    else:
        fuser.fuse(first, second, progress=lambda name: begin(STAGES.index(name)))
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
