"""The commands that measure time: that they run, compare the same answers and count what they say. No time counts."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusiongcn_edge.benchmarks.experiments import op_profile, op_variants, peak_rss, scaling, speedup, startup
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair


def run(module: object, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    return int(module.main())  # type: ignore[attr-defined]


@pytest.mark.slow
def test_speed_compares_models_with_the_authors_way(
    random_bundle: Path,
    whole_bundle: Path,
    random_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = ["--model", random_bundle, "--model", whole_bundle, "--checkpoint", random_checkpoint]
    assert run(speedup, monkeypatch, *models, "--size", "48x64", "--rounds", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == [
        "authors'",
        *(str(p)[-27:] for p in (random_bundle, whole_bundle)),
    ]
    assert " 1.00 (1.00 to 1.00)" in lines[2]
    for line in lines[2:]:
        assert sum(map(float, re.findall(r"([\d.]+)%", line))) == pytest.approx(100, abs=0.5)


@pytest.mark.parametrize("module", [speedup, startup, peak_rss])
def test_a_model_that_there_is_not_is_told_in_a_sentence(
    module: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(module, monkeypatch, "--model", "none-such") == 2
    told = capsys.readouterr().err
    assert told.startswith("No model 'none-such'")
    assert told.count("\n") == 1


def test_the_operators_of_every_shipped_onnx_model_are_profiled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(op_profile, monkeypatch, "--model", "fusiongcn-lite", "--size", "64x96") == 0
    assert " cnn\n" in capsys.readouterr().out


def test_the_authors_way_gives_our_answer(random_bundle: Path, random_checkpoint: Path) -> None:
    first, second = synthetic_pair(64, 80)
    results = {}
    original = speedup.select
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speedup, "select", lambda a, b, decision: results.setdefault("image", original(a, b, decision)))
        speedup.authors_way(random_checkpoint, 1)(first, second)
    ours = Fuser.open(random_bundle).fuse(first, second).image
    assert np.mean(results["image"] != ours) < 0.001


def test_profile_shares_add_up(
    random_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(op_profile, monkeypatch, "--model", random_bundle, "--size", "40x60") == 0
    graphs = re.findall(r"^ {0,6}([\d.]+)%  (\w+)$", capsys.readouterr().out, re.MULTILINE)
    assert {name for _, name in graphs} == {path.stem for path in random_bundle.glob("*.onnx")}
    assert sum(float(share) for share, _ in graphs) == pytest.approx(100, abs=1)
    assert run(op_profile, monkeypatch, "--model", random_bundle, "--graph", "nothing") == 2
    assert "expected one of gcn" in capsys.readouterr().err


@pytest.mark.process
def test_scaling_measures_and_draws(
    random_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scaling, "SMALLEST", 32)
    picture = tmp_path / "plot.png"
    arguments = ["--model", random_bundle, "--largest", 46, "--rounds", 1, "--max-memory", 2000, "--plot", picture]
    assert run(scaling, monkeypatch, *arguments) == 0
    output = capsys.readouterr().out
    assert [line.split()[0] for line in output.splitlines()[1:3]] == ["32", "45"]
    assert "to the power of" in output
    assert cv2.imread(str(picture)) is not None


@pytest.mark.process
def test_startup_measures_fresh_processes(
    random_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(startup, monkeypatch, "--model", random_bundle, "--runs", 1) == 0
    assert [line.rsplit(maxsplit=3)[0] for line in capsys.readouterr().out.splitlines()[:3]] == list(startup.STEPS)
    assert run(startup, monkeypatch, "--model", random_bundle / "nothing", "--runs", 1) == 2


@pytest.mark.slow
@pytest.mark.export
@pytest.mark.parametrize("part", op_variants.parts(), ids=lambda part: part.name)
def test_every_way_to_write_a_part_gives_the_same(part: op_variants.Part) -> None:
    found = op_variants.compare(part, 1)
    assert len(found) > 1
    assert all(difference < 1e-5 for _, difference in found.values()), found


@pytest.mark.process
def test_too_little_address_space_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(peak_rss, monkeypatch, "--size", "64x64", "--max-memory", 1) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
