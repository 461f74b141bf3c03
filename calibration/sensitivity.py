"""What a model loses with smaller numbers, in terms of what it is for, and how much of it may be lost.

Three measures, each against the same model in float32: flipped decisions (share of pixels that are taken from the other
photograph), PSNR of the fused photograph, and the mean error of the probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fusiongcn_edge.calibration.calibration_data import Pair
from fusiongcn_edge.calibration.layers import FP16, FP32, CalibrationError, Layer, Samples, with_precisions
from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.fuser import Fuser
from fusiongcn_edge.runtime.io.pixels import psnr
from fusiongcn_edge.runtime.types import OnStage


@dataclass(frozen=True)
class Loss:
    """What is lost, by pair: shares of pixels, dB, and mean absolute errors of the probability."""

    flips: tuple[float, ...]
    psnr: tuple[float, ...]
    error: tuple[float, ...]

    @property
    def mean_flips(self) -> float:
        """Over the pairs."""
        return float(np.mean(self.flips))

    @property
    def worst_flips(self) -> float:
        """Of any pair."""
        return max(self.flips)

    @property
    def mean_psnr(self) -> float:
        """Over the pairs."""
        return float(np.mean(self.psnr))

    @property
    def mean_error(self) -> float:
        """Over the pairs."""
        return float(np.mean(self.error))


class FlipRateEvaluator:
    """Holds what a model makes of some pairs, and compares others with it."""

    def __init__(self, bundle: Bundle, pairs: Sequence[Pair]) -> None:
        fuser = Fuser(bundle)
        self.bundle, self._pairs = bundle, pairs
        self._expected = [fuser.fuse(*pair) for pair in pairs]

    def loss(self, candidate: Bundle) -> Loss:
        """Of a bundle that should answer as the first one does."""
        fuser = Fuser(candidate)
        found = [fuser.fuse(*pair) for pair in self._pairs]
        compared = list(zip(found, self._expected, strict=True))
        return Loss(
            flips=tuple(float(np.mean(a.decision != b.decision)) for a, b in compared),
            psnr=tuple(psnr(a.image, b.image, np.iinfo(b.image.dtype).max) for a, b in compared),
            error=tuple(float(np.abs(a.probability - b.probability).mean()) for a, b in compared),
        )


@dataclass(frozen=True)
class SensitivityPoint:
    """A layer alone in a precision, everything else in float32, and what that loses."""

    layer: Layer
    precision: str
    loss: Loss


def sensitivities(
    judge: FlipRateEvaluator, ladders: Mapping[Layer, Sequence[str]], samples: Samples, progress: OnStage
) -> Iterator[SensitivityPoint]:
    """Every layer alone in every precision of its ladder but float16 and float32, which are taken to lose nothing; each
    trial as soon as it is made.

    Parameters
    ----------
    judge : Judge
    ladders : dict of Layer to precisions
        Of each layer, those to try, the most wanted first.
    samples : dict
        For precisions that need calibration.
    progress : callable
    """
    lossless = (FP16, FP32)
    wanted = [(layer, step) for layer, candidates in ladders.items() for step in candidates if step not in lossless]
    for number, (layer, precision) in enumerate(wanted, start=1):
        progress(f"trial {number} of {len(wanted)}: layer {layer.name} in {precision}")
        yield SensitivityPoint(
            layer, precision, judge.loss(with_precisions(judge.bundle, {layer.name: precision}, samples))
        )


def search(
    judge: FlipRateEvaluator,
    ladders: Mapping[Layer, Sequence[str]],
    trials: Sequence[SensitivityPoint],
    max_flips: float,
    samples: Samples,
    progress: OnStage,
) -> tuple[dict[str, str], Loss]:
    """Precisions that flip at most ``max_flips`` of the decisions on the pairs of ``judge``, and what they lose there.

    All layers begin on the first step of their ladders. Steps down are ranked by the flips that they save (in
    ``trials``) for each weight that takes them, so that what is given up is little; the fewest that keep the budget
    are found by bisection.

    Raises
    ------
    CalibrationError
        If not even the last steps of the ladders keep it.
    """
    exclusive_lock = {(trial.layer.name, trial.precision): trial.loss.mean_flips for trial in trials}
    steps = []
    for layer, candidates in ladders.items():
        saved = [exclusive_lock.get((layer.name, precision), 0.0) for precision in candidates]
        worth = [(saved[i] - saved[i + 1]) / layer.weights for i in range(len(candidates) - 1)]
        for i, precision in enumerate(candidates[1:]):
            # a step is taken after those above it, however much it saves
            steps.append((min(worth[: i + 1]), -i, layer, precision))
    steps.sort(key=lambda step: step[:2], reverse=True)

    def after(number: int) -> dict[str, str]:
        chosen = {layer.name: candidates[0] for layer, candidates in ladders.items()}
        return chosen | {layer.name: precision for _, _, layer, precision in steps[:number]}

    def loss_after(number: int) -> Loss:
        progress(f"searching: {number} of {len(steps)} steps towards float32")
        return judge.loss(with_precisions(judge.bundle, after(number), samples))

    least, most = 0, len(steps)
    best = loss_after(0)
    if best.mean_flips <= max_flips:
        return after(0), best
    best = loss_after(most)
    if best.mean_flips > max_flips:
        raise CalibrationError(refusal(best, max_flips, "this is as near to float32 as the recipe goes"))
    while most - least > 1:
        middle = (least + most) // 2
        loss = loss_after(middle)
        if loss.mean_flips <= max_flips:
            most, best = middle, loss
        else:
            least = middle
    return after(most), best


def refusal(loss: Loss, max_flips: float, remedy: str) -> str:
    """Why a quantized model is not written, and what else could be done."""
    return (
        f"The quantized model flips {loss.mean_flips:.3%} of the decisions, and {max_flips:.3%} are allowed, so "
        f"nothing was written: allow more with --max-flips ({remedy})."
    )
