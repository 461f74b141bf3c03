"""Count the instructions that a model takes on an emulated CPU, as a share of another's.

    python -m fusiongcn_edge.benchmarks.arm.compare_models MODEL OTHER [--engine ENGINE] [--cpu CPU] [--side PIXELS]

One thread fuses the example pair, as a square of so many pixels a side, for the second time. Each model is a shipped
one or a bundle. Instructions are no time: what they wait for is not in them.
"""

from __future__ import annotations

import sys

from fusiongcn_edge.benchmarks.arm.instruction_counts import KIND, executed_blocks, instructions, plugin
from fusiongcn_edge.benchmarks.arm.sysroot import KINDS
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime.cli.options import whole_number
from fusiongcn_edge.runtime.engines.base import ENGINES
from fusiongcn_edge.runtime.fuser import STAGES, open_bundle


def main() -> int:
    """Count both, and print the shares of each stage."""
    parser = new_parser("arm.compare_models", __doc__)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("other", metavar="OTHER")
    parser.add_argument("--engine", choices=list(ENGINES), default="litert", help="default: %(default)s")
    parser.add_argument("--cpu", choices=KINDS[KIND].cpus, default="cortex-a76", help="default: %(default)s")
    parser.add_argument(
        "--side",
        type=whole_number(64),
        default=208,
        metavar="PIXELS",
        help="default: %(default)s, two of the tiles across",
    )
    arguments = parser.parse_args()

    def body() -> None:
        models = [str(open_bundle(model, arguments.engine).path) for model in (arguments.model, arguments.other)]
        with plugin() as library:
            whole = (arguments.side, "-")
            found = [
                instructions(executed_blocks(library, model, arguments.engine, arguments.cpu, whole))
                for model in models
            ]
        print(f"{'million instructions':<22}{'MODEL':>12}{'OTHER':>12}{'share':>9}")
        for counts in found:
            counts["all"] = sum(counts.values())
        for name in (*STAGES, "all"):
            own, others = (counts[name] for counts in found)
            print(f"{name:<22}{own / 1e6:>12.1f}{others / 1e6:>12.1f}{own / others:>9.1%}")

    return exit_code(body)


if __name__ == "__main__":
    sys.exit(main())
