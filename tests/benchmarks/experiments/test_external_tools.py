"""Whole programs side by side: what is run, and that its result and use are what is told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from fusiongcn_edge.benchmarks.evaluation import baselines
from fusiongcn_edge.benchmarks.experiments import external_tools
from fusiongcn_edge.runtime import FusionError


def test_made_frames_hold_the_photograph_between_them():
    sharp, frames = external_tools.made_frames((40, 90), 3)
    assert (sharp.shape, sharp.dtype, len(frames)) == ((40, 90, 3), np.uint8, 3)
    for number, frame in enumerate(frames):
        same = (frame == sharp).all((0, 2))
        assert same[30 * number : 30 * number + 30].all()
        assert not np.delete(same, np.s_[30 * number : 30 * number + 30]).any()


def test_peers_are_run_where_they_are_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(external_tools.commands(["onnx"], "fusiongcn-lite", ["1.jpg", "2.jpg"])) == ["fusiongcn fuse, onnx"]
    enfuse = tmp_path / "enfuse"
    enfuse.write_text("#!/bin/sh\n")
    enfuse.chmod(0o755)
    photographs = ["1.jpg", "2.jpg", "3.jpg"]
    found = external_tools.commands(["onnx"], "fusiongcn-lite", photographs)
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "own") in external_tools.commands(["onnx"], "own", photographs)["fusiongcn stack, onnx"]
    assert list(found) == ["fusiongcn stack, onnx", "enfuse"]
    assert found["enfuse"] == [
        str(enfuse),
        *baselines.PROGRAMS["enfuse"],
        "--output=fused.jpg",
        "1.jpg",
        "2.jpg",
        "3.jpg",
    ]


def test_use_is_that_of_the_program_alone(tmp_path):
    held = bytearray(300_000_000)  # of this process, which is not to be counted
    held[::4096] = b"x" * len(held[::4096])
    small, peak = external_tools.run([sys.executable, "-c", "pass"], tmp_path)
    assert peak < 100e6
    busy = "len(bytearray(b'x') * 200_000_000); sum(range(10**7))"
    large, peak = external_tools.run([sys.executable, "-c", busy], tmp_path)
    assert 200e6 < peak < 300e6
    assert large > small
    del held


def test_a_program_that_fails_is_told_with_its_command(tmp_path):
    with pytest.raises(FusionError, match=r"sys\.exit\(3\) ended with code 3: it said nothing"):
        external_tools.run([sys.executable, "-c", "import sys; sys.exit(3)"], tmp_path)
    with pytest.raises(FusionError, match="code 1: no such thing"):
        external_tools.run([sys.executable, "-c", "import sys; sys.exit('no such thing')"], tmp_path)
    with pytest.raises(FusionError, match="cannot be started"):
        external_tools.run([str(Path(tmp_path) / "nothing")], tmp_path)


def test_the_table_has_our_programs_and_their_quality(monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["programs", "--size", "96x128", "--frames", "3", "--rounds", "1", "--engine", "onnx"]
    )
    assert external_tools.main() == 0
    head, row, *_ = capsys.readouterr().out.splitlines()
    assert head.startswith("3 frames of 96x128")
    assert row.startswith("fusiongcn stack, onnx")
    assert float(row.split()[-1]) > 25
