"""What this machine offers: cores worth computing on, and memory that is free."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]
CPUS = Path("/sys/devices/system/cpu")
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
MEMORY = Path("/proc/meminfo")
OWN_MEMORY = Path("/proc/self/statm")
OWN_STATUS = Path("/proc/self/status")
SLOW_CORE_RATIO = 0.6  # a core with less than this share of the fastest one's speed would only be waited for
FREE_SHARE = 0.8  # of the free memory may be used


def default_threads(cpus: Path = CPUS) -> int:
    """How many threads to compute with: the fast physical cores that this process may use.

    Where the system tells, the second hyper-thread of a core does not count, nor do small cores of a big.LITTLE chip,
    nor more than the share of processors that a container, or a service's own limit, has.
    """
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    speeds: dict[str, float] = {}  # fastest of each physical core
    for number in allowed:
        cpu = cpus / f"cpu{number}"
        core = _read(cpu / "topology" / "thread_siblings_list") or str(number)
        speed = _read(cpu / "cpu_capacity") or _read(cpu / "cpufreq" / "cpuinfo_max_freq") or "1"
        speeds[core] = max(speeds.get(core, 0.0), float(speed))
    fast = sum(speed >= SLOW_CORE_RATIO * max(speeds.values()) for speed in speeds.values())
    for version, folder in _control_groups("cpu"):
        if version == 2:
            share, _, period = _read(folder / "cpu.max").partition(" ")
        else:
            share, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if share.isdigit() and period.isdigit():  # "max" and -1 are no limit
            fast = min(fast, max(1, int(share) // max(1, int(period))))
    return max(1, fast)


def free_memory() -> int:
    """Bytes that this process may still take: what the system has free, or less if its container or limit leaves less.

    Known on Linux only; elsewhere as good as endless.
    """
    free = _left_by_control_groups()
    for line in _read(MEMORY).splitlines():
        if line.startswith("MemAvailable:"):
            free = min(free, int(line.split()[1]) * 1024)
    if resource is not None:
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            free = min(free, limit - _own_pages(0))
    return int(max(free, 0) * FREE_SHARE)


def _left_by_control_groups() -> int:
    """Bytes that a container, or a service's own limit, leaves this process."""
    free = 2**62
    for version, folder in _control_groups("memory"):
        if version == 2:
            most, now, cached = "memory.max", "memory.current", "inactive_file"
        else:
            most, now, cached = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        allowed, used = _read(folder / most), _read(folder / now)
        if allowed.isdigit() and used.isdigit():
            stat = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
            free = min(free, int(allowed) - int(used) + int(stat.get(cached, 0)))
    return free


def _control_groups(controller: str) -> Iterator[tuple[int, Path]]:
    """Folders of the control groups that bound this process, its own and all above it, each with the version (1, 2)."""
    for line in _read(OWN_CGROUPS).splitlines() or ["0::/"]:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            version, root = 2, CGROUPS
        elif controller in controllers.split(","):
            version, root = 1, CGROUPS / controller
        else:
            continue
        own = Path(path.lstrip("/"))
        for folder in (root / own, *(root / above for above in own.parents)):
            yield version, folder


def resident_memory() -> int:
    """Bytes of memory that this process holds now; 0 where the system does not tell."""
    return _own_pages(1)


def peak_memory() -> int:
    """The most bytes of memory that this process has held so far; 0 where the system does not tell."""
    _, told, rest = _read(OWN_STATUS).partition("VmHWM:")
    if told:  # the other figure is inherited from the process that started this one
        return int(rest.split()[0]) * 1024
    if resource is None:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _own_pages(column: int) -> int:
    columns = _read(OWN_MEMORY).split()
    return int(columns[column]) * resource.getpagesize() if columns and resource is not None else 0


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
