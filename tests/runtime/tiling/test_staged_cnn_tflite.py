"""The CNN as TFLite in tiles of fixed sizes: the same answer as whole, whatever is kept and whichever size is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.engines import litert_engine
from fusiongcn_edge.runtime.tiling import memory_plan
from fusiongcn_edge.runtime.tiling.memory_plan import best_size
from helpers.cnn import Arrays, inputs, probability


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 40), (33, 47), (100, 40), (20, 130), (3, 5)])
def test_tiles_give_what_the_network_gives(height: int, width: int, tflite_bundle: Path, whole_bundle: Path) -> None:
    arrays = inputs(height, width, nodes=2 if height < 9 else 9)
    expected = probability(whole_bundle, arrays)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(probability(tflite_bundle, arrays), expected, rtol=0, atol=1e-4)


def test_what_is_kept_and_how_many_threads_changes_no_bit(tflite_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, arrays = load_bundle(tflite_bundle), inputs(75, 60)
    expected = probability(tflite_bundle, arrays)
    size = best_size(bundle, 75, 60)
    for given_up in range(len(bundle.cached_tensors) + 1):
        chosen = memory_plan._plan(bundle, 75, 60, bundle.cached_tensors[given_up:], 1 + given_up % 3, size)
        monkeypatch.setattr(memory_plan, "plan", lambda *_, chosen=chosen: chosen)
        np.testing.assert_array_equal(probability(tflite_bundle, arrays, chosen.threads), expected)


def test_what_is_computed_again_is_computed_once_for_a_tile(
    tflite_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, calls = load_bundle(tflite_bundle), list[str]()
    run = litert_engine.LitertGraph.run

    def counted(self: litert_engine.LitertGraph, inputs: Arrays) -> Arrays:
        calls.append(str(self._graph.entry))
        return run(self, inputs)

    monkeypatch.setattr(litert_engine.LitertGraph, "run", counted)
    monkeypatch.setattr(
        memory_plan, "plan", lambda *_: memory_plan._plan(bundle, 64, 80, (), 1, "16x40")
    )  # nothing is kept but the probability
    monkeypatch.setattr(memory_plan, "best_size", lambda *_: "16x40")
    probability(tflite_bundle, inputs(64, 80))
    # eight tiles; each stage's window grows by its readers' reach, so that it takes a few tiles, once for each of the
    # five sweeps that ask for it
    assert calls.count("stem@16x40") < 8 * 5 * 9


def test_the_size_whose_tiles_fit_best_is_taken(tflite_bundle: Path) -> None:
    bundle = load_bundle(tflite_bundle)
    assert best_size(bundle, 32, 80) == "16x40"
    assert best_size(bundle, 24, 100) == "24x20"
    arrays = inputs(48, 80)
    both = []
    for size in ("16x40", "24x20"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(memory_plan, "best_size", lambda *_, size=size: size)
            both.append(probability(tflite_bundle, arrays))
    np.testing.assert_allclose(*both, rtol=0, atol=1e-4)
