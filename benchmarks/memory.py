"""Peak memory of fusing one pair in a fresh process.

    python -m fusiongcn_edge.benchmarks.memory [--model NAME|PATH] [--size HxW]

Prints the process's peak resident memory in MB, and what it was before the model was opened.
"""

from __future__ import annotations

import argparse
import resource
import sys

import numpy as np

from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.commands import add_model_argument, parse_size


def main() -> int:
    """Fuse a pair of noise and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m fusiongcn_edge.benchmarks.memory", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_model_argument(parser)
    parser.add_argument("--size", type=parse_size, default=(520, 520), metavar="HxW", help="default: 520x520")
    arguments = parser.parse_args()
    before = _peak()
    first, second = np.random.default_rng(0).integers(0, 256, (2, *arguments.size, 3), dtype=np.uint8)
    try:
        Fuser.open(arguments.model).fuse(first, second)
    except FusionError as error:
        print(error, file=sys.stderr)
        return 2
    height, width = arguments.size
    print(f"{height}x{width}: peak {_peak():.0f} MB, of which {before:.0f} MB before the model was opened")
    return 0


def _peak() -> float:
    """Peak resident memory of this process in MB (10^6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    sys.exit(main())
