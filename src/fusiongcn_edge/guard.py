"""On Linux a command runs in a process of its own, beside one that waits for it and does nothing else.

The libraries that compute end the whole process when they fail: on a graph that was altered, on instructions that this
processor lacks. And where memory runs out, the system ends it. The process that waits tells so in one sentence.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import NoReturn

CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")
HANDED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGTSTP")  # to the command, which knows how to stop
ONCE = 0.5  # seconds within which a signal that comes again is the same one: some come to a process and to its group
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def guarded(main: Callable[[], int]) -> int:
    """Run a command and give its exit code: 2, and a sentence, if it crashed; 128 and the signal's number if it was
    ended."""
    if sys.platform != "linux" or len(os.listdir("/proc/self/task")) > 1:  # other threads' locks would stay locked
        return main()
    waiting = os.getpid()
    awaited = {number for name in HANDED_ON if signal.getsignal(number := signal.Signals[name]) != signal.SIG_IGN}
    awaited.add(signal.SIGCHLD)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who ignores it is not told how a process ended
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)  # what comes from now on is kept
    command = os.fork()
    with suppress(OSError):  # the other one may be faster
        os.setpgid(command, 0)  # what goes to a whole group reaches the command once, from the waiting process
    if command == 0:
        _end_with(waiting)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return main()
    status = _outcome(command, awaited)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if not os.WIFSIGNALED(status):
        return os.WEXITSTATUS(status)
    return _told(os.WTERMSIG(status))


def _end_with(waiting: int) -> None:
    """Let the system end this process as soon as the waiting one is gone: nobody would know of it any more."""
    with suppress(OSError, ImportError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != waiting:
        os._exit(1)


def _outcome(command: int, awaited: set[signal.Signals]) -> int:
    """Wait for the command, and hand on what this process is told meanwhile."""
    last: dict[int, float] = {}
    while True:
        told = signal.Signals(signal.sigwaitinfo(awaited).si_signo)
        if told == signal.SIGCHLD:
            pid, status = os.waitpid(command, os.WNOHANG)
            if pid == command:
                return status
        elif told == signal.SIGTSTP:
            os.killpg(command, signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)  # until somebody lets it go on
            os.killpg(command, signal.SIGCONT)
        elif monotonic() - last.get(told, -ONCE) >= ONCE:
            last[told] = monotonic()
            os.killpg(command, told)


def _told(number: int) -> int:
    if number in {signal.Signals[name] for name in CRASHES}:
        print(
            f"fusiongcn: a library crashed ({signal.strsignal(number)}), as happens where a model was altered or a "
            "library is not made for this processor: take a model that ships or another --engine, or install the "
            "engine's library again.",
            file=sys.stderr,
        )
        return 2
    if number == signal.SIGKILL:
        print(
            "fusiongcn: the process was killed, as the system does where memory runs out: close other programs, set "
            "--max-memory where the command has it, or use smaller photographs.",
            file=sys.stderr,
        )
        return 128 + number
    if number == signal.SIGXCPU:
        print("fusiongcn: the time was up that a limit (ulimit -t) leaves a process: allow more.", file=sys.stderr)
        return 128 + number
    _end_likewise(number)


def _end_likewise(number: int) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # where that signal does not end a process
