"""The experiments on superpixel boundaries, memory and training curves, on tiny data of known outcome."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusiongcn_edge.benchmarks.experiments import boundary_recall, peak_rss, training_curves
from fusiongcn_edge.benchmarks.experiments.synthetic import photographs_below
from fusiongcn_edge.runtime.io.images import write_image


def run(module: object, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    return int(module.main())  # type: ignore[attr-defined]


def test_photographs_are_spread_over_the_names_whatever_their_kind(tmp_path: Path) -> None:
    for number in range(15):
        picture = np.full((4, 5), 17 * number * 257, np.uint16)
        write_image(tmp_path / f"{number:02}.png", picture if number % 2 else np.dstack([picture] * 4))
    found = photographs_below(tmp_path, 8)
    assert [int(picture[0, 0, 0]) // 17 for picture in found] == [0, 1, 3, 5, 7, 9, 11, 13]
    assert {(picture.shape, str(picture.dtype)) for picture in found} == {((4, 5, 3), "uint8")}


def test_compact_superpixels_recall_fewer_edges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("images", "segments"):
        (tmp_path / name).mkdir()
    y, x = np.indices((90, 120))
    disc = (np.hypot(y - 45, x - 60) < 30).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "images" / "1.png"), (disc * 200).astype(np.uint8))
    cv2.imwrite(str(tmp_path / "segments" / "1_1.png"), disc)
    assert run(boundary_recall, monkeypatch, "--photos", tmp_path, "--every", 1) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    recall = {tuple(line.split()[:3]): float(line.split()[3]) for line in lines}
    assert recall["0.1", "1.0", "3"] > 0.95
    assert recall["0.1", "1.0", "3"] > recall["10.0", "5.0", "10"] + 0.1


def test_every_noth_photograph_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(boundary_recall, monkeypatch, "--photos", tmp_path, "--every", 0)
    assert "'0' is not possible: give a whole number of at least 1" in capsys.readouterr().err


def test_peak_memory_counts_what_the_model_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(peak_rss, monkeypatch, "--size", "48x32") == 0
    words = capsys.readouterr().out.split()
    assert words[0] == "48x32:"
    assert float(words[2]) >= float(words[6]) > 0


def test_curves_are_drawn_from_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,loss,held_out_psnr_soft\n100,0.5,36.1\n200,0.4,36.4\n")
    assert run(training_curves, monkeypatch, log, "-o", tmp_path / "curves.png") == 0
    assert cv2.imread(str(tmp_path / "curves.png")) is not None
    log.write_text("nothing of the kind\n")
    assert run(training_curves, monkeypatch, log, "-o", tmp_path / "curves.png") == 2
    assert "give the log.csv of a run" in capsys.readouterr().err
    assert run(training_curves, monkeypatch, log, "-o", tmp_path / "curves") == 2
    assert "end it with .png or .svg" in capsys.readouterr().err
