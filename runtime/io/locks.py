"""Lock a place for one process, at most until that process ends."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fusiongcn_edge.runtime.errors import OutputError
from fusiongcn_edge.runtime.io.files import cannot_be_written

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def exclusive_lock(path: Path, otherwise: str) -> Iterator[None]:
    """Hold a lock, which is a file at this path meanwhile.

    Processes that are forked meanwhile do not hold it. Where a file system has no locks, nothing is held.

    Raises
    ------
    OutputError
        With the sentence ``otherwise`` if another process holds it; or if the file cannot be written.
    """
    try:
        file = open(path, "wb")  # noqa: SIM115
    except OSError as error:
        raise cannot_be_written(path, error) from None
    with file:
        if fcntl is not None:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    raise OutputError(otherwise) from None
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file
                path.unlink()
