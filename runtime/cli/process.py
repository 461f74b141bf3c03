"""Settings of a command's own process: the allocator, and what native libraries print.

A library must not decide these for the process that uses it; only commands call these functions.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

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


@contextmanager
def native_messages_suppressed() -> Iterator[None]:
    """Discard what OpenCV, libpng, LiteRT and others write to the file descriptor of standard error.

    They write there themselves, and not all of them have a switch for it; a command reports errors in one sentence
    instead. What Python writes to ``sys.stderr`` still comes out. For commands only: it changes the whole process.
    """
    stream = sys.stderr
    try:
        kept = os.dup(2)
    except OSError:  # closed by whoever started this: there is nothing to keep clean
        yield
        return
    stream.flush()
    own = _is_descriptor_2(stream)
    if own:
        sys.stderr = open(kept, "w", 1, stream.encoding, stream.errors, closefd=False)  # noqa: SIM115
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        if own:
            sys.stderr = stream
        os.close(kept)


def _is_descriptor_2(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (AttributeError, OSError, ValueError):  # not a file
        return False
