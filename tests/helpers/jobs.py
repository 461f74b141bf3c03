"""Jobs for worker processes, which import them by name."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

from fusiongcn_edge.runtime import FusionError


def init(kind: str) -> Any:
    if kind == "refusing":
        raise FusionError("It is not to be.")
    if kind == "poor":
        raise MemoryError
    return partial(work, kind)


def endless(folder: Path) -> None:
    """Never end; files say that it has begun and that it was asked to end."""
    (folder / f"begun {os.getpid()}").touch()
    try:
        time.sleep(600)
    finally:
        (folder / f"ended {os.getpid()}").touch()


def work(kind: str, job: int) -> int:
    if job == 1 and kind == "dying":
        os._exit(1)
    if job == 1 and kind == "raising":
        raise FusionError("Job 1 is impossible.")
    if job == 1 and kind == "faulty":
        raise ValueError("a fault")
    if job == 1 and Path(kind).is_absolute():
        endless(Path(kind))
    return job * 10
