"""The device that is measured on: what it is, and whether it ran undisturbed.

Every function takes ``root``, the folder below which ``/sys`` and ``/proc`` are read, so that tests can make them up.
What a system does not tell is None or empty.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path("/")
LIBRARIES = ("fusiongcn-edge", "numpy", "opencv-python-headless", "onnxruntime", "ai-edge-litert", "tflite-runtime")
BUSY = 0.5  # of a core, by other programs, for each core: more makes a run invalid
CLOCK_FALL = 0.85  # of the fastest clock seen: less makes a run invalid
NOW_THROTTLED, ONCE_THROTTLED = 0xF, 0xF0000  # bits of vcgencmd get_throttled: now, and since the start of the system


def read(path: Path) -> str:
    """A file's text without blanks around it; empty if it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "replace").strip("\0 \t\n")
    except OSError:
        return ""


def vcgencmd(*arguments: str) -> str:
    """What a Raspberry Pi's firmware answers; empty where there is none."""
    if shutil.which("vcgencmd") is None:
        return ""
    try:
        done = subprocess.run(["vcgencmd", *arguments], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def facts(root: Path = ROOT) -> dict[str, Any]:
    """What the device is."""
    machine, model = platform.machine(), read(root / "proc/device-tree/model")
    release = dict(line.split("=", 1) for line in read(root / "etc/os-release").splitlines() if "=" in line)
    if not model:
        model = "x86 host" if machine in ("x86_64", "AMD64", "i686") else f"{machine} host"
    return {
        "model": model,
        "cpu": _cpu(root) or platform.processor() or machine,
        "machine": machine,
        "cores": os.cpu_count() or 1,
        "memory_bytes": _memory(root),
        "governor": governor(root),
        "highest_mhz": _highest_mhz(root),
        "os": release.get("PRETTY_NAME", platform.system()).strip('"'),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "libraries": {name: version for name in LIBRARIES if (version := _version(name)) is not None},
    }


def _cpu(root: Path) -> str:
    lines = [line.partition(":") for line in read(root / "proc/cpuinfo").splitlines()]
    told = {key.strip(): value.strip() for key, _, value in reversed(lines)}
    return told.get("model name") or told.get("Model") or told.get("Hardware") or ""


def _memory(root: Path) -> int | None:
    for line in read(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def governor(root: Path = ROOT) -> str | None:
    """How the first core's clock is chosen: ``performance``, ``ondemand`` …"""
    return read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None


def _megahertz(root: Path, file: str) -> list[float]:
    found = sorted((root / "sys/devices/system/cpu").glob(f"cpu[0-9]*/cpufreq/{file}"))
    return [int(text) / 1000 for text in map(read, found) if text.isdigit()]


def _highest_mhz(root: Path) -> float | None:
    return max(_megahertz(root, "cpuinfo_max_freq"), default=None)


def clock(root: Path = ROOT) -> float | None:
    """MHz of the fastest core at this moment."""
    return max(_megahertz(root, "scaling_cur_freq"), default=None)


def condition(root: Path = ROOT) -> dict[str, Any]:
    """How the device is doing at this moment."""
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    counts = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    firmware = vcgencmd("get_throttled").partition("=")[2]
    load = read(root / "proc/loadavg").split()
    return {
        "load_average": float(load[0]) if load else None,
        "celsius": {
            f"{zone.name} {read(zone / 'type')}".strip(): int(text) / 1000
            for zone in zones
            if (text := read(zone / "temp")).lstrip("-").isdigit()
        },
        "mhz": clock(root),
        "allowed_mhz": max(_megahertz(root, "scaling_max_freq"), default=None),
        "governor": governor(root),
        "throttled": int(firmware, 16) if firmware.startswith("0x") else None,
        "throttle_count": sum(int(text) for text in map(read, counts) if text.isdigit()) if counts else None,
        "busy_seconds": _busy_seconds(root),
        "own_seconds": sum(os.times()[:4]),
    }


def _busy_seconds(root: Path) -> float | None:
    """CPU seconds that all cores have worked since the start of the system."""
    columns = read(root / "proc/stat").partition("\n")[0].split()[1:]
    if len(columns) < 8:
        return None
    user, nice, system, _, _, irq, soft, steal = map(int, columns[:8])
    return (user + nice + system + irq + soft + steal) / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)


def disturbances(before: dict[str, Any], after: dict[str, Any], seconds: float, cores: int) -> list[str]:
    """Why what was measured between two conditions is not to be trusted; empty if it is."""
    found = []
    load = before["load_average"]
    if load is not None and load > BUSY * cores:
        found.append(f"the machine was busy before: load average {load:.2f} on {cores} cores")
    if before["busy_seconds"] is not None and after["busy_seconds"] is not None and seconds > 0:
        others = after["busy_seconds"] - before["busy_seconds"] - (after["own_seconds"] - before["own_seconds"])
        if others / seconds > BUSY * cores:
            found.append(f"other programs kept {others / seconds:.1f} of {cores} cores busy meanwhile")
    bits, earlier = after["throttled"], before["throttled"]
    if bits is not None and earlier is not None:
        if (bits | earlier) & NOW_THROTTLED:
            found.append(f"the firmware throttles or lacks voltage (get_throttled={bits | earlier:#x})")
        elif bits & ~earlier & ONCE_THROTTLED:
            found.append(f"the firmware throttled meanwhile (get_throttled={bits:#x})")
    if None not in (before["throttle_count"], after["throttle_count"]):
        times = after["throttle_count"] - before["throttle_count"]
        if times > 0:
            found.append(f"the processor throttled {times} times meanwhile")
    if None not in (before["allowed_mhz"], after["allowed_mhz"]) and after["allowed_mhz"] < before["allowed_mhz"]:
        found.append(f"the highest clock fell from {before['allowed_mhz']:.0f} to {after['allowed_mhz']:.0f} MHz")
    return found


def clock_fell(mhz: list[float]) -> str | None:
    """Why clocks, read after each run in turn, do not fit together; None if they do."""
    tail = sorted(mhz[-max(1, len(mhz) // 5) :])
    if mhz and tail[len(tail) // 2] < CLOCK_FALL * max(mhz):
        return f"the clock fell from {max(mhz):.0f} to {tail[len(tail) // 2]:.0f} MHz"
    return None
