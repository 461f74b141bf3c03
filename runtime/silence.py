"""What libraries print about their own doings, kept off the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()


@contextmanager
def libraries_silenced() -> Iterator[None]:
    """Keep off standard error what OpenCV, libpng, LiteRT and others print: errors are told in one sentence instead.

    They write to the file descriptor themselves, and not all of them have a switch for it. One thread at a time.
    """
    with _lock:
        try:
            kept = os.dup(2)
        except OSError:  # no standard error, so nothing to keep clean
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
