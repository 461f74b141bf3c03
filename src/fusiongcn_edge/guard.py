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
FROM_TERMINAL = ("SIGTTIN", "SIGTTOU")  # stop whatever is not in the terminal's foreground when it reads or writes
ONCE = 2.0  # seconds within which a signal that comes again is the same one: some come to a process and to its group
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def guarded(main: Callable[[], int]) -> int:
    """Run a command and give its exit code: 2, and a sentence, if it crashed; 128 and the signal's number if it was
    ended.

    Where other threads run already, their locks would stay locked in a new process: there, and where no process can be
    made, it runs in this one.
    """
    if sys.platform != "linux" or _threads() != 1:
        return main()
    waiting = os.getpid()
    awaited = {number for name in HANDED_ON if signal.getsignal(number := signal.Signals[name]) != signal.SIG_IGN}
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who ignores it is not told how a process ended
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*awaited, signal.SIGCHLD})  # what comes from now on is kept
    try:
        command = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return main()
    with suppress(OSError):  # the other one may be faster
        os.setpgid(command, 0)  # what goes to a whole group reaches the command once, from the waiting process
    if command == 0:
        end_with(waiting)
        for name in FROM_TERMINAL:
            signal.signal(signal.Signals[name], signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            return main()
        finally:  # it has stopped already: what else comes would only spoil its exit code
            signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    status = _outcome(command, awaited)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if not os.WIFSIGNALED(status):
        return os.WEXITSTATUS(status)
    return _told(os.WTERMSIG(status))


def end_with(parent: int) -> None:
    """Let the system end this process as soon as its parent is gone: nobody would know of it any more."""
    with suppress(OSError, ImportError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0  # nobody knows


def _outcome(command: int, awaited: set[signal.Signals]) -> int:
    """Wait for the command, and hand on what this process is told meanwhile."""
    last: dict[int, float] = {}
    while True:
        told = signal.Signals(signal.sigwaitinfo({*awaited, signal.SIGCHLD}).si_signo)
        if told == signal.SIGCHLD:
            pid, status = os.waitpid(command, os.WNOHANG)
            if pid == command:
                return status
        elif told == signal.SIGTSTP:
            os.killpg(command, signal.SIGSTOP)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {told})
            os.kill(os.getpid(), told)  # stops until somebody lets it go on; not at all where nobody could
            signal.pthread_sigmask(signal.SIG_BLOCK, {told})
            os.killpg(command, signal.SIGCONT)
        elif monotonic() - last.get(told, -ONCE) >= ONCE:
            last[told] = monotonic()
            os.killpg(command, told)
            os.killpg(command, signal.SIGCONT)  # one that was stopped would not hear it


def _told(number: int) -> int:
    if number in {signal.Signals[name] for name in CRASHES}:
        _say(
            f"a library crashed ({signal.strsignal(number)}), as happens where a model was altered, where a library is "
            "not made for this processor, or where memory runs out: take a model that ships, another --engine, or more "
            "memory."
        )
        return 2
    import resource  # Windows has none

    limited = resource.getrlimit(resource.RLIMIT_CPU)[0] != resource.RLIM_INFINITY
    if number == signal.SIGXCPU or (number == signal.SIGKILL and limited):
        _say("the process was ended by its limit of computing time (ulimit -t), or for want of memory: allow more.")
    elif number == signal.SIGKILL:
        _say(
            "the process was killed, as the system does where memory runs out: close other programs, set --max-memory "
            "where the command has it, or use smaller photographs."
        )
    else:
        _end_likewise(number)
    return 128 + number


def _say(sentence: str) -> None:
    with suppress(OSError):  # where nobody listens
        os.write(2, f"fusiongcn: {sentence}\n".encode())


def _end_likewise(number: int) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # where that signal does not end a process
