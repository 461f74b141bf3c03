"""What the parts of FusionGCN-Lite bring: variants trained alike, then scored alike.

    python -m fusiongcn_edge.benchmarks.ablation --photos DIR --held-out DIR [--truth DIR] -o DIR [--steps 1500]
        [--seed 0,1] [--variant NAME,NAME,…]

lite: as shipped. no-graph: without the graph network and what it tells; a third block at an eighth of the resolution
instead, as many multiply-accumulates. grid: superpixels that are squares and follow no edge. Every variant is trained
by the recipe of 'fusiongcn train lite' with the same scenes, on one thread, in DIR/VARIANT-SEED; started again, it goes
on. Scores are of the softly fused image, PSNR in dB: on pairs with their truth, and on scenes of the held-out
photographs.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from fusiongcn_edge.benchmarks.command import at_least_one, new_parser, report
from fusiongcn_edge.benchmarks.quality import Case, made_scenes, truth_pairs
from fusiongcn_edge.model import training
from fusiongcn_edge.model.checkpoint import NETWORKS
from fusiongcn_edge.model.lite import EIGHTH, Block, FusionGCNLite, PixelNetwork
from fusiongcn_edge.model.photographs import Photographs
from fusiongcn_edge.model.recipe import LITE, Recipe
from fusiongcn_edge.model.samples import to_sample
from fusiongcn_edge.model.scenes import Scene
from fusiongcn_edge.runtime import FusionError

SQUARE = 100.0  # compactness from which on superpixels are squares


class PixelsAlone(PixelNetwork):
    """Lite's CNN that ignores what the graph tells, with a third block at an eighth of the resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.eighth = nn.Sequential(Block(EIGHTH, 5), Block(EIGHTH, 5), Block(EIGHTH, 3))

    def quads(self, luminance: Tensor, context: Tensor) -> Tensor:
        """As :meth:`PixelNetwork.quads`."""
        return super().quads(luminance, context * 0)


class WithoutGraph(FusionGCNLite):
    """Lite without what its graph brings."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = PixelsAlone()
        self.gcn.requires_grad_(False)  # it is there, and nobody listens


VARIANTS: dict[str, tuple[type[nn.Module], Recipe]] = {
    "lite": (FusionGCNLite, LITE),
    "no-graph": (WithoutGraph, LITE),
    "grid": (FusionGCNLite, dataclasses.replace(LITE, compactness=SQUARE)),
}


def main() -> int:
    """Train, score, print."""
    parser = new_parser("ablation", __doc__)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="photographs to train on")
    parser.add_argument("--held-out", type=Path, required=True, metavar="DIR", help="photographs to score with")
    parser.add_argument("--truth", type=Path, metavar="DIR", help="pairs with their truth")
    parser.add_argument("--variant", default=",".join(VARIANTS), metavar="NAME,…", help="(default: %(default)s)")
    parser.add_argument("--seed", default="0,1", metavar="N,…", help="a run of each variant for each (default: 0,1)")
    parser.add_argument("--steps", type=at_least_one, default=1500, metavar="N", help="(default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the runs")
    arguments = parser.parse_args()
    unknown = set(arguments.variant.split(",")) - set(VARIANTS)
    if unknown:
        parser.error(f"there is no variant {', '.join(sorted(unknown))}: choose among {', '.join(VARIANTS)}")
    if not all(text.isdigit() for text in arguments.seed.split(",")):
        parser.error(f"{arguments.seed!r} are no seeds: give whole numbers, as 0,1")
    training.keep_freed_memory()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return report(lambda: _compare(arguments))


def _compare(arguments: argparse.Namespace) -> None:
    train, held_out = Photographs(arguments.photos), Photographs(arguments.held_out)
    kinds: dict[str, Callable[[], Iterable[Case]]] = {"scenes": lambda: made_scenes(arguments.held_out)}
    if arguments.truth is not None:
        kinds = {"truth": lambda: truth_pairs(arguments.truth)} | kinds
    print(
        f"{'variant':<10}{'seed':>5}{'steps':>7}{'parameters':>12}" + "".join(f"{kind:>9}" for kind in kinds),
        flush=True,
    )
    for seed in map(int, arguments.seed.split(",")):
        for name in arguments.variant.split(","):
            run = train_variant(name, seed, arguments.steps, train, held_out, arguments.output)
            found = [float(np.mean([_psnr(run, case) for case in cases()])) for cases in kinds.values()]
            count = parameters_of(run.network)
            scores = "".join(f"{value:>9.2f}" for value in found)
            print(f"{name:<10}{seed:>5}{run.step:>7}{count:>12,}{scores}", flush=True)


def parameters_of(network: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def train_variant(
    name: str, seed: int, steps: int, train: Photographs, held_out: Photographs, folder: Path
) -> training.Run:
    """A finished run of one variant."""
    network, recipe = VARIANTS[name]
    place = folder / f"{name}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    shipped = NETWORKS["lite"]
    NETWORKS["lite"] = network
    try:
        run = training.Run(dataclasses.replace(recipe, steps=steps, seed=seed), place, train, held_out)
    finally:
        NETWORKS["lite"] = shipped
    if run.step < steps:
        training.run(run)
    return run


def _psnr(run: training.Run, case: Case) -> float:
    _, a, b, truth = case
    if truth is None:
        raise FusionError("These pairs have no truth: give --truth a folder that has.")
    nothing = np.zeros(a.shape[:2], np.float32)
    scene = Scene(a, b, truth, nothing, nothing + 1, "pair")
    scores = training.score(run.average, [(scene, to_sample(scene, run.settings))])
    return scores["held_out_psnr_soft"]


if __name__ == "__main__":
    sys.exit(main())
