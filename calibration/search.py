"""Apply the flip-rate budget (``--max-flips``): search precisions that keep it, and refuse a model that does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fusiongcn_edge.calibration.flip_rate import FlipRateEvaluator, Loss
from fusiongcn_edge.calibration.layers import CalibrationError, Layer, Samples, with_precisions
from fusiongcn_edge.calibration.sensitivity import SensitivityPoint
from fusiongcn_edge.runtime.types import OnStage

SEARCH_SHARE = 0.25  # of the budget that the search may use on its own pairs: others lose up to three times as much


def check_budget(loss: Loss, max_flips: float, remedy: str) -> None:
    """Refuse a quantized model whose flip rate is above the budget.

    Raises
    ------
    CalibrationError
    """
    if loss.mean_flips > max_flips:
        raise CalibrationError(
            "The quantized model flips too many decisions, so nothing was written",
            found=f"{loss.mean_flips:.3%}",
            allowed=f"at most {max_flips:.3%}",
            fix=f"allow more with --max-flips ({remedy})",
        )


def search(
    evaluator: FlipRateEvaluator,
    candidates: Mapping[Layer, Sequence[str]],
    points: Sequence[SensitivityPoint],
    max_flips: float,
    samples: Samples,
    progress: OnStage,
) -> tuple[dict[str, str], Loss]:
    """Find precisions that flip at most ``max_flips`` of the decisions on the evaluator's pairs.

    All layers begin in the first of their precisions. Steps to the next one are ranked by the flips that they save (in
    ``points``) for each weight that takes them, so that what is given up is little; the fewest that keep the budget
    are found by bisection.

    Returns
    -------
    precisions : dict
        By the layer's name.
    loss : Loss
        In these precisions.

    Raises
    ------
    CalibrationError
        If not even the last precisions keep the budget.
    """
    steps = _ranked_steps(candidates, points)

    def after(number: int) -> dict[str, str]:
        chosen = {layer.name: precisions[0] for layer, precisions in candidates.items()}
        return chosen | {layer.name: precision for layer, precision in steps[:number]}

    def loss_after(number: int) -> Loss:
        progress(f"searching: {number} of {len(steps)} steps towards float32")
        return evaluator.loss(with_precisions(evaluator.bundle, after(number), samples))

    least, most = 0, len(steps)
    best = loss_after(0)
    if best.mean_flips <= max_flips:
        return after(0), best
    best = loss_after(most)
    check_budget(best, max_flips, "this is as near to float32 as the recipe goes")
    while most - least > 1:
        middle = (least + most) // 2
        loss = loss_after(middle)
        if loss.mean_flips <= max_flips:
            most, best = middle, loss
        else:
            least = middle
    return after(most), best


def _ranked_steps(
    candidates: Mapping[Layer, Sequence[str]], points: Sequence[SensitivityPoint]
) -> list[tuple[Layer, str]]:
    """List all steps of a layer to its next precision, those that save most flips for each weight first."""
    alone = {(point.layer.name, point.precision): point.loss.mean_flips for point in points}
    steps = []
    for layer, precisions in candidates.items():
        flips = [alone.get((layer.name, precision), 0.0) for precision in precisions]
        worth = [(flips[i] - flips[i + 1]) / layer.weights for i in range(len(precisions) - 1)]
        for i, precision in enumerate(precisions[1:]):
            # a step is taken after those before it, however much it saves
            steps.append((min(worth[: i + 1]), -i, layer, precision))
    steps.sort(key=lambda step: step[:2], reverse=True)
    return [(layer, precision) for _, _, layer, precision in steps]
