"""Memory of one process that fuses again and again, as a command does on a device that is never switched off.

    python -m fusiongcn_edge.benchmarks.experiments.memory_growth [--model NAME|PATH] [--engine NAME] [--size HxW]
        [--fusions N]

Prints the process's resident memory in MB (10^6 bytes) after a tenth of the fusions, each further tenth, and what came
to it since the first. With ``--most MB``, the exit code is 1 if that is more.
"""

from __future__ import annotations

import sys

from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.cli.options import add_model_argument, add_size_argument, whole_number
from fusiongcn_edge.runtime.cli.process import configure_malloc
from fusiongcn_edge.runtime.engines.base import ENGINES
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fusiongcn_edge.runtime.system.resources import resident_memory

PARTS = 10
DIFFERENT = 5  # pairs, in turn


def main() -> int:
    """Fuse, and print the figures."""
    parser = new_parser("experiments.memory_growth", __doc__)
    add_model_argument(parser)
    parser.add_argument("--engine", choices=list(ENGINES), help="default: as 'fusiongcn fuse'")
    add_size_argument(parser)
    parser.add_argument("--threads", type=whole_number(1), metavar="N", help="default: the fast physical cores")
    parser.add_argument("--fusions", type=whole_number(1), default=1000, metavar="N", help="default: %(default)s")
    parser.add_argument("--most", type=float, metavar="MB", help="that memory may grow by")
    arguments = parser.parse_args()
    grown = 0.0

    def measure() -> None:
        nonlocal grown
        configure_malloc()  # as commands do
        fuser = Fuser.open(arguments.model, engine=arguments.engine, threads=arguments.threads)
        found = growth(fuser, arguments.size, arguments.fusions)
        grown = (found[-1] - found[0]) / 1e6
        height, width = arguments.size
        print(
            f"{arguments.model}, {fuser.engine.name}, {height}x{width}, {arguments.fusions} fusions: "
            f"{' '.join(f'{held / 1e6:.1f}' for held in found)} MB, {grown:+.1f}"
        )

    code = exit_code(measure)
    return code or int(arguments.most is not None and grown > arguments.most)


def growth(fuser: Fuser, size: tuple[int, int], fusions: int) -> list[int]:
    """Resident bytes after each tenth of so many fusions of a few made pairs."""
    pairs = [synthetic_pair(*size, seed=seed) for seed in range(DIFFERENT)]
    marks = {-(-fusions * part // PARTS) for part in range(1, PARTS + 1)}
    found = []
    for number in range(fusions):
        fuser.fuse(*pairs[number % DIFFERENT])
        if number + 1 in marks:
            found.append(resident_memory())
    return found


if __name__ == "__main__":
    sys.exit(main())
