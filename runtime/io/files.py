"""Files: read if they are files at all, written whole or not at all, and what a cut-off writing left."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from fusiongcn_edge.runtime.errors import OutputError
from fusiongcn_edge.runtime.system.resources import free_memory

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
DEVICES = Path("/dev")


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
    """Refuse, with an OutputError, a path to which no file can be written. To be sure, an empty file is made beside it,
    and removed: permissions alone do not tell.
    """
    target = _target(path)
    folder = target.parent
    if os.path.isdir(path):
        raise OutputError(f"{path} is a folder", fix="name a file to write")
    if not os.path.isdir(folder):
        raise OutputError(f"The folder {folder} does not exist", fix="create it first")
    if Path(path).absolute().parent == DEVICES or (os.path.exists(path) and not os.path.isfile(path)):
        raise OutputError(f"{path} is a device or a pipe, which would be replaced", fix="name a file to write")
    if not os.access(folder, os.W_OK):
        raise OutputError(
            f"The folder {folder} cannot be written to", fix="choose another one or change its permissions"
        )
    try:
        descriptor, name = _make_temporary(target)
        os.unlink(name)
        os.close(descriptor)
    except OSError as error:
        raise cannot_be_written(path, error) from None


def check_no_overwrite(
    sources: Sequence[str | os.PathLike[str]], outputs: Sequence[str], what: str = "the photographs"
) -> None:
    """What is read is never written to (``what`` it is called), and no output replaces another.

    Raises
    ------
    OutputError
    """
    read, written = {os.path.realpath(source) for source in sources}, set[str]()
    for output in outputs:
        real = os.path.realpath(output)
        if real in read:
            raise OutputError(f"{output} is one of {what}", fix="give the output another name")
        if real in written:
            raise OutputError(f"{output} is named twice as an output", fix="give each its own name")
        written.add(real)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there; an OutputError if it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "there is a file of that name" if path.is_file() else error.strerror
        raise OutputError(f"The folder {path} cannot be made", found=why, fix="choose another one") from None


def check_files_in(folder: Path) -> None:
    """Refuse, with an OutputError, a folder that no file can be written to or that cannot be made. Nothing is made."""
    above = (folder.absolute(), *folder.absolute().parents)
    there = next(place for place in above if os.path.lexists(place))
    if not there.is_dir():
        raise OutputError(f"The folder {folder} cannot be made", found=f"{there} is a file", fix="choose another one")
    check_folder(there / "file")


def write_files(files: Mapping[str | os.PathLike[str], bytes]) -> None:
    """Write every file under a temporary name beside its own, then rename them: never half of one, and none on failure
    (but for those that had already replaced an older file). Where a link leads to a file, that is written. What a
    process that was killed left of the same files is removed.

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
        with ExitStack() as opened:  # and locked until the end
            for path, data in ((_target(name), data) for name, data in files.items()):
                remove_unfinished(path)
                descriptor, name = _make_temporary(path)
                staged[path] = Path(name)
                unwanted.append(staged[path])
                file = opened.enter_context(os.fdopen(descriptor, "wb"))
                file.write(data)
                file.flush()
                os.fsync(descriptor)
                os.chmod(staged[path], 0o666 & ~umask)
            for path, temporary in staged.items():
                replaces = os.path.exists(path)
                os.replace(temporary, path)
                unwanted += [] if replaces else [path]
            unwanted.clear()
    except OSError as error:
        raise cannot_be_written(path, error) from None
    finally:
        for leftover in unwanted:
            with suppress(FileNotFoundError):
                leftover.unlink()


def remove_unfinished(path: Path) -> None:
    """Remove what processes that were killed left of a file or folder: what is called ``.NAME.….part`` beside it, and
    is not being written."""
    path = _target(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY)
            try:
                if lock(descriptor):
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            finally:
                os.close(descriptor)


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Mark an open file or folder as being written, until it is closed; False if it is (unless to ``wait`` for that to
    end), or nobody can tell."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # there are file systems without locks
        return False
    return True


def _target(path: str | os.PathLike[str]) -> Path:
    """The file that a path leads to."""
    return Path(os.path.realpath(path))


def _make_temporary(path: Path) -> tuple[int, str]:
    """An empty file beside another one, open and locked."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        lock(descriptor, wait=True)
        if os.path.exists(name):
            return descriptor, name
        os.close(descriptor)  # before it was locked, somebody took it for a leftover


def cannot_be_written(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """Make the OutputError for an OSError of the system."""
    return OutputError(f"{path} cannot be written", found=error.strerror, fix="check the folder and the free space")
