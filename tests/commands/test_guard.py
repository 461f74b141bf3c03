"""A command that crashes or is killed is told of by the process that waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from helpers.graphs import with_graph
from helpers.paths import EXAMPLE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands are guarded on Linux")
GUARDED = """
import ctypes, os, resource, signal, sys, time
from helpers.paths import EXAMPLE
from fusiongcn_edge.guard import guarded
def stop(number, frame):
    print("asked", number, flush=True)
    sys.exit(3)
def main():
    {body}
    return 7
sys.exit(guarded(main))
"""
WAITS = "signal.signal({}, stop); print(os.getpid(), flush=True); time.sleep(600)"


def started(body: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", GUARDED.format(body=body)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=os.setpgrp,  # nothing pauses in a group that has nobody to let it go on
    )  # fmt: skip


def ended(body: str) -> tuple[int, str]:
    process = started(body)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_an_exit_code_is_handed_on() -> None:
    assert ended("pass") == (7, "")
    assert ended("sys.exit(4)") == (4, "")


@pytest.mark.parametrize("crash", ["ctypes.string_at(0)", "os.abort()", "os.kill(os.getpid(), signal.SIGILL)"])
def test_a_crash_is_one_sentence_and_code_2(crash: str) -> None:
    code, said = ended(f"resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); {crash}")
    assert code == 2
    assert said.startswith("fusiongcn: a library crashed (")
    assert said.count("\n") == 1
    assert "--engine" in said


def test_what_the_system_ended_says_that_memory_may_have_run_out() -> None:
    code, said = ended("os.kill(os.getpid(), signal.SIGKILL)")
    assert code == 128 + signal.SIGKILL
    assert "memory runs out" in said
    assert said.count("\n") == 1


def test_a_limit_of_computing_time_is_told() -> None:
    code, said = ended("resource.setrlimit(resource.RLIMIT_CPU, (1, 5))\n    while True: pass")
    assert code == 128 + signal.SIGXCPU
    assert "ulimit -t" in said


def test_another_signal_ends_both_alike() -> None:
    assert ended("os.kill(os.getpid(), signal.SIGUSR1)") == (-signal.SIGUSR1, "")


def test_who_ignores_the_end_of_processes_is_told_all_the_same() -> None:
    code = GUARDED.format(body="pass").replace(
        "sys.exit(g", "signal.signal(signal.SIGCHLD, signal.SIG_IGN); sys.exit(g"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_waiting_process_reaches_the_command(number: signal.Signals) -> None:
    process = started(WAITS.format(int(number)))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert said == f"asked {int(number)}\n"
    assert process.returncode == 3


def test_where_threads_run_already_the_process_is_left_alone() -> None:
    code = GUARDED.format(body="print(os.getpid())").replace(
        "sys.exit(g", "import threading; threading.Thread(target=time.sleep, args=[1]).start(); sys.exit(g"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert int(process.communicate(timeout=60)[0]) == process.pid


def test_a_command_that_both_processes_are_told_to_stop_stops_once() -> None:
    """As a service manager tells all processes of a service."""
    process = subprocess.Popen(
        [sys.executable, "-c", STOPS_SLOWLY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    command = int(process.stdout.readline())
    for pid in (process.pid, command, process.pid):
        os.kill(pid, signal.SIGTERM)
    said = process.communicate(timeout=60)
    assert said == ("cleaned up\n", "fusiongcn: interrupted; no unfinished file was left.\n")
    assert process.returncode == 128 + signal.SIGTERM


STOPS_SLOWLY = """
import os, sys, time
from fusiongcn_edge import cli
def run(arguments):
    try:
        print(os.getpid(), flush=True)
        time.sleep(600)
    finally:
        time.sleep(0.2)
        print("cleaned up", flush=True)
cli._run = run
sys.exit(cli.command())
"""


def test_output_to_a_terminal_that_stops_what_is_in_the_background() -> None:
    ours, theirs = os.openpty()
    settings = termios.tcgetattr(theirs)
    settings[3] |= termios.TOSTOP
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "fusiongcn_edge", "--version"],
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    assert process.wait(timeout=60) == 0
    assert b"fusiongcn-edge" in os.read(ours, 1000)
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_stop_nothing(closed: str, tmp_path: Path) -> None:
    arguments = f"fuse {EXAMPLE / 'near.jpg'} {EXAMPLE / 'far.jpg'} -o {tmp_path / 'fused.png'}"
    done = subprocess.run(["sh", "-c", f"exec {sys.executable} -m fusiongcn_edge {arguments} {closed}"], check=False)
    assert done.returncode == 0
    assert (tmp_path / "fused.png").stat().st_size > 1000


def test_a_pause_reaches_the_command() -> None:
    process = started("print(os.getpid(), flush=True); time.sleep(10); print('done', flush=True)")
    assert process.stdout is not None
    command = process.stdout.readline().strip()
    process.send_signal(signal.SIGTSTP)
    for pid in (command, str(process.pid)):
        await_state(pid, "T")
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=60)[0] == "done\n"
    assert process.returncode == 7


def await_state(pid: str, *states: str) -> None:
    """Wait until a process is in one of these states of /proc; ``-`` is one that has gone."""
    for _ in range(6000):
        stat = Path(f"/proc/{pid}/stat")
        with suppress(FileNotFoundError, ProcessLookupError):
            if stat.read_text().rpartition(")")[2].split()[0] in states:
                return
        if not stat.exists() and "-" in states:
            return
        time.sleep(0.01)
    os.kill(int(pid), signal.SIGKILL)
    pytest.fail(f"the process never came to be {states}")


def test_the_command_ends_with_the_process_that_waits() -> None:
    process = started(WAITS.format(int(signal.SIGTERM)))
    assert process.stdout is not None
    command = int(process.stdout.readline())
    assert command != process.pid
    process.kill()
    process.wait()
    await_state(str(command), "-", "Z")


def test_a_graph_that_crashes_its_engine_is_a_sentence(tmp_path: Path) -> None:
    def one_output_of_two(model: Any) -> None:  # ONNX Runtime 1.32 aborts
        (split,) = (node for node in model.graph.node if node.op_type == "Split")
        next(a for a in split.attribute if a.name == "num_outputs").i = 1

    bundle = with_graph(tmp_path / "altered", one_output_of_two)
    command = [sys.executable, "-m", "fusiongcn_edge", "fuse", str(EXAMPLE / "near.jpg"), str(EXAMPLE / "far.jpg")]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "fused.png"), "--model", str(bundle)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("fusiongcn: ")
    assert [path.name for path in tmp_path.iterdir()] == ["altered"]
