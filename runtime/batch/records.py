"""Note what a result was made from, and know by that whether it is current."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fusiongcn_edge.runtime.batch.discovery import Item, record_path
from fusiongcn_edge.runtime.errors import ImageError
from fusiongcn_edge.runtime.io.files import read_file
from fusiongcn_edge.runtime.io.images import read_image


def fingerprint(item: Item, settings: Mapping[str, Any]) -> str:
    """Of the photographs (names, sizes, times of change) and of the settings that decide the result; "" if one of them
    has vanished."""
    try:
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in item.sources]
    except OSError:
        return ""
    return hashlib.sha256(json.dumps([stats, item.pair, settings], sort_keys=True).encode()).hexdigest()


def result_record(mark: str, result: bytes, report: list[str], output: Path) -> bytes:
    """What is noted beside a result (the bytes of its file) with a fingerprint, before it is written to ``output``."""
    replaced = _hash_of(output)
    noted = {"made_from": mark, "sha256": _hash(result), "alignment": report}
    return json.dumps(noted | ({"replaced": replaced} if replaced else {}), indent=1).encode()


def is_up_to_date(output: Path, mark: str) -> bool:
    """Whether a result is there as it was written, made from what has this fingerprint."""
    noted = _noted(output)
    return mark != "" and noted.get("made_from") == mark and noted.get("sha256") == _hash_of(output)


def conflict(output: Path) -> str | None:
    """Why a file must not be written over: no batch made it, or it was changed since; None if there is none, or it is
    a result, be it damaged.
    """
    if not output.is_file():
        return None
    noted = _noted(output)
    if not noted:
        return f"{output} is there, and no batch made it: move it away, or choose another folder."
    if _hash_of(output) not in (noted.get("sha256"), noted.get("replaced")):
        with suppress(ImageError):
            read_image(output)
            return f"{output} was changed since it was made: move it away, or choose another folder."
    return None


def _noted(output: Path) -> dict[str, Any]:
    try:
        noted = json.loads(read_file(record_path(output)))
    except (OSError, ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash_of(path: Path) -> str:
    """ "" for what cannot be read."""
    try:
        return _hash(read_file(path))
    except OSError:
        return ""
