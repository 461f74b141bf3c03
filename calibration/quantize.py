"""Quantize a bundle in memory: calibrate, rank layers, search precisions within the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fusiongcn_edge.calibration.calibration_data import PairSet, collect_calibration_inputs
from fusiongcn_edge.calibration.flip_rate import FlipRateEvaluator
from fusiongcn_edge.calibration.layers import (
    FP32,
    STATIC8,
    STATIC16,
    CalibrationError,
    Layer,
    Samples,
    with_precisions,
)
from fusiongcn_edge.calibration.recipes import AUTO, Recipe
from fusiongcn_edge.calibration.search import SEARCH_SHARE, search
from fusiongcn_edge.calibration.sensitivity import SensitivityPoint, sensitivities
from fusiongcn_edge.runtime.bundle.manifest import LITE, Bundle
from fusiongcn_edge.runtime.types import OnStage

RANKING_PAIRS = 6  # of the calibration pairs, to rank layers by: each of them is tried on all of these


@dataclass
class Choice:
    """What was found out so far: sensitivities, and the precision chosen for each layer, by its name."""

    points: list[SensitivityPoint] = field(default_factory=list)
    precisions: dict[str, str] = field(default_factory=dict)


def quantize(
    bundle: Bundle,
    recipe: Recipe,
    calibration: PairSet,
    choice: Choice,
    progress: OnStage,
    *,
    max_flips: float,
    seed: int = 0,
    rank: bool = False,
) -> Bundle:
    """Quantize a bundle in float32.

    Parameters
    ----------
    bundle : Bundle
    recipe : Recipe
    calibration : PairSet
        Pairs to calibrate, rank and search with.
    choice : Choice
        Is filled as things are found out, so that an interruption leaves them.
    progress : callable
    max_flips : float
        Budget of the recipe ``auto``, share of decisions; ``SEARCH_SHARE`` of it is used up here.
    seed : int
        Draws the windows to calibrate with.
    rank : bool
        Measure the sensitivity of layers even if the recipe does not need it.

    Raises
    ------
    CalibrationError
        If the recipe does not suit the bundle, or no layer can be quantized within the budget.
    """
    candidates = recipe.candidates_of(bundle)
    samples = _samples(bundle, candidates, calibration, seed, progress)
    if recipe.name == AUTO or rank:
        ranking = FlipRateEvaluator(bundle, calibration.pairs[:RANKING_PAIRS])
        choice.points.extend(sensitivities(ranking, candidates, samples, progress))
    if recipe.name == AUTO:
        progress("fusing the pairs that calibrate in float32")
        evaluator = FlipRateEvaluator(bundle, calibration.pairs)
        choice.precisions |= search(evaluator, candidates, choice.points, SEARCH_SHARE * max_flips, samples, progress)[
            0
        ]
        if set(choice.precisions.values()) == {FP32}:
            raise CalibrationError(
                "No layer can be quantized within the flip-rate budget, so nothing was written",
                allowed=f"at most {max_flips:.3%} of flipped decisions",
                fix="allow more with --max-flips",
            )
    else:
        choice.precisions |= recipe.first_choice(bundle)
    return with_precisions(bundle, choice.precisions, samples)


def _samples(
    bundle: Bundle, candidates: Mapping[Layer, Sequence[str]], calibration: PairSet, seed: int, progress: OnStage
) -> Samples:
    """Collect inputs of the graphs if a precision needs ranges of activations."""
    if not {STATIC8, STATIC16} & {precision for precisions in candidates.values() for precision in precisions}:
        return {}
    if bundle.engine == "litert" and not bundle.stages:
        remedy = "" if bundle.network == LITE else "export it without --whole-cnn, or "
        raise CalibrationError(
            "Ranges of a CNN that is one TFLite graph take tens of gigabytes to find",
            fix=f"{remedy}use a recipe without static ranges",
        )
    return collect_calibration_inputs(bundle, calibration.pairs, seed, progress)
