"""Ways to quantize a model, by name: each says for every layer which precisions it may have, the wanted one first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fusiongcn_edge.calibration.layers import (
    DENSE,
    DYNAMIC,
    FP16,
    FP32,
    STATIC8,
    STATIC16,
    WEIGHT_ONLY,
    CalibrationError,
    Layer,
    format_of,
)
from fusiongcn_edge.runtime.bundle.manifest import Bundle

AUTO = "auto"
Candidates = Callable[[Layer, Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class Recipe:
    """``candidates``: from a layer and the precisions it can have to those it may take, best first."""

    name: str
    about: str
    candidates: Candidates

    def candidates_of(self, bundle: Bundle) -> dict[Layer, Sequence[str]]:
        """List the precisions that every layer of a bundle may take which the recipe touches, best first.

        Raises
        ------
        CalibrationError
            If no layer can have what it asks for.
        """
        model_format = format_of(bundle)
        found = {
            layer: self.candidates(layer, model_format.precisions(layer)) for layer in model_format.layers_of(bundle)
        }
        touched = {layer: candidates for layer, candidates in found.items() if tuple(candidates) != (FP32,)}
        if not touched or not (self.name == AUTO or any(self.name in candidates for candidates in touched.values())):
            raise CalibrationError(
                f"No layer of this model can have the precision {self.name!r} on the engine {bundle.engine!r}",
                fix="choose another recipe",
            )
        return touched

    def first_choice(self, bundle: Bundle) -> dict[str, str]:
        """Every layer that the recipe touches, by name, in the precision that it wants most; errors as above."""
        return {layer.name: candidates[0] for layer, candidates in self.candidates_of(bundle).items()}


def _only(*wanted: str) -> Candidates:
    """The first of these that a layer can have, or float32."""
    return lambda layer, possible: [next((p for p in wanted if p in possible), FP32)]


def _dense_only(precision: str) -> Candidates:
    return lambda layer, possible: [precision if layer.kind == DENSE and precision in possible else FP32]


def _auto(layer: Layer, possible: Sequence[str]) -> Sequence[str]:
    return [precision for precision in (DYNAMIC, WEIGHT_ONLY, FP16, FP32) if precision in possible]


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            AUTO,
            "as many layers in int8 as the budget of flips allows: what the engine computes fast in int8, then "
            "weights alone, then weights in float16, then float32",
            _auto,
        ),
        Recipe(FP16, "weights of dense convolutions in float16, computed in float32", _dense_only(FP16)),
        Recipe(WEIGHT_ONLY, "all weights in int8, computed in float32: small, as fast as float32", _only(WEIGHT_ONLY)),
        Recipe(
            DYNAMIC,
            "dense convolutions in int8 with ranges taken at run time, other weights in int8 (LiteRT)",
            _only(DYNAMIC, WEIGHT_ONLY),
        ),
        Recipe(
            STATIC8, "convolutions in int8 with calibrated ranges, other weights in int8", _only(STATIC8, WEIGHT_ONLY)
        ),
        Recipe(
            STATIC16,
            "convolutions with weights in int8 and activations in int16, other weights in int8",
            _only(STATIC16, WEIGHT_ONLY),
        ),
    )
}
