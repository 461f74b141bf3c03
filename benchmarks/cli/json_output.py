"""JSON output, as all commands here take it: ``--json FILE|-``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fusiongcn_edge.runtime.io.files import check_folder, check_no_overwrite, write_files

STDOUT = "-"  # in place of a file for JSON


def check_json(target: str | None, sources: Sequence[str] = ()) -> None:
    """Refuse, before anything is measured, a place that cannot be written to, or that is read (``sources``)."""
    if target is not None and target != STDOUT:
        check_no_overwrite(sources, [target], "the inputs")
        check_folder(target)


def write_json(target: str | None, facts: object) -> None:
    """Print facts as JSON, or write them, whole or not at all; None: neither."""
    text = json.dumps(facts, indent=1, allow_nan=False)
    if target == STDOUT:
        print(text)
    elif target is not None:
        write_files({target: f"{text}\n".encode()})
