"""Peak memory of fusing one pair in a fresh process.

    python -m fusiongcn_edge.benchmarks.experiments.peak_rss [--model NAME|PATH] [--size HxW] [--max-memory MB]
        [--limit MB]
    python -m fusiongcn_edge.benchmarks.experiments.peak_rss --checkpoint FILE [--size HxW] [--limit MB]

Prints the process's peak resident memory in MB (10^6 bytes), and what it was before the model was opened. ``--limit``
forbids the process to have more address space than this, as on a board with little memory. ``--checkpoint``: the
authors' way, with these weights, as ``benchmarks.experiments.speedup`` describes it.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.cli.options import add_model_argument, add_size_argument, whole_number
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fusiongcn_edge.runtime.system.resources import peak_memory


def main() -> int:
    """Fuse a made pair and print the figures, with a fingerprint of the answer."""
    parser = new_parser("experiments.peak_rss", __doc__)
    add_model_argument(parser)
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="the authors' way instead, with these weights")
    add_size_argument(parser)
    parser.add_argument("--threads", type=whole_number(1), default=2, metavar="N", help="default: %(default)s")
    parser.add_argument("--max-memory", type=float, metavar="MB", help="as of 'fusiongcn fuse'")
    parser.add_argument("--limit", type=whole_number(1), metavar="MB", help="address space of this process")
    arguments = parser.parse_args()

    def measure() -> None:
        if arguments.limit is not None:
            import resource  # Windows has none

            resource.setrlimit(resource.RLIMIT_AS, (arguments.limit * 10**6,) * 2)
        pair = synthetic_pair(*arguments.size)
        before = peak_memory()
        if arguments.checkpoint is not None:
            from fusiongcn_edge.benchmarks.experiments.speedup import authors_way

            authors_way(arguments.checkpoint, arguments.threads)(*pair)
            answer = "the authors' way"
        else:
            fuser = Fuser.open(arguments.model, threads=arguments.threads, max_memory=arguments.max_memory)
            found = fuser.fuse(*pair).probability.tobytes()
            answer = f"the answer's fingerprint is {hashlib.sha256(found).hexdigest()[:8]}"
        height, width = arguments.size
        print(
            f"{height}x{width}: peak {peak_memory() / 1e6:.0f} MB, of which {before / 1e6:.0f} MB before the model was "
            f"opened; {answer}"
        )

    return exit_code(measure)


if __name__ == "__main__":
    sys.exit(main())
