"""Read regular files only, and write files whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from fusiongcn_edge.runtime.errors import OutputError
from fusiongcn_edge.runtime.system.resources import free_memory

DEVICES = Path("/dev")
UNFINISHED = ".part"


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
    probe = temporary_beside(target)
    try:
        try:
            probe.touch(exist_ok=False)
        finally:  # also where the process is asked to stop meanwhile
            probe.unlink(missing_ok=True)
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


def write_files(files: Mapping[str | os.PathLike[str], bytes], *, outdated: Path | None = None) -> None:
    """Write each file beside its place and rename it, in the order given, when all are written.

    None is ever half there. On failure none is there, but for those that have already replaced an older one. Links are
    followed. A process that is killed can leave temporary files (see ``is_unfinished``), which nothing minds.
    ``outdated``: a file that is removed once all are written and before the first is renamed.

    Raises
    ------
    OutputError
        If one cannot be written, for want of space or permission.
    """
    path = Path()
    staged: dict[Path, Path] = {}
    unwanted: list[Path] = []  # what is to be removed if a later step fails
    try:
        for path, data in ((_target(name), data) for name, data in files.items()):
            staged[path] = temporary_beside(path)
            unwanted.append(staged[path])
            write_new(staged[path], data)
        if outdated is not None:
            _target(outdated).unlink(missing_ok=True)
        for path, temporary in staged.items():
            replaces = path.exists()
            os.replace(temporary, path)
            unwanted += [] if replaces else [path]
        unwanted.clear()
    except OSError as error:
        raise cannot_be_written(path, error) from None
    finally:
        for leftover in unwanted:
            leftover.unlink(missing_ok=True)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, as far as the disk; an OSError if it is there or cannot be written."""
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def temporary_beside(path: Path) -> Path:
    """A new name for a file or folder that is to be written and then renamed to ``path``: ``.NAME.RANDOM.part``."""
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}{UNFINISHED}")


def is_unfinished(name: str) -> bool:
    """Whether a file's or folder's name is of the kind that ``temporary_beside`` gives."""
    return name.startswith(".") and name.endswith(UNFINISHED)


def _target(path: str | os.PathLike[str]) -> Path:
    """The file that a path leads to."""
    return Path(os.path.realpath(path))


def cannot_be_written(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """Make the OutputError for an OSError of the system."""
    return OutputError(f"{path} cannot be written", found=error.strerror, fix="check the folder and the free space")
