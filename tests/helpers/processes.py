"""Commands in processes of their own, and how they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

FUSIONGCN = [sys.executable, "-m", "fusiongcn_edge"]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a few lines in an interpreter of their own."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def unfinished(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.part"))


def killed(command: list[str], share: float, whole: float) -> None:
    """Start a command and kill it and what it started once it has computed for this share of the processor seconds that
    it takes: on a busy machine, it is killed later, not less often.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while computed(process.pid) < share * whole and process.poll() is None:
        time.sleep(0.005)
    if process.poll() is None:
        for pid, _ in of_session(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    print(f"{ended(process)} at {share:.2f} of {whole:.2f} s of computing:", end=" ")


def killed_after_lines(command: list[str], lines: int, seconds: float) -> None:
    """Kill a command so long after it has printed so many lines; what it started ends by itself, and is waited for."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(lines):
        process.stdout.readline()
    time.sleep(seconds)
    process.kill()
    how = ended(process)
    process.stdout.read()  # until all that could write to it have gone
    process.stdout.close()
    print(f"{how} {seconds:.3f} s after line {lines}:", end=" ")


def ended(process: subprocess.Popen[Any]) -> str:
    return "killed" if process.wait() == -signal.SIGKILL else "had finished"


def of_session(session: int) -> Iterator[tuple[int, int]]:
    """All processes of a session, with the clock ticks that each has computed for."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                yield int(stat.parent.name), sum(map(int, fields[11:13]))


def computed(session: int) -> float:
    """Processor seconds of a session, of all processes that it has now."""
    return sum(ticks for _, ticks in of_session(session)) / os.sysconf("SC_CLK_TCK")


def seconds_of(command: list[str]) -> float:
    """Processor seconds of a command that nothing happens to, as :func:`computed` last saw them."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    spent = 0.0
    while process.poll() is None:
        spent = max(spent, computed(process.pid))
        time.sleep(0.005)
    assert process.returncode == 0
    return spent


def started(command: list[str]) -> subprocess.Popen[str]:
    """A command that has got as far as listening to signals."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    while not listens(process.pid):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    return process


def children(pid: int) -> list[str]:
    """The processes that one has started and that are still there."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def listens(pid: int) -> bool:
    """Whether a process catches SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)
