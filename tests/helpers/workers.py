"""Cores of its own for each of pytest-xdist's workers; to be imported before the libraries that count cores.

Engines take a thread for each core: two workers with two threads each spend two fifths of the time waiting.
"""

from __future__ import annotations

import os


def cores_of(worker: int, workers: int, cores: list[int]) -> list[int]:
    """A worker's share of the cores; all of them where there are fewer than workers."""
    return cores[worker::workers] or cores


_worker = os.environ.get("PYTEST_XDIST_WORKER", "")  # gw0, gw1, ...
if _worker.startswith("gw") and hasattr(os, "sched_setaffinity"):
    _workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.sched_setaffinity(0, cores_of(int(_worker[2:]), _workers, sorted(os.sched_getaffinity(0))))
