"""What measurements share that are started with ``python -m``, in ``experiments/`` and ``arm/``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from fusiongcn_edge.runtime.errors import user_message


def new_parser(name: str, text: str | None) -> argparse.ArgumentParser:
    """Make a parser for ``python -m fusiongcn_edge.benchmarks.NAME`` whose help is the module's docstring as it is."""
    return argparse.ArgumentParser(
        prog=f"python -m fusiongcn_edge.benchmarks.{name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def exit_code(body: Callable[[], None]) -> int:
    """Run a command, and give its exit code: 0, or 2 after a sentence on what the user can mend."""
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
