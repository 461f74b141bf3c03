"""The CNN in tiles: the same answer whatever is kept, however many threads, and what memory it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.engines.base import get_engine
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fusiongcn_edge.runtime.networks.fusiongcn import PublishedNetwork, open_cnn
from fusiongcn_edge.runtime.system.resources import resident_memory
from fusiongcn_edge.runtime.tiling import memory_plan, staged_cnn
from fusiongcn_edge.runtime.tiling.label_tables import superpixel_patterns
from fusiongcn_edge.runtime.tiling.memory_plan import plan
from fusiongcn_edge.runtime.tiling.staged_cnn import TiledCnn, statistics
from fusiongcn_edge.runtime.tiling.tile_store import TiledArray
from fusiongcn_edge.runtime.types import Window


def inputs(height: int, width: int, nodes: int = 9) -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng(height)
    return {
        "images": rng.uniform(-1, 1, (2, 3, height, width)).astype(np.float32),
        "labels": rng.integers(0, nodes, (height // 4 + 1, width // 4 + 1), np.int32)
        .repeat(4, 0)
        .repeat(4, 1)[:height, :width],
        "shallow": rng.random((2, nodes, 18), np.float32),
        "deep": rng.random((2, nodes, 36), np.float32),
    }


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small image has many tiles, and every stage inner ones and ones at each edge."""
    monkeypatch.setattr(memory_plan, "TILE_PIXELS", 300)
    monkeypatch.setattr(memory_plan, "TILE_COLUMNS", 25)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (33, 47), (100, 40), (9, 130)])
