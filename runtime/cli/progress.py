"""Show on the terminal how far a long computation is."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from time import monotonic

from fusiongcn_edge.runtime.cli.options import print_warnings
from fusiongcn_edge.runtime.errors import printable

EVERY = 60.0  # seconds, where there is no terminal


class Progress:
    """What is being done, on standard error: on a terminal in one line that is wiped at the end; elsewhere, in a log
    perhaps, in a line once a minute.
    """

    def __enter__(self) -> Progress:
        self._terminal, self._due = sys.stderr.isatty(), monotonic() + EVERY
        return self

    def __call__(self, text: str) -> None:
        """Show what is being done now."""
        text = printable(text)
        if self._terminal:
            print(f"\r\033[K{text} …", end="", file=sys.stderr, flush=True)
        elif monotonic() > self._due:
            self._due = monotonic() + EVERY
            print(f"{text} …", file=sys.stderr, flush=True)

    def print(self, text: str) -> None:
        """A line of the result, on standard output, above what is being done."""
        self._wipe()
        print(printable(text), flush=True)

    def warn(self, warnings: Iterable[str]) -> None:
        """Print warnings, on standard error, above what is being done."""
        self._wipe()
        print_warnings(warnings)

    def __exit__(self, *_: object) -> None:
        self._wipe()

    def _wipe(self) -> None:
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
