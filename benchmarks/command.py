"""What the measuring commands share: their help is their module's text, a user's mistake is one sentence, and a long
computation tells how far it is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from time import perf_counter

from fusiongcn_edge.runtime.errors import FusionError


def new_parser(name: str, text: str | None) -> argparse.ArgumentParser:
    """A parser for ``python -m fusiongcn_edge.benchmarks.NAME`` that prints the module's docstring as it is."""
    return argparse.ArgumentParser(
        prog=f"python -m fusiongcn_edge.benchmarks.{name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def report(body: Callable[[], None]) -> int:
    """Exit code of a command: 0, or 2 after a sentence on what the user can mend."""
    try:
        body()
    except FusionError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"This needs {error.name}: pip install '.[dev]' brings it.", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename}: {error.strerror}. Give another file or folder.", file=sys.stderr)
        return 2
    return 0


class Progress:
    """What is being done, on standard error: on a terminal in one line that is wiped at the end; elsewhere in a line
    after two seconds, and then one every half minute.
    """

    FIRST, NEXT = 2.0, 30.0  # seconds

    def __enter__(self) -> Progress:
        self._terminal, self._due = sys.stderr.isatty(), perf_counter() + self.FIRST
        return self

    def __call__(self, text: str) -> None:
        if self._terminal:
            print(f"\r\033[K{text} …", end="", file=sys.stderr, flush=True)
        elif perf_counter() > self._due:
            self._due = perf_counter() + self.NEXT
            print(f"{text} …", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def at_least_one(text: str) -> int:
    """A count on the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few: give at least 1")
    return number
