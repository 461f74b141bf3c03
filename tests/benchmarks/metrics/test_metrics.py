"""Fusion metrics against published values, hand-computed ones, and where their values are known."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.metrics.conversion import to_gray
from fusiongcn_edge.benchmarks.metrics.filters import Gray
from fusiongcn_edge.benchmarks.metrics.gradient import q_g
from fusiongcn_edge.benchmarks.metrics.information import mutual_information
from fusiongcn_edge.benchmarks.metrics.perceptual import phase_congruency
from fusiongcn_edge.benchmarks.metrics.scorer import (
    LOWER_IS_BETTER,
    METRICS,
    TRUTH_METRICS,
    FusionScorer,
    boundary_band,
)
from fusiongcn_edge.benchmarks.metrics.structural import q_w, ssim
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.pixels import psnr

Picture = NDArray[np.uint8]
Fails = Callable[..., str]


@pytest.fixture
def scene() -> Gray:
    return cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (40, 60)), (0, 0), 1)


def bytes_of(scene: Gray) -> Picture:
    return np.rint(scene).astype(np.uint8)


def blurred(scene: Gray) -> Gray:
    return cv2.GaussianBlur(scene, (0, 0), 2)


# published values


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Q_MI", "Q_NCIE", "Q_G", "Q_P", "Q_E", "Q_Y", "Q_CB", "Q_CV"])
def test_the_published_values_are_met(name: str, shared: Path) -> None:
    folder = shared / "reference" / "metrics"
    with open(folder / "values.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    for row in rows:
        files = ("a", "b", row["method"])
        gray = [to_gray(read_image(folder / f"{row['image']}_{file}.png")) for file in files]
        # Q_Y and Q_E: windows without variance are decided by rounding there
        assert METRICS[name](*gray) == pytest.approx(float(row[name]), rel={"Q_Y": 2e-5, "Q_E": 1e-6}.get(name, 1e-8))


# properties

BEST = {"Q_MI": 2, "Q_S": 1, "Q_W": 1, "Q_E": 1, "Q_C": 1, "Q_Y": 1, "Q_CB": 1, "Q_CV": 0, "PSNR": 100, "SSIM": 1}


def test_a_perfect_fusion_of_equal_photographs_scores_best(scene: Gray) -> None:
    image = bytes_of(scene)
    values = FusionScorer(image, image, image).values(image)
    assert {name: values[name] for name in BEST} == pytest.approx(BEST)
    assert values["Q_G"] > 0.95
    worse = FusionScorer(image, image, image).values(bytes_of(blurred(scene)))
    for name in values:
        assert worse[name] > values[name] if name in LOWER_IS_BETTER else worse[name] < values[name], name


# flat windows count as much as any other there, or levels alone are looked at: the mean of both is like both
LIKE_THE_MEAN = {"Q_NCIE", "Q_S", "Q_C"}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_sharp_image_is_better_than_the_mean_of_both(seed: int) -> None:
    scene = np.full((120, 160), 128.0)
    low, high = (0, 0, 8, 8, 20), (150, 110, 40, 40, 235)
    for x, y, width, height, level in np.random.default_rng(seed).integers(low, high, (40, 5)):
        scene[y : y + height, x : x + width] = level
    a, b = scene.copy(), cv2.GaussianBlur(scene, (0, 0), 5)
    a[:, 80:], b[:, 80:] = b[:, 80:], scene[:, 80:]
    judge = FusionScorer(*(bytes_of(image) for image in (a, b, scene)))
    sharp, mean = judge.values(bytes_of(scene)), judge.values(bytes_of((a + b) / 2))
    assert set(sharp) == {*METRICS, *TRUTH_METRICS}
    for name in sharp.keys() - LIKE_THE_MEAN:
        assert sharp[name] < mean[name] if name in LOWER_IS_BETTER else sharp[name] > mean[name], name


@pytest.mark.parametrize("name", METRICS)
def test_the_photographs_change_places_without_a_difference(name: str, scene: Gray) -> None:
    left, right = scene.copy(), blurred(scene)
    left[:, 30:], right[:, 30:] = right[:, 30:], scene[:, 30:]
    assert METRICS[name](left, right, scene) == pytest.approx(METRICS[name](right, left, scene))


@pytest.mark.parametrize("level", [0, 7, 255])
@pytest.mark.filterwarnings("error")
def test_images_without_detail_have_a_defined_value(level: int) -> None:
    flat = np.full((20, 33), level, np.uint8)
    values = FusionScorer(flat, flat, flat).values(flat)
    none = {"Q_MI": 0, "Q_P": 0, "Q_NCIE": 1 - np.log2(3) / 8}
    # zeros lie around the image: a bright one has an edge there
    assert values == pytest.approx({**BEST, **none, "Q_G": 0 if level == 0 else 0.9748}, abs=1e-4)


@pytest.mark.filterwarnings("error")
def test_every_value_is_finite_whichever_image_is_constant(scene: Gray) -> None:
    image, flat = bytes_of(scene), np.full(scene.shape, 9, np.uint8)
    for a, b, fused in ((flat, image, image), (image, flat, flat), (flat, flat, image), (image, image, flat)):
        values = FusionScorer(a, b, image).values(fused)
        assert np.isfinite(list(values.values())).all()


@pytest.mark.parametrize("shape", [(16, 16), (17, 40), (31, 16)])
@pytest.mark.filterwarnings("error")
def test_small_images_of_odd_sides(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    a, b = (rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for _ in "ab")
    assert np.isfinite(list(FusionScorer(a, b, a).values(b).values())).all()


@pytest.mark.parametrize("shape", [(15, 40), (40, 15), (1, 1)])
def test_tiny_images_are_refused(shape: tuple[int, int]) -> None:
    tiny = np.zeros(shape, np.uint8)
    with pytest.raises(FusionError) as refused:
        FusionScorer(tiny, tiny)
    assert (refused.value.found, refused.value.allowed) == (f"{shape[1]}x{shape[0]}", "at least 16 on each side")
    with pytest.raises(FusionError) as refused:
        q_w(*[np.zeros((7, 9))] * 3)
    assert (refused.value.found, refused.value.allowed) == ("9x7", "at least 8 on each side")


def test_mixed_sizes_are_refused() -> None:
    image, other = np.zeros((20, 30), np.uint8), np.zeros((20, 31), np.uint8)
    attempts: dict[str, Callable[[], object]] = {
        "second photograph": lambda: FusionScorer(image, other),
        "truth": lambda: FusionScorer(image, image, other),
        "fused image": lambda: FusionScorer(image, image).values(other),
    }
    for name, attempt in attempts.items():
        with pytest.raises(FusionError) as refused:
            attempt()
        assert name in refused.value.problem
        assert (refused.value.found, refused.value.allowed) == ("31x20", "30x20")


def test_sixteen_bits_colour_and_alpha_are_seen_alike(photographs: tuple[Picture, Picture]) -> None:
    first, second = photographs
    expected = FusionScorer(first, second, first).values(second)
    wide = [np.insert(image.astype(np.uint16) * 257, 3, 77, axis=2) for image in photographs]
    assert FusionScorer(*wide, wide[0]).values(wide[1]) == pytest.approx(expected)


# by hand


def test_gray_has_matlabs_weights() -> None:
    bgr = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], np.uint8)
    np.testing.assert_array_equal(to_gray(bgr), [[29, 150, 76, 22]])  # 29.08, 149.70, 76.23, 21.85


def test_mutual_information_by_hand() -> None:
    x = np.array([[0.0, 0.0, 9.0, 9.0]])
    assert mutual_information(x, x) == pytest.approx((1, 2))
    assert mutual_information(x, np.array([[3.0, 5.0, 3.0, 5.0]])) == pytest.approx((0, 2))
    # three of four alike: H = 1 and 0.8113 bits, together 1.5
    assert mutual_information(x, np.array([[0.0, 0.0, 0.0, 9.0]])) == pytest.approx((0.31128, 1.81128), abs=1e-5)


def test_ssim_of_constant_images_by_hand() -> None:
    # only the luminance is left: (2 * 100 * 120 + C) / (100^2 + 120^2 + C), C = (0.01 * 255)^2
    constant = 6.5025
    expected = (24_000 + constant) / (24_400 + constant)
    assert ssim(np.full((11, 11), 100.0), np.full((11, 11), 120.0)) == pytest.approx(expected)


def test_q_w_of_one_window_by_hand() -> None:
    x = np.zeros((8, 8))
    x[:, ::2] = 2.0
    half = 1 + (x - 1) / 2  # the same mean, half the contrast: 2 * 0.5 / (1 + 0.25)
    assert q_w(x, x, half) == pytest.approx(0.8)


def test_an_edge_turned_by_a_right_angle_is_lost() -> None:
    step = np.zeros((20, 20))
    step[5:15, 10:15] = 100.0
    assert q_g(step, step, step) == pytest.approx(0.9994 / (1 + np.exp(-7.5)) * 0.9879 / (1 + np.exp(-4.4)))
    assert q_g(step, step, np.zeros_like(step)) < 0.001


def test_phase_congruency_follows_an_edge_and_not_its_contrast() -> None:
    image = np.full((64, 64), 100.0)
    image[:, 32:] = 110.0
    weak, strong = (phase_congruency(i)[0] for i in (image, 100 + 10 * (image - 100)))
    assert weak[32, 31:33].min() > 0.5
    assert weak[32, 20:24].max() < 0.1
    np.testing.assert_allclose(weak[32], strong[32], atol=0.02)


def test_psnr_of_a_known_error() -> None:
    image = np.zeros((10, 10), np.uint8)
    assert psnr(image, image) == 100
    assert psnr(image + np.uint8(255), image) == pytest.approx(0)
    assert psnr(image + np.uint8(1), image) == pytest.approx(48.1308, abs=1e-4)


def test_the_band_lies_along_the_boundary_of_the_better_photograph() -> None:
    truth = np.full((60, 80), 50.0)
    a, b = truth.copy(), truth.copy()
    a[:, 40:] += 9
    b[:, :40] += 9
    columns = np.flatnonzero(boundary_band(a, b, truth).all(axis=0))
    assert (columns[0], columns[-1]) == (35, 45)
    assert boundary_band(a, b, truth).sum() == 11 * 60
    fused = np.full((60, 80), 50, np.uint8)
    fused[:, 35:46] += 1
    values = FusionScorer(*(image.astype(np.uint8) for image in (a, b, truth))).values(fused)
    assert values["PSNR_boundary"] == pytest.approx(48.1308, abs=1e-4)
    assert values["PSNR"] == pytest.approx(48.1308 + 10 * np.log10(80 / 11), abs=1e-4)


def test_without_a_boundary_there_is_no_value_for_it() -> None:
    truth = np.full((30, 30), 50, np.uint8)
    assert "PSNR_boundary" not in FusionScorer(truth, truth + np.uint8(9), truth).values(truth)


# the command line


@pytest.fixture
def folder(tmp_path: Path, photographs: tuple[Picture, Picture], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a pair and its truth, ``f.png`` too."""
    monkeypatch.chdir(tmp_path)
    first, second = photographs
    truth = first.copy()
    truth[:, 64:] = second[:, 64:]
    for name, image in (("a", first), ("b", second), ("f", truth), ("small", first[:15]), ("narrow", first[:, :-1])):
        write_image(tmp_path / f"{name}.png", image)
    return tmp_path


def test_metrics_prints_what_the_judge_says(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    expected = FusionScorer(*(read_image(f"{name}.png") for name in "abf")).values(read_image("a.png"))
    assert main(["metrics", "a.png", "b.png", "a.png", "--truth", "f.png", "--json", "values.json"]) == 0
    printed = dict(line.split() for line in capfd.readouterr().out.splitlines())
    assert {name: float(value) for name, value in printed.items()} == pytest.approx(expected, abs=1e-9)
    assert json.loads((folder / "values.json").read_text()) == expected
    assert main(["metrics", "a.png", "b.png", "a.png", "--json", "-"]) == 0
    assert list(json.loads(capfd.readouterr().out)) == list(METRICS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "b.png", "none.png"], "no file none.png"),
        (["a.png", "b.png", "narrow.png"], "The fused image has another size"),
        (["small.png", "small.png", "small.png"], "at least 16 on each side"),
        (["a.png", "b.png", "f.png", "--truth", "narrow.png"], "The truth has another size"),
        (["a.png", "b.png", "f.png", "--json", "no/such/folder.json"], "does not exist: create it first"),
        (["a.png", "b.png", "f.png", "--json", "f.png"], "is one of the inputs"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_mistake_is_one_sentence(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", *arguments]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
