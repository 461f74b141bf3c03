"""What decides the outcome of a training run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fusiongcn_edge.model.data.synthetic_scenes import SMALLEST_SCENE
from fusiongcn_edge.runtime.bundle.manifest import LITE, PUBLISHED
from fusiongcn_edge.runtime.errors import FusionError

PUBLISHED_SUPERPIXELS: dict[str, Any] = {"segments_per_side": 0.5, "compactness": 10.0, "sigma": 5.0, "iterations": 10}
MOST_SEED = 2**63 - 1  # that torch takes


class TrainingError(FusionError):
    """A training run that cannot start or go on."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the outcome of a run, saved with its state."""

    network: str = PUBLISHED
    steps: int = 6000
    batch: int = 4
    crop: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    schedule: str = "cosine"  # or "published": StepLR, factor 0.88 every 800 steps (3,200 pairs in batches of 4)
    warm_up: int = 200
    clip: float = 1.0
    ema: float = 0.998
    fused_weight: float = 0.25  # of half the logarithm of the fused image's error, beside the matte's cross-entropy
    blank: float = 0.0  # share of scenes in which nothing is sharp
    noise: float = 0.0  # share of scenes with equal noise in both photographs
    published_loss: bool = False  # L1 of the probability alone
    seed: int = 0
    weights: str = ""  # a checkpoint to begin with; none: random weights
    bf16: bool = True
    compactness: float = 0.1
    sigma: float = 2.0
    iterations: int = 3
    segments_per_side: float = 0.5
    cell_sizes: tuple[float, float] = (12.0, 36.0)  # superpixels of training crops, in pixels: drawn from this range

    def superpixels(self) -> dict[str, Any]:
        """The settings that the weights are used with."""
        if self.network == LITE:
            return {
                "segments_per_side": self.segments_per_side,
                "compactness": self.compactness,
                "iterations": self.iterations,
            }
        return {
            "segments_per_side": self.segments_per_side,
            "compactness": self.compactness,
            "sigma": self.sigma,
            "iterations": self.iterations,
        }


PUBLISHED_CONFIG = TrainConfig(
    steps=160_000, crop=224, learning_rate=2e-4, weight_decay=0.0, schedule="published", warm_up=0, clip=math.inf,
    ema=0.0, published_loss=True, bf16=False, **PUBLISHED_SUPERPIXELS,
)  # fmt: skip

LITE_CONFIG = TrainConfig(
    network=LITE, steps=20_000, batch=8, crop=224, learning_rate=3e-3, ema=0.999, bf16=False, sigma=0.0, blank=0.05,
    noise=0.5, cell_sizes=(20.0, 48.0), iterations=1,
)  # fmt: skip

CONFIGS = {PUBLISHED: TrainConfig(), LITE: LITE_CONFIG}


def check_config(config: TrainConfig) -> None:
    """Refuse, with a TrainingError, numbers that make no sense."""
    least = {"steps": 1, "batch": 1, "crop": SMALLEST_SCENE, "seed": 0, "iterations": 1}
    most = {"seed": MOST_SEED}
    for name, bound in least.items():
        value = getattr(config, name)
        if not bound <= value <= most.get(name, value):
            allowed = f"at least {bound}" + (f" and at most {most[name]}" if name in most else "")
            raise TrainingError(f"{name} is out of range", found=value, allowed=allowed)
    for name in ("learning_rate", "compactness", "segments_per_side", "fused_weight"):
        if not 0 < getattr(config, name) < math.inf:
            option = name.replace("_", "-")
            raise TrainingError(f"{option} is out of range", found=getattr(config, name), allowed="a number above 0")
    for name in ("noise", "blank"):
        if not 0 <= getattr(config, name) <= 1:
            raise TrainingError(f"{name} is out of range", found=getattr(config, name), allowed="a share from 0 to 1")


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Of the config's learning rate, at a step."""
    if config.schedule == "published":
        return float(0.88 ** (step // 800))
    warm = min(1.0, (step + 1) / config.warm_up) if config.warm_up else 1.0
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / config.steps))))
