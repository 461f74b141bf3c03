"""Calibration data, sensitivity of layers, and the search within the flip-rate budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.calibration import search, sensitivity
from fusiongcn_edge.calibration.calibration_data import collect_calibration_inputs, pairs_from
from fusiongcn_edge.calibration.flip_rate import FlipRateEvaluator, Loss
from fusiongcn_edge.calibration.layers import DENSE, DYNAMIC, FP32, WEIGHT_ONLY, CalibrationError, Layer
from fusiongcn_edge.calibration.search import search as search_precisions
from fusiongcn_edge.calibration.sensitivity import SensitivityPoint, sensitivities
from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from helpers.calibrating import PAIRS, folder_of, silent

# samples


def test_samples_are_the_runtimes_own_inputs_and_the_same_for_a_seed(bundle: Bundle) -> None:
    pairs = [synthetic_pair(130, 150, seed) for seed in range(2)]
    first, again, other = (collect_calibration_inputs(bundle, pairs, seed, silent) for seed in (0, 0, 1))
    assert set(first) == set(bundle.graphs)
    for key, graph in bundle.graphs.items():
        for kept in first[key]:
            assert set(kept) == set(graph.inputs)
        for one, two in zip(first[key], again[key], strict=True):
            assert all(np.array_equal(one[name], two[name]) for name in one)
    if bundle.engine == "litert":  # many small tiles, of which some are drawn
        for key in ("stem@16x40", "stem@24x20"):
            assert len(first[key]) == len(other[key]) == 16
            assert any(
                not np.array_equal(one["images"], two["images"])
                for one, two in zip(first[key], other[key], strict=True)
            )


def test_pairs_that_say_nothing_are_named(tmp_path: Path) -> None:
    first, second = synthetic_pair(40, 50)
    flat = np.full((40, 50, 3), 90, np.uint8)

    def refusal(name: str, pair: tuple[NDArray[Any], NDArray[Any]]) -> str:
        with pytest.raises(CalibrationError) as caught:
            pairs_from(folder_of(tmp_path / name, [pair]), 8, 0)
        return str(caught.value)

    blue = np.zeros_like(flat) + np.array([255, 0, 0], np.uint8)
    for name, pair in {"flat": (flat, second), "blue": (second, blue), "same": (first, first)}.items():
        assert "0.png are flat or the same" in refusal(name, pair)
    assert "same size" in refusal("sizes", (first, second[1:]))
    with pytest.raises(FusionError, match="No pairs below"):
        pairs_from(tmp_path / "nothing", 8, 0)


def test_pairs_are_drawn_by_seed_and_known_by_their_pixels(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "pairs", [synthetic_pair(40, 50, seed) for seed in range(6)])
    first, again, other = (pairs_from(folder, 3, seed) for seed in (0, 0, 1))
    assert len(first.pairs) == 3
    assert first.sha256 == again.sha256 != other.sha256
    assert pairs_from(None, 4, 0).sha256 == pairs_from(None, 4, 0).sha256
    assert [len(half.pairs) for half in pairs_from(None, 3, 0).split()] == [2, 1]


# sensitivity and search


class Additive:
    """An evaluator for which every layer flips what a table says, wherever it is used."""

    def __init__(self, bundle: Bundle, flips: dict[tuple[str, str], float]) -> None:
        self.bundle, self.flips, self.asked = bundle, flips, 0

    def loss(self, candidate: Any) -> Loss:
        self.asked += 1
        return Loss((sum(self.flips.get(item, 0.0) for item in candidate.items()),), (50.0,), (0.0,))


def layer(name: str, weights: int) -> Layer:
    return Layer(name, DENSE, (weights,), ())


@pytest.fixture
def additive(monkeypatch: pytest.MonkeyPatch, random_bundle: Path) -> Additive:
    for module in (sensitivity, search):
        monkeypatch.setattr(module, "with_precisions", lambda bundle, precisions, samples: dict(precisions))
    flips = {
        ("cheap", DYNAMIC): 0.001, ("cheap", WEIGHT_ONLY): 0.0005,
        ("dear", DYNAMIC): 0.010, ("dear", WEIGHT_ONLY): 0.004,
        ("large", DYNAMIC): 0.010, ("large", WEIGHT_ONLY): 0.001,
    }  # fmt: skip
    return Additive(load_bundle(random_bundle), flips)


CANDIDATES = {
    layer(name, n): (DYNAMIC, WEIGHT_ONLY, FP32) for name, n in (("cheap", 100), ("dear", 100), ("large", 1000))
}


def found_for(additive: Additive, max_flips: float) -> dict[str, str]:
    points = list(sensitivities(additive, CANDIDATES, {}, silent))  # type: ignore[arg-type]
    assert len(points) == 6
    return search_precisions(additive, CANDIDATES, points, max_flips, {}, silent)[0]  # type: ignore[arg-type]


def test_the_search_gives_up_what_saves_most_for_least(additive: Additive) -> None:
    assert set(found_for(additive, 0.05).values()) == {DYNAMIC}
    assert found_for(additive, 0.016) == {"cheap": DYNAMIC, "dear": WEIGHT_ONLY, "large": DYNAMIC}
    assert found_for(additive, 0.012) == {"cheap": DYNAMIC, "dear": FP32, "large": DYNAMIC}
    assert found_for(additive, 0.0021) == {"cheap": DYNAMIC, "dear": FP32, "large": WEIGHT_ONLY}
    assert set(found_for(additive, 0.0).values()) == {FP32}


def test_the_search_refuses_a_budget_that_cannot_be_met(additive: Additive) -> None:
    candidates = {one: (DYNAMIC, WEIGHT_ONLY) for one in CANDIDATES}
    points = [
        SensitivityPoint(one, DYNAMIC, Loss((additive.flips[one.name, DYNAMIC],), (50.0,), (0.0,)))
        for one in candidates
    ]
    with pytest.raises(CalibrationError) as refused:
        search_precisions(additive, candidates, points, 0.001, {}, silent)  # type: ignore[arg-type]
    assert (refused.value.found, refused.value.allowed) == ("0.550%", "at most 0.100%")


def test_the_loss_is_that_of_the_pictures(random_bundle: Path) -> None:
    bundle = load_bundle(random_bundle)
    same = FlipRateEvaluator(bundle, PAIRS).loss(bundle)
    assert same.flips == (0.0, 0.0)
    assert same.psnr == (100.0, 100.0)
    assert same.error == (0.0, 0.0)
