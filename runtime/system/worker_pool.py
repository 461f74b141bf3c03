"""Jobs in processes of their own: one that dies takes its job with it and no other."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Thread
from time import perf_counter
from typing import Any, cast

from fusiongcn_edge.runtime.errors import FusionError, user_message

PATIENCE = 20  # seconds that a process has for cleaning up
REFUSED, DONE, FAILED = "refused", "done", "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a job: ``result``, or in one sentence the ``error``, after so many ``seconds``."""

    job: int
    result: Any
    error: str | None
    seconds: float


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    job: int = -1
    start: float = 0.0


def run_in_workers(begin: Callable[[], Callable[[Any], Any]], jobs: Sequence[Any], count: int) -> Iterator[Outcome]:
    """Do jobs in up to ``count`` processes, and give what becomes of each as soon as it is known.

    Parameters
    ----------
    begin : callable
        Called once in each process, for the function that does one job there. Like the jobs, it is pickled.
    jobs : sequence
    count : int

    Raises
    ------
    FusionError
        If ``begin`` fails.
    """
    context = get_context("spawn")
    left = list(range(len(jobs)))[::-1]
    idle: list[_Worker] = []
    busy: dict[Connection, _Worker] = {}
    try:
        while left or busy:
            while left and len(busy) < count:
                if not idle:
                    ours, theirs = context.Pipe()
                    process = context.Process(target=_serve, args=(theirs, begin), daemon=True)
                    with _interrupts_held_back():
                        process.start()
                    theirs.close()
                    idle.append(_Worker(process, ours))
                worker = idle.pop()
                worker.job, worker.start = left.pop(), perf_counter()
                busy[worker.pipe] = worker
                try:
                    worker.pipe.send(jobs[worker.job])
                except OSError:  # it is dead, and its pipe will tell why
                    continue
            for pipe in connection.wait(list(busy)):
                worker = busy.pop(cast(Connection, pipe))
                try:
                    kind, content = worker.pipe.recv()
                    idle.append(worker)
                except (EOFError, OSError):
                    kind, content = FAILED, "Its process was killed, for want of memory perhaps: use fewer workers."
                    _end(worker)
                if kind == REFUSED:
                    raise FusionError(content)
                result, error = (content, None) if kind == DONE else (None, content)
                yield Outcome(worker.job, result, error, perf_counter() - worker.start)
    finally:
        for worker in [*idle, *busy.values()]:
            _end(worker)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Ctrl-C waits, here and in a process started meanwhile, until that one leaves it to this one (see _serve)."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # starting it would let them through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _sentence(error: Exception) -> str:
    return user_message(error) or f"This is a fault of fusiongcn, please report it: {error!r}."


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.terminate()
    worker.process.join(PATIENCE)
    worker.process.kill()
    worker.process.join()


def _end_with_parent() -> None:
    """Wait for the end of the process that started this one, which was killed then: nobody wants the job any more."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _serve(pipe: Connection, begin: Callable[[], Callable[[Any], Any]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is half written is removed
    Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # that process is gone, or wants no more
        try:
            work = begin()
        except Exception as error:
            pipe.send((REFUSED, _sentence(error)))
            return
        while True:
            job = pipe.recv()
            try:
                message = DONE, work(job)
            except Exception as error:  # if it is a fault of ours, the other jobs need not suffer for it
                message = FAILED, _sentence(error)
            pipe.send(message)
