"""FusionGCN-Lite without one of its parts, to see what that part brings; see ``benchmarks/experiments/ablation.py``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fusiongcn_edge.model import training
from fusiongcn_edge.model.config import LITE_CONFIG, TrainConfig
from fusiongcn_edge.model.data.dataset import to_sample
from fusiongcn_edge.model.data.photos import Photographs
from fusiongcn_edge.model.data.synthetic_scenes import Scene, make_scene
from fusiongcn_edge.model.fusiongcn_lite import EIGHTH, Block, FusionGCNLite, PixelNetwork
from fusiongcn_edge.model.validation import score
from fusiongcn_edge.runtime.bundle.manifest import LITE
from fusiongcn_edge.runtime.types import OnStage

# 'fusiongcn scenes --pairs DIR --count 100 --size 320 --seed 77' makes the same ones
HELD_OUT_SCENES, HELD_OUT_SIZE, HELD_OUT_SEED = 100, 320, 77
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


VARIANTS: dict[str, tuple[type[nn.Module], TrainConfig]] = {
    LITE: (FusionGCNLite, LITE_CONFIG),
    "no-graph": (WithoutGraph, LITE_CONFIG),
    "grid": (FusionGCNLite, dataclasses.replace(LITE_CONFIG, compactness=SQUARE)),
}


def parameters_of(network: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def trained(
    name: str,
    seed: int,
    steps: int,
    train: Photographs,
    held_out: Photographs,
    folder: Path,
    progress: OnStage = lambda text: None,
) -> training.Run:
    """A finished run of one of ``VARIANTS`` in ``folder``/NAME-SEED; one that is there goes on."""
    network, config = VARIANTS[name]
    place = folder / f"{name}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    run = training.Run(dataclasses.replace(config, steps=steps, seed=seed), place, train, held_out, network=network)
    if run.step < steps:
        training.run(run, progress=progress)
    return run


def fused_psnr(run: training.Run, a: NDArray[Any], b: NDArray[Any], truth: NDArray[Any]) -> float:
    """PSNR in dB of the softly fused pair (all uint8 H x W x 3) against its truth."""
    nothing = np.zeros(a.shape[:2], np.float32)
    scene = Scene(a, b, truth, nothing, nothing + 1, "pair")
    return score(run.average, [(scene, to_sample(scene, run.settings))])["held_out_psnr_soft"]


def held_out_scenes(photographs: Photographs) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Make scenes that no training run sees: other photographs, another seed."""
    for index in range(HELD_OUT_SCENES):
        scene = make_scene(photographs, HELD_OUT_SIZE, HELD_OUT_SEED, index)
        yield scene.a, scene.b, scene.truth
