"""Settings of a command's own process: the allocator, and what native libraries print.

A library must not decide these for the process that uses it; only commands call these functions.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

from fusiongcn_edge.runtime.cli.progress import Progress

MMAP_THRESHOLD, ARENA_MAX = -3, -8  # parameters of mallopt


def configure_malloc() -> None:
    """From now on, arrays of a megabyte and more go back to the system as soon as nobody needs them, and all threads
    share one heap. The C library of most Linux systems, glibc, would come to keep arrays of up to 32 MB, and to fill a
    heap for each thread, of 64 MB of address space; with another library, nothing changes.
    """
    with suppress(OSError, AttributeError, TypeError):
        c = ctypes.CDLL(None)
        c.mallopt(MMAP_THRESHOLD, 1 << 20)
        c.mallopt(ARENA_MAX, 1)


def before_fusion(progress: Progress, unused: Sequence[str]) -> Callable[[Sequence[str]], None]:
    """Return what a command does when it is about to fuse: print warnings, then ``unused``, and configure malloc.

    Not earlier: registration makes and frees arrays of a megabyte all the time, which would take a fifth more CPU time.
    """

    def begin(warnings: Sequence[str]) -> None:
        progress.warn([*warnings, *unused])
        configure_malloc()

    return begin


@contextmanager
def native_messages_suppressed() -> Iterator[None]:
    """Discard what OpenCV, libpng, LiteRT and others write to the file descriptor of standard error.

    They write there themselves, and not all of them have a switch for it; a command reports errors in one sentence
    instead. What Python writes to ``sys.stderr`` still comes out; what processes that are started meanwhile write to
    theirs does not, nor what a program that takes this one's place (``exec``) writes. For commands only: it changes the
    whole process.
    """
    stream = sys.stderr
    try:
        kept = os.dup(2)
    except OSError:  # closed by whoever started this: there is nothing to keep clean
        yield
        return
    # Closed with its last reference, not here: a logger that was made meanwhile goes on writing to it.
    copy = open(kept, "w", 1, getattr(stream, "encoding", None), getattr(stream, "errors", None))  # noqa: SIM115
    if _is_descriptor_2(stream):
        stream.flush()
        sys.stderr = copy
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        if sys.stderr is copy:
            sys.stderr = stream
        with suppress(OSError, ValueError):  # nobody listens any more
            copy.flush()


def _is_descriptor_2(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() == 2
    except (AttributeError, OSError, ValueError):  # not a file
        return False
