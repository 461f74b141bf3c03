"""Note what a result was made from, and know by that whether it is current.

Beside each result is a hidden file with a fingerprint of what it was made from and the hash of its own content: a
change to either is detected.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fusiongcn_edge.runtime.batch.discovery import Item, record_path
from fusiongcn_edge.runtime.errors import FusionError, ImageError
from fusiongcn_edge.runtime.io.files import read_file, write_files
from fusiongcn_edge.runtime.io.images import read_image


def fingerprint(item: Item, settings: Mapping[str, Any]) -> str:
    """Hash the photographs' names, sizes and times of change and the settings that decide the result; "" if one of
    the photographs has vanished."""
    try:
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in item.sources]
    except OSError:
        return ""
    return hashlib.sha256(json.dumps([stats, item.pair, settings], sort_keys=True).encode()).hexdigest()


def write_result(output: Path, data: bytes, made_from: str, alignment: Sequence[str]) -> None:
    """Write a result and its note.

    Parameters
    ----------
    output : Path
    data : bytes
        Content of the file.
    made_from : str
        See :func:`fingerprint`.
    alignment : sequence of str
        Lines on how the frames were aligned, for the note.

    Raises
    ------
    FusionError
        If a file that must not be written over has come there meanwhile, or nothing can be written.
    """
    if problem := conflict(output):
        raise FusionError(problem)
    # Once both are written, the outdated result goes, then the note comes, then the result. So whoever is killed in
    # between leaves a note without a result, which is made again; a result with the note of another would be taken for
    # a retouched one.
    note = {"made_from": made_from, "sha256": hashlib.sha256(data).hexdigest(), "alignment": list(alignment)}
    write_files({record_path(output): json.dumps(note, indent=1).encode(), output: data}, outdated=output)


def is_up_to_date(output: Path, made_from: str) -> bool:
    """Whether a result is there as it was written, made from what has this fingerprint."""
    note = _note_on(output)
    return made_from != "" and note.get("made_from") == made_from and note.get("sha256") == _hash_of(output)


def conflict(output: Path) -> str | None:
    """Say in a sentence why a file must not be written over: no batch made it, or it was changed since. None if there
    is no file, or it is a result, be it damaged."""
    if not output.is_file():
        return None
    note = _note_on(output)
    if not note:
        return f"{output} is there, and no batch made it: move it away, or choose another folder."
    if note.get("sha256") != _hash_of(output):
        with suppress(ImageError):
            read_image(output)
            return f"{output} was changed since it was made: move it away, or choose another folder."
    return None


def _note_on(output: Path) -> dict[str, Any]:
    try:
        note = json.loads(read_file(record_path(output)))
    except (OSError, ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _hash_of(path: Path) -> str:
    """Hash a file's content; "" for what cannot be read."""
    try:
        return hashlib.sha256(read_file(path)).hexdigest()
    except OSError:
        return ""
