"""The index of efficiency, by hand and by its rules, and fronts."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusiongcn_edge.benchmarks.report.pareto import REFERENCE, REFERENCE_WITH_ENERGY, front, index
from helpers.reports import Page, benchmark, configuration, evaluation

costs = st.floats(1e-9, 1e15)
qualities = st.floats(-20, 100)
methods = st.tuples(qualities, st.fixed_dictionaries(dict.fromkeys(REFERENCE_WITH_ENERGY, costs)))


@given(methods, st.sampled_from(sorted(REFERENCE_WITH_ENERGY)), st.floats(1.001, 1e6), st.floats(0.001, 50))
def test_the_index_rises_with_quality_and_falls_with_every_cost(
    method: tuple[float, dict[str, float]], name: str, factor: float, better: float
) -> None:
    psnr, cost = method
    value = index(psnr, cost, REFERENCE_WITH_ENERGY)
    dearer = index(psnr, {**cost, name: cost[name] * factor}, REFERENCE_WITH_ENERGY)
    finer = index(psnr + better, cost, REFERENCE_WITH_ENERGY)
    assert value is not None
    assert dearer is not None
    assert finer is not None
    assert dearer < value < finer
    if name in REFERENCE:
        assert index(psnr, {**cost, name: cost[name] * factor}) < index(psnr, cost)  # type: ignore[operator]


@given(methods, st.sampled_from(sorted(REFERENCE_WITH_ENERGY)), st.sampled_from([None, 0]))
def test_without_a_quantity_there_is_no_index_and_never_a_nan(
    method: tuple[float, dict[str, float | None]], name: str, nothing: float | None
) -> None:
    psnr, cost = method
    cost[name] = nothing
    assert index(psnr, cost, REFERENCE_WITH_ENERGY) is None
    assert (index(psnr, cost) is None) == (name in REFERENCE)
    assert index(None, REFERENCE) is None


def test_the_index_by_hand() -> None:
    assert index(50.0, REFERENCE) == 50.0
    assert index(50.0, {name: value / 10 for name, value in REFERENCE.items()}) == pytest.approx(60)
    assert index(50.0, {**REFERENCE, "macs": 25e9}) == pytest.approx(50 + 10 * math.log10(2) / 4)


def test_another_method_in_the_table_changes_no_index(report: Callable[..., str]) -> None:
    quality = evaluation({"small": 40.0, "large": 50.0, "best": 90.0})
    alone = Page(report(benchmark(), quality)).row("1 small")
    beside = Page(report(benchmark(configuration("small", 0.5), configuration("best", 1e-6)), quality)).row("1 small")
    assert alone["index, dB"] == beside["index, dB"] != ""


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_a_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    found = front(*zip(*points, strict=True))
    assert found
    for number, (cost, quality) in enumerate(points):
        beaten = any((c < cost and q >= quality) or (c <= cost and q > quality) for c, q in points)
        assert (number in found) != beaten
    assert [points[number] for number in found] == sorted(points[number] for number in found)
