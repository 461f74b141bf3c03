"""What the measuring commands share: their help is their module's text, and a user's mistake is one sentence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.images import read_image


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


def photographs_below(folder: Path, count: int) -> list[NDArray[Any]]:
    """So many of the photographs below a folder (``read_image``), evenly spread over the order of their names.

    Raises
    ------
    FusionError
        If there are fewer, or ``count`` is less than 1.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix in {".jpg", ".png"})
    if not 1 <= count <= len(paths):
        raise FusionError(f"There are {len(paths)} photographs below {folder}: --count must be 1 to that.")
    return [read_image(path) for path in paths[:: len(paths) // count][:count]]


def at_least_one(text: str) -> int:
    """A count on the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few: give at least 1")
    return number
