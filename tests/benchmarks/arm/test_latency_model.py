"""Estimates for boards: sums by hand, and a simulator that is really asked."""

from __future__ import annotations

import shutil

import pytest

from fusiongcn_edge.benchmarks.arm import latency_model
from fusiongcn_edge.benchmarks.arm.instruction_counts import Block
from fusiongcn_edge.benchmarks.arm.latency_model import Board, bound
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.engines.base import ENGINES

pytestmark = pytest.mark.arm

FMLA, NOP = bytes.fromhex("20cc224e"), bytes.fromhex("1f2003d5")
needs_llvm = pytest.mark.skipif(shutil.which("llvm-mca-19") is None, reason="llvm-mca-19 is not installed")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pair_takes_as_many_times_a_part_as_it_has_pixels_or_macs(engine: str) -> None:
    found = latency_model.scales(load_bundle("fusiongcn", [engine]), 80, 104)
    assert found["decision"] == 32.5
    assert found["cnn"] == pytest.approx(32.5, rel=0.25)  # tiles and margins differ
    assert (found["gcn"] == 1) == (engine == "litert"), "there it is filled up to a fixed number of superpixels"


def test_the_bound_is_the_slower_of_cores_and_memory() -> None:
    board = Board("it", "", "", ghz=1.0, cores=4, gigabytes=2.0)
    spent = dict.fromkeys(("superpixels", "graph", "gcn", "decision"), 1e9) | {"cnn": 8e9}
    assert bound(spent, 0, board) == 4 + 2
    assert bound(spent, 10_000_000_000, board) == 4 + 5


@needs_llvm
def test_cycles_are_those_of_the_unit_that_is_occupied_longest() -> None:
    found = latency_model.block_cycles({FMLA * 20, NOP * 20, FMLA * 40}, "cortex-a72")
    assert (found[FMLA * 20], found[FMLA * 40]) == (20, 40), "one unit multiplies 128 bits"
    assert found[NOP * 20] < 10
    assert latency_model.block_cycles({FMLA * 20}, "neoverse-n1")[FMLA * 20] == 10, "two units do"


@needs_llvm
def test_what_is_not_looked_at_takes_as_long_as_what_is() -> None:
    common, rare = Block("cnn", 1000, NOP * 10), Block("cnn", 1, FMLA * 10)
    alone = latency_model.cycles([common], "cortex-a72")["cnn"]
    assert latency_model.cycles([common, rare], "cortex-a72")["cnn"] == pytest.approx(alone * 1.001)
