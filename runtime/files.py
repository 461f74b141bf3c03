"""Files: read if they are files at all, written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from fusiongcn_edge.runtime.errors import OutputError
from fusiongcn_edge.runtime.machine import free_memory


def read_file(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """The content of a file, which may be a link to one; not of a device or a pipe, which may never end.

    Raises
    ------
    OSError
        If it is none, cannot be read, or has more than ``most`` bytes (default: than memory is free); ``strerror``
        says which.
    """
    try:
        # a pipe that nobody writes to would be waited for
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError:  # a name that no file can have
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is a device or a pipe", str(path))
        if found.st_size > (free_memory() if most is None else most):
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return file.read(found.st_size)


def check_folder(path: str | os.PathLike[str]) -> None:
    """Refuse, with an OutputError, a path that is a folder, a device or a pipe, or whose own folder is missing or
    cannot be written to."""
    folder = Path(path).absolute().parent
    if os.path.isdir(path):
        raise OutputError(f"{path} is a folder: name a file to write.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise OutputError(f"{path} is a device or a pipe: name a file to write.")
    if not os.path.isdir(folder):
        raise OutputError(f"The folder {folder} does not exist: create it first.")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"The folder {folder} cannot be written to: choose another one or change its permissions.")


def write_files(files: Mapping[str | os.PathLike[str], bytes]) -> None:
    """Write every file under a temporary name beside its own, then rename them: never half of one, and none on failure
    (but for those that had already replaced an older file).

    Raises
    ------
    OutputError
        If one cannot be written, for want of space or permission.
    """
    umask = os.umask(0)
    os.umask(umask)
    path = Path()
    staged: dict[Path, Path] = {}
    unwanted: list[Path] = []  # what is to be removed if a later step fails
    try:
        for path, data in ((Path(name), data) for name, data in files.items()):
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.absolute().parent)
            staged[path] = Path(name)
            unwanted.append(staged[path])
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(staged[path], 0o666 & ~umask)
        for path, temporary in staged.items():
            replaces = os.path.exists(path)
            os.replace(temporary, path)
            unwanted += [] if replaces else [path]
        unwanted.clear()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}): check the folder and the free space."
        ) from None
    finally:
        for leftover in unwanted:
            with suppress(FileNotFoundError):
                leftover.unlink()
