"""Report what becomes of each item of a batch, as soon as it is known: a line of a table, or a JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.errors import printable


class BatchTable:
    """Counts and prints what becomes of each item."""

    def __init__(self, as_json: bool, names: list[str], progress: Progress) -> None:
        self._json, self._progress = as_json, progress
        self._items, self._width = len(names), max(len(printable(name)) for name in names)
        self._counts = {"done": 0, "kept": 0, "failed": 0}
        self._event({"event": "start", "items": self._items})

    def add(
        self,
        name: str,
        state: str,
        *,
        error: str | None = None,
        seconds: float = 0.0,
        remaining: float | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        """Report an item. ``state``: done, kept (it was made before) or failed."""
        self._counts[state] += 1
        if not self._json:
            told = error or (f"{seconds:.1f} s" if state == "done" else "")
            told = "  warning: ".join([told, *warnings])
            self._progress.print(f"{printable(name):<{self._width}}  {state:<8}{told}".rstrip())
        event: dict[str, Any] = {
            "event": "item",
            "name": name,
            "state": state,
            "error": error,
            "seconds": round(seconds, 3),
        }
        event |= {"warnings": list(warnings)} if warnings else {}
        left = None if remaining is None else round(remaining, 1)
        finished = sum(self._counts.values())
        self._event({**event, "finished": finished, "items": self._items, "seconds_left": left})

    @property
    def made(self) -> int:
        """The number of results there are."""
        return self._counts["done"] + self._counts["kept"]

    def close(self, seconds: float) -> int:
        """Report the end, and return the exit code."""
        self._event({"event": "end", **self._counts, "seconds": round(seconds, 3)})
        if not self._json:
            counts = self._counts
            self._progress.print(
                f"{counts['done']} fused, {counts['kept']} kept, {counts['failed']} failed, {duration_text(seconds)}"
            )
        return 1 if self._counts["failed"] else 0

    def _event(self, event: dict[str, Any]) -> None:
        if self._json:
            print(json.dumps(event), flush=True)


def duration_text(seconds: float) -> str:
    """Format a duration for people, in one unit."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
