"""What the measuring commands share: their help is their module's text, and a user's mistake is one sentence."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError, OutputError, user_message
from fusiongcn_edge.runtime.io.files import check_folder, check_no_overwrite, write_files
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pairs import is_photograph
from fusiongcn_edge.runtime.io.pixels import eight_bit_colour

STDOUT = "-"  # in place of a file for JSON


def new_parser(name: str, text: str | None) -> argparse.ArgumentParser:
    """A parser for ``python -m fusiongcn_edge.benchmarks.NAME`` that prints the module's docstring as it is."""
    return argparse.ArgumentParser(
        prog=f"python -m fusiongcn_edge.benchmarks.{name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def exit_code(body: Callable[[], None]) -> int:
    """Exit code of a command: 0, or 2 after a sentence on what the user can mend."""
    try:
        body()
    except ModuleNotFoundError as error:
        print(f"This needs {error.name}: pip install '.[dev]' brings it.", file=sys.stderr)
        return 2
    except Exception as error:
        sentence = user_message(error)
        if sentence is None:
            raise
        print(sentence, file=sys.stderr)
        return 2
    return 0


def photographs_below(folder: Path, count: int) -> list[NDArray[np.uint8]]:
    """So many of the photographs below a folder, uint8 H x W x 3, evenly spread over the order of their names.

    Raises
    ------
    FusionError
        If there are fewer, or ``count`` is less than 1.
    """
    paths = sorted(path for path in folder.rglob("*") if is_photograph(path))
    if not 1 <= count <= len(paths):
        raise FusionError(f"There are {len(paths)} photographs below {folder}", fix="--count must be 1 to that")
    return [eight_bit_colour(read_image(paths[number * len(paths) // count])) for number in range(count)]


def check_figure(path: Path) -> None:
    """Refuse, with an OutputError and before anything is measured, a place that no figure can be written to, and a
    name that says no format; a ModuleNotFoundError without matplotlib."""
    from matplotlib.figure import Figure

    if path.suffix[1:].lower() not in Figure().canvas.get_supported_filetypes():
        raise OutputError(f"{path} is not the name of a picture that can be drawn", fix="end it with .png or .svg")
    check_folder(path)


def write_figure(path: Path, figure: Any) -> None:
    """Write a matplotlib Figure in the format that the name says, whole or not at all."""
    found = io.BytesIO()
    figure.savefig(found, format=path.suffix[1:].lower())
    write_files({path: found.getvalue()})


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
