"""Jobs for worker processes, which import them by name."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from fusiongcn_edge.runtime import FusionError


def begin(kind: str) -> Any:
    if kind == "refusing":
        raise FusionError("It is not to be.")
    if kind == "poor":
        raise MemoryError
    return partial(work, kind)


def work(kind: str, job: int) -> int:
    if job == 1 and kind == "dying":
        os._exit(1)
    if job == 1 and kind == "raising":
        raise FusionError("Job 1 is impossible.")
    if job == 1 and kind == "faulty":
        raise ValueError("a fault")
    return job * 10
