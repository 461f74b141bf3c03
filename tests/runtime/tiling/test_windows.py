"""Windows: of one fixed size, or of as many pixels as are allowed; an image is covered, and its answer has no seams."""

from __future__ import annotations

import itertools
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusiongcn_edge.export.subgraphs_lite import MARGIN
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fusiongcn_edge.runtime.tiling import overlapping_cnn, windowed_cnn
from fusiongcn_edge.runtime.tiling.windowed_cnn import cover, window_side, window_size
from fusiongcn_edge.runtime.types import Window
from helpers.cnn import Arrays, inputs, probability

# one graph of a fixed size


def test_a_graph_of_the_right_size_answers_as_the_network(whole_tflite_bundle: Path, whole_bundle: Path) -> None:
    arrays = inputs(48, 64)
    np.testing.assert_allclose(
        probability(whole_tflite_bundle, arrays), probability(whole_bundle, arrays), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize(("height", "width"), [(40, 64), (150, 128), (96, 300), (16, 400)])
def test_other_sizes_are_served_by_mirroring_and_overlapping_windows(
    height: int, width: int, whole_tflite_bundle: Path, whole_bundle: Path
) -> None:
    arrays = inputs(height, width, nodes=20)
    found, expected = probability(whole_tflite_bundle, arrays), probability(whole_bundle, arrays)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    assert 0 <= found.min() < found.max() <= 1
    assert np.mean((found > 0.5) == (expected > 0.5)) > 0.9  # the statistics over the image are those of a window


@given(height=st.integers(1, 300), width=st.integers(1, 300), rows=st.integers(16, 90), columns=st.integers(16, 90))
def test_windows_cover_an_image_and_overlap(height: int, width: int, rows: int, columns: int) -> None:
    covered = np.zeros((height, width))
    placed = overlapping_cnn._windows(height, width, (rows, columns))
    for window in placed:
        assert window.top >= 0
        assert window.left >= 0
        inner = window.within(Window(0, height, 0, width))
        covered[inner.top : inner.bottom, inner.left : inner.right] += 1
    assert covered.min() >= 1
    for side, length, starts in (
        (rows, height, sorted({window.top for window in placed})),
        (columns, width, sorted({window.left for window in placed})),
    ):
        assert all(later - former <= side - side // 4 + 1 for former, later in itertools.pairwise(starts))
        assert starts[-1] + side >= length
        assert starts[-1] <= max(0, length - side)


def test_windows_of_one_answer_are_blended_to_that_answer() -> None:
    class Constant:
        def run(self, inputs: Arrays) -> Arrays:
            return {"probability": np.full(inputs["labels"].shape, 0.3, np.float32)}

    cnn = object.__new__(overlapping_cnn.OverlappingCnn)
    cnn._sizes = {(32, 48): types.SimpleNamespace(smallest_fitting=lambda nodes: (nodes, Constant()))}
    np.testing.assert_allclose(cnn.run(inputs(100, 131))["probability"], 0.3, rtol=1e-6)


# windows of Lite


@pytest.mark.parametrize("side", [128, 192, 256, 320])
def test_the_shipped_model_decides_in_windows_as_at_once(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = synthetic_pair(360, 440, seed=4)
    fuser = Fuser.open(engine="onnx", threads=1)
    whole = fuser.fuse(*pair)
    monkeypatch.setattr("fusiongcn_edge.runtime.tiling.windowed_cnn.LEAST_PIXELS", side * side)
    monkeypatch.setattr("fusiongcn_edge.runtime.tiling.windowed_cnn.MOST_PIXELS", side * side)
    windowed = fuser.fuse(*pair)
    assert 0.2 < whole.decision.mean() < 0.8
    assert np.mean(windowed.decision != whole.decision) <= 0.0005
    np.testing.assert_allclose(windowed.probability, whole.probability, atol=1e-5)  # nor is there a seam


@pytest.mark.parametrize(("length", "side"), [(520, 520), (3040, 904), (1000, 128), (40, 904), (121 * 8, 120)])
def test_windows_cover_a_length_and_keep_off_their_edges(length: int, side: int) -> None:
    windowed_cnn = cover(length, side, MARGIN)
    assert [edge for _, (edge, _) in windowed_cnn] == [0, *(edge for _, (_, edge) in windowed_cnn[:-1])]
    assert windowed_cnn[-1][1][1] == length
    for start, (first, last) in windowed_cnn:
        assert start % 8 == first % 8 == 0
        assert start == 0 or first >= start + MARGIN
        assert last == length or last <= start + side - MARGIN
        assert start == 0 or start + side <= length


@pytest.mark.parametrize(("length", "longest"), [(520, 1024), (4056, 1024), (3040, 903), (1016, 256)])
def test_equal_windows_are_the_fewest_and_the_shortest(length: int, longest: int) -> None:
    allowed = range(2 * MARGIN + 8, min(length, longest) + 1, 8)
    fewest = min(len(cover(length, side, MARGIN)) for side in allowed)
    shortest = next(side for side in allowed if len(cover(length, side, MARGIN)) == fewest)
    assert window_side(length, longest, MARGIN) == shortest


@pytest.mark.parametrize(("height", "width"), [(24, 8000), (8000, 24), (504, 904), (3040, 4056), (520, 520)])
def test_windows_have_the_pixels_that_are_allowed(height: int, width: int) -> None:
    rows, columns = window_size(height, width, 1 << 19, MARGIN)
    assert rows * columns <= 1 << 19
    if height * width <= 1 << 19:
        assert (rows, columns) == (height, width)


# how much is done


@pytest.mark.export
@pytest.mark.parametrize(
    ("model", "size"),
    [("random_bundle", (100, 140)), ("whole_tflite_bundle", (100, 140)), ("fusiongcn-lite", (300, 400))],
)
def test_how_much_is_done_is_told(
    model: str, size: tuple[int, int], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windowed_cnn, "MOST_PIXELS", 1 << 16)
    path = request.getfixturevalue(model) if model.endswith("bundle") else model
    fuser, pair, shares = Fuser.open(path, threads=2), synthetic_pair(*size), list[float]()
    found = fuser.fuse(*pair, share=shares.append)
    assert len(shares) > 1
    assert sorted(set(shares)) == shares
    assert 0 < shares[0] < shares[-1] == 1
    np.testing.assert_array_equal(found.image, fuser.fuse(*pair).image)
