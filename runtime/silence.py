"""What libraries print about their own doings, kept off the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

_lock = RLock()


@contextmanager
def libraries_silenced(*, output: bool = False) -> Iterator[None]:
    """Keep off standard error what OpenCV, libpng, LiteRT and others print: errors are told in one sentence instead.

    They write to the file descriptor themselves, and not all of them have a switch for it. One thread at a time.
    ``output``: off standard output as well.
    """
    descriptors = (1, 2) if output else (2,)
    with _lock:
        _flush()  # what is ours comes out first
        try:
            kept = {descriptor: os.dup(descriptor) for descriptor in descriptors}
        except OSError:  # there is none, so nothing to keep clean
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            for descriptor in descriptors:
                os.dup2(nowhere, descriptor)
            yield
        finally:
            _flush()
            for descriptor, before in kept.items():
                os.dup2(before, descriptor)
                os.close(before)
            os.close(nowhere)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
