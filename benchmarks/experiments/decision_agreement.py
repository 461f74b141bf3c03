"""How far a model's decision maps agree with stored ones, or with those of another model.

    python -m fusiongcn_edge.benchmarks.experiments.decision_agreement --model BUNDLE --pairs DIR [--against BUNDLE]

DIR holds ``SET/a/NAME.*``, ``SET/b/NAME.*`` and, unless another model is named, the maps to compare with in
``SET/official_decision/NAME.png`` (white where the first photograph is taken).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from fusiongcn_edge.benchmarks.cli.options import exit_code, new_parser
from fusiongcn_edge.benchmarks.metrics.scorer import to_gray
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.cli.options import add_engine_argument, whole_number
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pairs import find_pairs


def differing_fraction(decision: np.ndarray, stored: Path) -> float:
    """Share of pixels on which a decision map (bool H x W) differs from a stored picture of one."""
    picture = to_gray(read_image(stored))
    if picture.shape != decision.shape:
        raise FusionError(f"{stored} is no decision map of {decision.shape[1]}x{decision.shape[0]} pixels")
    return float(np.mean(decision != (picture > 127)))


def main() -> int:
    """Print the table; 0 if every pair was compared and none of the limits given was passed."""
    parser = new_parser("decisions", __doc__)
    parser.add_argument("--model", required=True, metavar="NAME|PATH", help="the bundle to measure")
    parser.add_argument("--pairs", type=Path, required=True, metavar="DIR")
    parser.add_argument("--maps", default="official_decision", metavar="NAME", help="folder of the maps beside a/")
    parser.add_argument("--against", metavar="NAME|PATH", help="compare with this model instead of stored maps")
    add_engine_argument(parser)
    parser.add_argument(
        "--at-most", type=float, metavar="PERCENT", help="fail if more pixels than that differ in any pair"
    )
    parser.add_argument(
        "--mean-at-most", type=float, metavar="PERCENT", help="fail if more differ in the mean of pairs"
    )
    parser.add_argument(
        "--identical", type=whole_number(1), metavar="N", help="fail if fewer pairs than that are identical"
    )
    arguments = parser.parse_args()
    return exit_code(lambda: _table(arguments))


def _table(arguments: argparse.Namespace) -> None:
    fuser = Fuser.open(arguments.model, engine=arguments.engine)
    other = Fuser.open(arguments.against, engine=arguments.engine) if arguments.against else None
    differences, sets = [], dict[str, list[float]]()
    print("set         pair   pixels differing")
    for pair in find_pairs(arguments.pairs):
        photographs = read_image(pair.a), read_image(pair.b)
        decision = fuser.fuse(*photographs).decision
        stored = pair.beside(arguments.maps)
        if other is not None:
            difference = float(np.mean(decision != other.fuse(*photographs).decision))
        elif stored is not None:
            difference = differing_fraction(decision, stored)
        else:
            raise FusionError(f"There is no {arguments.maps}/{pair.name}.* beside {pair.a.parent}")
        differences.append(difference)
        sets.setdefault(pair.set, []).append(difference)
        count = round(difference * decision.size)
        print(f"{pair.set:<12}{pair.name:<7}{count:>6}  {difference:.4%}", flush=True)
    identical = sum(d == 0 for d in differences)
    print("\n" + "; ".join(f"{name}: mean {np.mean(found):.4%}" for name, found in sets.items()))
    mean, worst = np.mean(differences), max(differences)
    print(f"{identical} of {len(differences)} identical; mean {mean:.4%}, worst {worst:.4%} of pixels")
    if arguments.at_most is not None and worst * 100 > arguments.at_most:
        raise FusionError(f"More than {arguments.at_most} % of pixels differ")
    if arguments.mean_at_most is not None and mean * 100 > arguments.mean_at_most:
        raise FusionError(f"More than {arguments.mean_at_most} % of pixels differ in the mean")
    if arguments.identical is not None and identical < arguments.identical:
        raise FusionError(f"Fewer than {arguments.identical} pairs are identical")


if __name__ == "__main__":
    sys.exit(main())
