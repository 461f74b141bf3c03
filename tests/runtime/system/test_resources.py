"""What the machine offers, read from made-up systems."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest

from fusiongcn_edge.runtime.system import resources
from fusiongcn_edge.runtime.system.resources import default_threads, free_memory, peak_memory, resident_memory


def make_cpus(folder: Path, cores: list[tuple[str, int]]) -> Path:
    """CPUs with (siblings, capacity)."""
    for number, (siblings, capacity) in enumerate(cores):
        (folder / f"cpu{number}" / "topology").mkdir(parents=True)
        (folder / f"cpu{number}" / "topology" / "thread_siblings_list").write_text(f"{siblings}\n")
        if capacity:
            (folder / f"cpu{number}" / "cpu_capacity").write_text(f"{capacity}\n")
    return folder


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        ([("0", 0)], 1),
        ([(str(i), 1024) for i in range(4)], 4),  # a Raspberry Pi
        ([("0-1", 0), ("0-1", 0), ("2-3", 0), ("2-3", 0)], 2),  # hyper-threads
        ([(str(i), 250 if i < 4 else 1024) for i in range(6)], 2),  # big.LITTLE
        ([(str(i), 1024) for i in range(6)], 6),
    ],
    ids=["one", "four", "hyper-threads", "big.LITTLE", "six"],
)
def test_threads_are_the_fast_physical_cores(
    cores: list[tuple[str, int]], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(len(cores))), raising=False)
    assert default_threads(make_cpus(tmp_path / "cpu", cores)) == expected


def test_a_containers_share_and_the_processs_own_cores_bound_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpus = make_cpus(tmp_path / "cpus", [(str(i), 0) for i in range(8)])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 4, 5}, raising=False)
    monkeypatch.setattr(resources, "CGROUPS", tmp_path)
    monkeypatch.setattr(resources, "OWN_CGROUPS", tmp_path / "cgroup")
    service = tmp_path / "system.slice" / "fusion.service"
    service.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/system.slice/fusion.service\n")
    for text, expected in (("max 100000", 6), ("200000 100000", 2), ("50000 100000", 1)):
        (tmp_path / "cpu.max").write_text(text)
        assert default_threads(cpus) == expected
    (tmp_path / "cpu.max").write_text("400000 100000")
    (service / "cpu.max").write_text("300000 100000")
    assert default_threads(cpus) == 3

    (tmp_path / "cgroup").write_text("7:cpuacct,cpu:/box\n0::/elsewhere\n")  # the first version of control groups
    box = tmp_path / "cpu" / "box"
    box.mkdir(parents=True)
    for share, expected in (("-1", 4), ("200000", 2)):
        (box / "cpu.cfs_quota_us").write_text(share)
        (box / "cpu.cfs_period_us").write_text("100000")
        assert default_threads(cpus) == expected


def test_a_system_that_tells_nothing_counts_its_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert default_threads(tmp_path) == 3


def test_free_memory_is_what_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 1000 kB\nMemAvailable: 500 kB\n")
    monkeypatch.setattr(resources, "MEMORY", meminfo)
    monkeypatch.setattr(resources, "CGROUPS", tmp_path)
    assert free_memory() == int(500 * 1024 * resources.FREE_SHARE)
    (tmp_path / "memory.max").write_text("300000\n")
    (tmp_path / "memory.current").write_text("100000\n")
    assert free_memory() == int(200_000 * resources.FREE_SHARE)
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() == int(500 * 1024 * resources.FREE_SHARE)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_free_memory_is_bounded_by_the_processs_own_limit() -> None:
    code = (
        "import resource; from fusiongcn_edge.runtime.system.resources import free_memory, resident_memory;"
        "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); print(free_memory(), resident_memory())"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    free, resident = map(int, output.split())
    assert 0 < free < 2**31
    assert 10e6 < resident < 2**31


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_peak_memory_is_known_with_little_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert peak_memory() >= 0.99 * resident_memory() > 0  # the two are not counted at the same moment
    monkeypatch.setattr(resources, "OWN_STATUS", tmp_path / "none")
    assert peak_memory() > 10e6
    monkeypatch.setattr(resources, "resource", None)  # as on Windows
    assert peak_memory() == 0


def test_resident_memory_grows_with_what_is_held() -> None:
    with mmap(-1, 40_000_000) as held:  # an array may lie in memory that was kept from earlier ones
        before = resident_memory()
        np.frombuffer(held, np.uint8)[:] = 1
        assert resident_memory() - before > 35e6


@pytest.mark.parametrize("asked", [True, False])
def test_memory_that_is_not_needed_goes_back_if_that_is_asked_for(asked: bool) -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc keeps memory this way and can be told not to")
    code = f"""
import ctypes
from fusiongcn_edge.runtime.cli.process import configure_malloc
from fusiongcn_edge.runtime.system.resources import resident_memory
if {asked}:
    configure_malloc()
library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
library.free(library.malloc(30_000_000))  # glibc learns that blocks of this size come and go
block, above = library.malloc(25_000_000), library.malloc(100_000)
before = resident_memory()
ctypes.memset(block, 1, 25_000_000)
library.free(block)
print(resident_memory() - before)
"""
    kept = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert (kept < 5_000_000) == asked
