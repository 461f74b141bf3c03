"""Measure how far a model's decision maps agree with stored ones, or with those of another model.

    python -m fusiongcn_edge.benchmarks.experiments.decision_agreement --model BUNDLE --pairs DIR [--against BUNDLE]
        [--worst FILE.jpg]

DIR holds ``SET/a/NAME.*``, ``SET/b/NAME.*`` and, unless another model is named, the maps to compare with in
``SET/official_decision/NAME.png`` (white where the first photograph is taken). ``--worst`` draws the pairs that agree
least, a row each: the model's decision map, the other one, and the difference between the photographs where the two
decide otherwise.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.evaluation.figures import error_map, stacked
from fusiongcn_edge.benchmarks.metrics.conversion import to_gray
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.cli.options import add_engine_argument, whole_number
from fusiongcn_edge.runtime.fusion.preview import GAP, thumbnail
from fusiongcn_edge.runtime.io.images import check_writable, read_image, write_image
from fusiongcn_edge.runtime.io.pairs import find_pairs

WORST = 4  # pairs to draw


def differing_fraction(decision: NDArray[np.bool_], stored: Path) -> float:
    """Compute the share of pixels on which a decision map (H x W) differs from a stored picture of one."""
    return float(np.mean(decision != stored_decision(stored, decision.shape)))


def stored_decision(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Read a decision map of this shape, (height, width), from a picture that is white where it is True."""
    picture = to_gray(read_image(path))
    if picture.shape != shape:
        raise FusionError(
            f"{path} is no decision map of this pair",
            found=f"{picture.shape[1]}x{picture.shape[0]}",
            allowed=f"{shape[1]}x{shape[0]}",
        )
    return np.asarray(picture > 127)


def main() -> int:
    """Print the table; 0 if every pair was compared and none of the limits given was passed."""
    parser = new_parser("experiments.decision_agreement", __doc__)
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
    parser.add_argument("--worst", metavar="FILE", help=f"draw the {WORST} pairs with the least agreement")
    arguments = parser.parse_args()
    return exit_code(lambda: _table(arguments))


def _table(arguments: argparse.Namespace) -> None:
    if arguments.worst is not None:
        check_writable(arguments.worst, np.empty((1, 1, 3), np.uint8))
    fuser = Fuser.open(arguments.model, engine=arguments.engine)
    other = Fuser.open(arguments.against, engine=arguments.engine) if arguments.against else None
    differences, sets, strips = list[float](), dict[str, list[float]](), list[NDArray[np.uint8]]()
    print("set         pair   pixels differing")
    for pair in find_pairs(arguments.pairs):
        a, b = read_image(pair.a), read_image(pair.b)
        decision = fuser.fuse(a, b).decision
        stored = pair.beside(arguments.maps)
        if other is not None:
            expected = other.fuse(a, b).decision
        elif stored is not None:
            expected = stored_decision(stored, decision.shape)
        else:
            raise FusionError(f"There is no {arguments.maps}/{pair.name}.* beside {pair.a.parent}")
        difference = float(np.mean(decision != expected))
        differences.append(difference)
        sets.setdefault(pair.set, []).append(difference)
        if arguments.worst is not None:
            strips.append(_strip(a, b, decision, expected))
        count = round(difference * decision.size)
        print(f"{pair.set:<12}{pair.name:<7}{count:>6}  {difference:.4%}", flush=True)
    print("\n" + "; ".join(f"{name}: mean {np.mean(found):.4%}" for name, found in sets.items()))
    if arguments.worst is not None:
        worst = np.argsort(-np.array(differences), kind="stable")[:WORST]
        write_image(arguments.worst, stacked([strips[number] for number in worst], gap=GAP))
    _check_limits(differences, arguments)


def _strip(
    a: NDArray[Any], b: NDArray[Any], decision: NDArray[np.bool_], expected: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Draw both decisions, and how much the photographs differ where these do, side by side."""
    wrong = error_map(a, b)
    wrong[decision == expected] = 0
    maps = [each.astype(np.uint8) * 255 for each in (decision, expected)]
    return np.hstack([thumbnail(picture) for picture in (*maps, wrong)])


def _check_limits(differences: list[float], arguments: argparse.Namespace) -> None:
    """Print how far all pairs agree, and refuse what passes a limit that was given."""
    identical = sum(d == 0 for d in differences)
    mean, worst = np.mean(differences), max(differences)
    print(f"{identical} of {len(differences)} identical; mean {mean:.4%}, worst {worst:.4%} of pixels")
    for what, share, limit in (
        ("differ in a pair", worst, arguments.at_most),
        ("differ in the mean of pairs", mean, arguments.mean_at_most),
    ):
        if limit is not None and share * 100 > limit:
            raise FusionError(f"Too many pixels {what}", found=f"{share:.4%}", allowed=f"at most {limit} %")
    if arguments.identical is not None and identical < arguments.identical:
        raise FusionError("Too few pairs are identical", found=identical, allowed=f"at least {arguments.identical}")


if __name__ == "__main__":
    sys.exit(main())
