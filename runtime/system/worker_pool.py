"""Run jobs in worker processes: one that dies takes its own job with it and no other.

A ``ProcessPoolExecutor`` per worker was tried and is no shorter: before Python 3.14 it has no public way to end a job,
it takes the SystemExit of a job that is asked to stop for the job's result, and it needs all that is here about Ctrl-C
and about a parent that was killed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from threading import Thread
from time import perf_counter
from typing import Any, cast

from fusiongcn_edge.runtime.errors import FusionError, user_message

PATIENCE = 20  # seconds that a worker has for removing what is half written


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes
    ----------
    job : int
        Its index.
    result : object
        What the job returned; None if it failed.
    error : str or None
        In one sentence, why it failed.
    seconds : float
        Elapsed time, with the start of the process if the job was its first.
    """

    job: int
    result: Any
    error: str | None
    seconds: float


def run_in_workers(init: Callable[[], Callable[[Any], Any]], jobs: Sequence[Any], count: int) -> Iterator[Outcome]:
    """Run jobs in up to ``count`` processes and yield the outcome of each as soon as it is known.

    Parameters
    ----------
    init : callable
        Called once in each process; returns the function that does one job there. Pickled, like the jobs.
    jobs : sequence
    count : int

    Raises
    ------
    FusionError
        If ``init`` fails.
    """
    left = list(enumerate(jobs))[::-1]
    idle: list[_Worker] = []
    busy: dict[Connection, tuple[_Worker, int, float]] = {}
    try:
        while left or busy:
            while left and len(busy) < count:
                start = perf_counter()
                worker = idle.pop() if idle else _Worker(init)
                number, job = left.pop()
                busy[worker.pipe] = worker, number, start
                with suppress(OSError):  # it has died: receiving will show that
                    worker.pipe.send(job)
            for pipe in connection.wait(list(busy)):
                worker, number, start = busy.pop(cast(Connection, pipe))
                try:
                    answer = worker.pipe.recv()
                    idle.append(worker)
                except (EOFError, OSError):
                    answer = None, "Its process was killed, for want of memory perhaps: use fewer workers."
                    worker.end()
                if isinstance(answer, FusionError):
                    raise answer
                result, error = answer
                yield Outcome(number, result, error, perf_counter() - start)
    finally:
        workers = [*idle, *(worker for worker, *_ in busy.values())]
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.end()


class _Worker:
    """A process, and the pipe for its jobs and their outcomes."""

    def __init__(self, init: Callable[[], Callable[[Any], Any]]) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, init), daemon=True)
        with _interrupts_held_back():
            self.process.start()
        theirs.close()

    def end(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join(PATIENCE)
        self.process.kill()
        self.process.join()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block Ctrl-C, also in a process that is started meanwhile, until that one ignores it (see ``_serve``)."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # starting it would let them through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, init: Callable[[], Callable[[Any], Any]]) -> None:
    """Do jobs, in a process of its own, until it is ended or its parent is gone."""
    for name in ("SIGINT", "SIGHUP"):  # they come to the parent, too, and it decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, _stop)
    Thread(target=_exit_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the parent is gone, or wants no more
        try:
            work = init()
        except Exception as error:
            pipe.send(FusionError(_sentence(error)))
            return
        while True:
            job = pipe.recv()
            answer: tuple[Any, str | None]
            try:
                answer = work(job), None
            except Exception as error:  # if it is a fault of ours, the other jobs need not suffer for it
                answer = None, _sentence(error)
            pipe.send(answer)


def _stop(*_: object) -> None:
    """Unwind the job, so that it removes what is half written; asked again, go on with that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def _exit_with_parent() -> None:
    """Wait for the end of the parent, which was killed then: nobody wants the job any more."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _sentence(error: Exception) -> str:
    return user_message(error) or f"This is a fault of fusiongcn, please report it: {error!r}."