def test_tiles_give_what_the_whole_graph_gives(
    height: int, width: int, random_bundle: Path, whole_bundle: Path, small_tiles: None
) -> None:
    arrays = inputs(height, width)
    found, expected = (
        open_cnn(load_bundle(path), get_engine("onnx"), 1).run(arrays)["probability"]
        for path in (random_bundle, whole_bundle)
    )
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_what_is_kept_and_how_many_threads_changes_no_bit(
    random_bundle: Path, small_tiles: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(random_bundle)
    arrays = inputs(75, 60)
    expected = open_cnn(bundle, get_engine("onnx"), 1).run(arrays)["probability"]
    for given_up in range(len(bundle.cached_tensors) + 1):
        for threads in (1, 3):
            chosen = memory_plan._plan(bundle, 75, 60, bundle.cached_tensors[given_up:], threads)
            monkeypatch.setattr(memory_plan, "plan", lambda *_, chosen=chosen: chosen)
            cnn = open_cnn(bundle, get_engine("onnx"), threads)
            np.testing.assert_array_equal(cnn.run(arrays)["probability"], expected)


def test_less_memory_is_used_before_it_is_refused(random_bundle: Path) -> None:
    bundle = load_bundle(random_bundle)
    roomy = plan(bundle, 2048, 2048, 2**62, 4)
    assert roomy.threads == 4
    assert set(bundle.cached_tensors) < roomy.kept
    lean = plan(bundle, 2048, 2048, 0, 4)
    assert lean.threads == 1
    assert lean.kept == {"probability"}
    between = plan(bundle, 2048, 2048, (roomy.bytes + lean.bytes) // 2, 4)
    assert lean.bytes < between.bytes <= (roomy.bytes + lean.bytes) // 2


def test_the_memory_of_a_plan_counts_what_is_held_at_once(random_bundle: Path) -> None:
    bundle = load_bundle(random_bundle)
    extra = plan(bundle, 2000, 500, 2**62, 1).bytes - plan(bundle, 1000, 500, 2**62, 1).bytes
    # mixed and decoder_wide: 48 + 96 channels of float32
    assert extra == 1000 * 500 * 4 * (48 + 96)


def test_too_little_memory_is_refused_with_what_is_needed(
    random_bundle: Path, photographs: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    limit = resident_memory() / 1e6 + 0.1
    with pytest.raises(FusionError, match=r"of this size need about \d+ MB"):
        Fuser.open(random_bundle, max_memory=limit).fuse(*photographs)
    with pytest.raises(FusionError, match="above 0"):
        Fuser.open(random_bundle, max_memory=0)
    with pytest.raises(FusionError, match="above 0"):
        Fuser.open(random_bundle, max_memory=float("inf"))


def test_a_second_pair_needs_no_more_than_the_first(random_bundle: Path) -> None:
    pair = synthetic_pair(300, 300)
    chosen = plan(load_bundle(random_bundle), 300, 300, 2**62, 1)
    fuser = Fuser.open(random_bundle, threads=1)
    assert isinstance(fuser.network, PublishedNetwork)
    cnn = fuser.network._cnn
    assert isinstance(cnn, TiledCnn)
    first = fuser.fuse(*pair).probability
    # what the engine keeps to work in is part of what the process holds now, and is not needed once more
    cnn._limit = resident_memory() + chosen.bytes - chosen.working // 2
    np.testing.assert_array_equal(fuser.fuse(*pair).probability, first)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_memory_that_runs_out_is_a_sentence(
    error: Exception, random_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(staged_cnn, "superpixel_patterns", fail)
    with pytest.raises(FusionError, match="Memory ran out"):
        Fuser.open(random_bundle).fuse(*synthetic_pair(40, 40))


def test_the_leanest_plan_is_the_leanest(random_bundle: Path) -> None:
    bundle = load_bundle(random_bundle)
    for side in (16, 64, 200, 2000):
        all_ = [
            memory_plan._plan(bundle, side, side, bundle.cached_tensors[n:], 1).bytes
            for n in range(len(bundle.cached_tensors) + 1)
        ]
        assert plan(bundle, side, side, 0, 3).bytes == min(all_)


def test_what_is_given_up_cannot_be_read() -> None:
    image = TiledArray([0, 2, 4, 6], [0, 3], [[np.ones((1, 2, 3))] for _ in range(3)])
    image.forget(5)
    image.read(Window(4, 6, 0, 3))
    with pytest.raises(AssertionError):
        image.read(Window(3, 6, 0, 3))


def test_a_whole_graph_takes_no_limit(
    whole_bundle: Path, photographs: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    with pytest.raises(FusionError, match="export it in stages"):
        Fuser.open(whole_bundle, max_memory=4000)
    assert Fuser.open(whole_bundle).fuse(*photographs).image.shape == photographs[0].shape


def test_a_failing_stage_is_an_error_not_a_hang(random_bundle: Path) -> None:
    bundle = load_bundle(random_bundle)

    class Failing:
        def run(self, inputs: object) -> dict[str, NDArray[np.generic]]:
            raise FusionError("no more memory")

    engine = get_engine("onnx")
    cnn = TiledCnn(
        bundle, lambda graph: Failing() if graph.file == "mix.onnx" else engine.load(graph, 1, shared_arena=True), 2
    )
    with pytest.raises(FusionError, match="no more memory"):
        cnn.run(inputs(40, 40))


@given(
    heights=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    corner=st.tuples(st.integers(-3, 30), st.integers(-3, 30)),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    outside=st.integers(0, 3),
)
def test_windows_are_read_across_tiles_and_beyond_the_edges(
    heights: list[int], widths: list[int], corner: tuple[int, int], size: tuple[int, int], outside: int
) -> None:
    rows, columns = np.cumsum([0, *heights]).tolist(), np.cumsum([0, *widths]).tolist()
    whole = np.arange(1, 2 * rows[-1] * columns[-1] + 1, dtype=np.int32).reshape(2, rows[-1], columns[-1])
    cut = [np.split(row, columns[1:-1], axis=2) for row in np.split(whole, rows[1:-1], axis=1)]
    window = Window(corner[0], corner[0] + size[0], corner[1], corner[1] + size[1])
    padded = np.pad(whole, ((0, 0), (3, 60), (3, 60)), constant_values=outside)
    expected = padded[:, corner[0] + 3 :, corner[1] + 3 :][:, : size[0], : size[1]]
    np.testing.assert_array_equal(TiledArray(rows, columns, cut, outside).read(window), expected)


def test_statistics_come_from_sums() -> None:
    x = np.random.default_rng(0).normal(3, 2, (2, 4, 30, 50)).astype(np.float32)
    wide = x.astype(np.float64)
    sums = {"a_sum": wide.sum((2, 3)), "a_squares": (wide * wide).sum((2, 3)), "b_sum": wide.sum((2, 3))}
    found = statistics(sums, 1500)
    assert set(found) == {"a_mean", "a_variance", "b_mean"}
    np.testing.assert_allclose(found["a_mean"], x.mean((2, 3), dtype=np.float64, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(found["a_variance"], x.var((2, 3), dtype=np.float64, ddof=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (12, 9), (30, 31)])
def test_patterns_hold_the_superpixels_around_every_pixel(shape: tuple[int, int]) -> None:
    labels = np.random.default_rng(5).integers(0, 4, shape, np.int32).repeat(2, 0).repeat(3, 1)
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    nodes = labels.max() + 1
    places, patterns = superpixel_patterns(labels)
    framed = np.pad(labels, 1, constant_values=nodes)
    around = np.lib.stride_tricks.sliding_window_view(framed, (3, 3)).reshape(*labels.shape, 9)
    np.testing.assert_array_equal(patterns[places], around)
    assert len(np.unique(patterns[nodes:], axis=0)) == len(patterns) - nodes  # none is there twice


def test_patterns_survive_equal_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Same:
        def integers(self, *_: object, **__: object) -> NDArray[np.uint64]:
            return np.zeros(9, np.uint64)

    labels = np.arange(12, dtype=np.int32).reshape(3, 4)
    expected = superpixel_patterns(labels)
    monkeypatch.setattr(np.random, "default_rng", lambda _: Same())
    places, patterns = superpixel_patterns(labels)
    np.testing.assert_array_equal(patterns[places], expected[1][expected[0]])
