"""Measure how sensitive each layer is: what it loses alone in a precision, everything else in float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fusiongcn_edge.calibration.flip_rate import FlipRateEvaluator, Loss
from fusiongcn_edge.calibration.layers import FP16, FP32, Layer, Samples, with_precisions
from fusiongcn_edge.runtime.types import OnStage


@dataclass(frozen=True)
class SensitivityPoint:
    """A layer alone in a precision, and what that loses."""

    layer: Layer
    precision: str
    loss: Loss


def sensitivities(
    evaluator: FlipRateEvaluator, candidates: Mapping[Layer, Sequence[str]], samples: Samples, progress: OnStage
) -> Iterator[SensitivityPoint]:
    """Try every layer alone in each of its precisions but float16 and float32, which are taken to lose nothing.

    Parameters
    ----------
    evaluator : FlipRateEvaluator
    candidates : dict of Layer to precisions
        Of each layer, those to try, the most wanted first.
    samples : dict
        For precisions that need calibration.
    progress : callable

    Yields
    ------
    SensitivityPoint
        As soon as it is measured.
    """
    lossless = (FP16, FP32)
    wanted = [(layer, one) for layer, precisions in candidates.items() for one in precisions if one not in lossless]
    for number, (layer, precision) in enumerate(wanted, start=1):
        progress(f"trial {number} of {len(wanted)}: layer {layer.name} in {precision}")
        bundle = with_precisions(evaluator.bundle, {layer.name: precision}, samples)
        yield SensitivityPoint(layer, precision, evaluator.loss(bundle))
