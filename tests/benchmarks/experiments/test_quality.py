"""The commands that measure quality, superpixel boundaries and memory, on tiny data of known outcome."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusiongcn_edge.benchmarks.cli.options import photographs_below
from fusiongcn_edge.benchmarks.experiments import boundary_recall, peak_rss, quality, training_curves
from fusiongcn_edge.benchmarks.metrics.scorer import q_g, q_w, to_gray
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.io.images import write_image
from fusiongcn_edge.runtime.io.pixels import psnr


@pytest.fixture
def truth_folder(tmp_path: Path, photographs: tuple[np.ndarray, np.ndarray]) -> Path:
    first, second = photographs
    truth = first.copy()
    truth[:, 64:] = second[:, 64:]
    for name, image in (("a", first), ("b", second), ("truth", truth)):
        (tmp_path / "set" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "set" / name / "1.png"), image)
    return tmp_path


def run(module: object, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    return int(module.main())  # type: ignore[attr-defined]


def test_the_shipped_model_comes_nearer_to_the_truth_than_either_photograph(
    truth_folder: Path,
    photographs: tuple[np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    worst = truth_folder / "worst"
    assert run(quality, monkeypatch, "--model", "fusiongcn", "--truth", truth_folder, "--worst", worst) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("fusiongcn "))
    truth = cv2.imread(str(truth_folder / "set" / "truth" / "1.png"))
    single = max(psnr(photograph, truth) for photograph in photographs)
    assert all(float(score) > single for score in row.split()[1:])
    with_photographs = cv2.imread(str(worst / "worst-truth.jpg"))
    assert (
        run(quality, monkeypatch, "--model", "fusiongcn", "--truth", truth_folder, "--worst", worst, "--maps-only") == 0
    )
    maps = cv2.imread(str(worst / "worst-truth.jpg"))
    assert maps.shape[1] * 5 == with_photographs.shape[1] * 2  # decision and error, of five pictures


def test_nothing_to_measure_on_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(quality, monkeypatch, "--model", "fusiongcn-lite") == 2
    assert "name a folder with --truth, --pairs or --photos" in capsys.readouterr().err


def test_photographs_are_spread_over_the_names_whatever_their_kind(tmp_path: Path) -> None:
    for number in range(15):
        picture = np.full((4, 5), 17 * number * 257, np.uint16)
        write_image(tmp_path / f"{number:02}.png", picture if number % 2 else np.dstack([picture] * 4))
    found = photographs_below(tmp_path, 8)
    assert [int(picture[0, 0, 0]) // 17 for picture in found] == [0, 1, 3, 5, 7, 9, 11, 13]
    assert {(picture.shape, str(picture.dtype)) for picture in found} == {((4, 5, 3), "uint8")}


def test_pairs_are_scored_without_a_truth(
    truth_folder: Path,
    photographs: tuple[np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = photographs
    fuser = Fuser.open("fusiongcn-lite")
    hard, soft = (fuser.fuse(first, second, hard=hard) for hard in (True, False))
    stored = truth_folder / "set" / "official_decision"
    stored.mkdir()
    cv2.imwrite(str(stored / "1.png"), np.where(hard.decision, 255, 0))
    options = ("--model", "fusiongcn-lite", "--pairs", truth_folder, "--worst", truth_folder / "worst")
    assert run(quality, monkeypatch, *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["Q_G", "hard", "Q_W", "hard", "Q_G", "soft", "Q_W", "soft", "agreement"]
    sources = to_gray(first), to_gray(second)
    figures = [metric(*sources, to_gray(fused.image)) for fused in (hard, soft) for metric in (q_g, q_w)]
    assert lines[3].split() == ["fusiongcn-lite", *(f"{figure:.4f}" for figure in [*figures, 1.0])]
    assert cv2.imread(str(truth_folder / "worst" / "worst-pairs.jpg")) is not None


def test_a_gray_truth_is_compared_in_gray(
    truth_folder: Path,
    photographs: tuple[np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = truth_folder / "set" / "truth" / "1.png"
    gray = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(file), gray)
    options = ("--model", "fusiongcn-lite", "--truth", truth_folder, "--worst", truth_folder / "worst")
    assert run(quality, monkeypatch, *options) == 0
    fused = Fuser.open("fusiongcn-lite").fuse(*photographs).image
    expected = psnr(cv2.cvtColor(fused, cv2.COLOR_BGR2GRAY), gray)
    assert capsys.readouterr().out.splitlines()[3].split()[-1] == f"{expected:.4f}"
    error = cv2.imread(str(truth_folder / "worst" / "worst-truth.jpg"))[:, 4 * 128 :].astype(float)
    wrong = cv2.absdiff(cv2.cvtColor(fused, cv2.COLOR_BGR2GRAY), gray).astype(float)
    assert np.abs(error[4:].mean(2) - np.minimum(4 * wrong, 255)).mean() < 12  # JPEG
    cv2.imwrite(str(file), gray[1:])
    assert run(quality, monkeypatch, *options) == 2
    assert "crop or resize them" in capsys.readouterr().err


def test_a_folder_without_pairs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(quality, monkeypatch, "--model", "fusiongcn", "--truth", tmp_path) == 2
    assert "No pairs below" in capsys.readouterr().err


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
