"""What the parts of FusionGCN-Lite bring: variants trained alike, then scored alike.

    python -m fusiongcn_edge.benchmarks.experiments.ablation --photos DIR --held-out DIR [--truth DIR] -o DIR
        [--steps 1500] [--seed 0,1] [--variant NAME,NAME,…]

lite: as shipped. no-graph: without the graph network and what it tells; a third block at an eighth of the resolution
instead, as many multiply-accumulates. grid: superpixels that are squares and follow no edge. Every variant is trained
by the recipe of 'fusiongcn train lite' with the same scenes, on one thread, in DIR/VARIANT-SEED; started again, it goes
on. Scores are of the softly fused image, PSNR in dB: on pairs with their truth, and on scenes of the held-out
photographs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.evaluation.runner import find_groups
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime.cli.options import whole_number
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.io.images import read_image

NAMES = ("lite", "no-graph", "grid")
Case = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # both photographs and the all-in-focus image


def main() -> int:
    """Train, score, print."""
    parser = new_parser("experiments.ablation", __doc__)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="photographs to train on")
    parser.add_argument("--held-out", type=Path, required=True, metavar="DIR", help="photographs to score with")
    parser.add_argument("--truth", type=Path, metavar="DIR", help="pairs with their truth")
    parser.add_argument("--variant", default=",".join(NAMES), metavar="NAME,…", help="(default: %(default)s)")
    parser.add_argument("--seed", default="0,1", metavar="N,…", help="a run of each variant for each (default: 0,1)")
    parser.add_argument("--steps", type=whole_number(1), default=1500, metavar="N", help="(default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the runs")
    arguments = parser.parse_args()
    unknown = set(arguments.variant.split(",")) - set(NAMES)
    if unknown:
        parser.error(f"there is no variant {', '.join(sorted(unknown))}: choose among {', '.join(NAMES)}")
    if not all(text.isdigit() for text in arguments.seed.split(",")):
        parser.error(f"{arguments.seed!r} are no seeds: give whole numbers, as 0,1")
    return exit_code(lambda: _compare(arguments))


def _compare(arguments: argparse.Namespace) -> None:
    import torch

    from fusiongcn_edge.benchmarks.experiments.lite_variants import fused_psnr, held_out_scenes, parameters_of, trained
    from fusiongcn_edge.model.data.photos import Photographs
    from fusiongcn_edge.model.training import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    train, held_out = Photographs(arguments.photos), Photographs(arguments.held_out)
    kinds: dict[str, Callable[[], Iterable[Case]]] = {"scenes": lambda: held_out_scenes(held_out)}
    if arguments.truth is not None:
        kinds = {"truth": lambda: truth_pairs(arguments.truth)} | kinds
    columns = "".join(f"{kind:>9}" for kind in kinds)
    print(f"{'variant':<10}{'seed':>5}{'steps':>7}{'parameters':>12}{columns}", flush=True)
    for seed in map(int, arguments.seed.split(",")):
        for name in arguments.variant.split(","):
            with Progress() as progress:
                run = trained(name, seed, arguments.steps, train, held_out, arguments.output, progress)
            found = [np.mean([fused_psnr(run, *case) for case in cases()]) for cases in kinds.values()]
            scores = "".join(f"{value:>9.2f}" for value in found)
            print(f"{name:<10}{seed:>5}{run.step:>7}{parameters_of(run.network):>12,}{scores}", flush=True)


def truth_pairs(folder: Path) -> Iterator[Case]:
    """Read the pairs below a folder with the image in ``truth/`` beside ``a/`` and ``b/``."""
    for group in find_groups(None, folder):
        for case in group.cases:
            assert case.truth is not None
            yield read_image(case.pair.a), read_image(case.pair.b), read_image(case.truth)


if __name__ == "__main__":
    sys.exit(main())
