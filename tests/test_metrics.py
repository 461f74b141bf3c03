"""Fusion metrics against published values and where their values are known."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusiongcn_edge.benchmarks.metrics import Gray, q_g, q_w, to_gray
from fusiongcn_edge.runtime.images import psnr


@pytest.fixture
def scene() -> Gray:
    return cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (40, 60)), (0, 0), 1)


def test_q_g_has_the_published_values(shared: Path) -> None:
    folder = shared / "reference" / "metrics"
    with open(folder / "values.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    for row in rows:
        names = ("a", "b", row["method"])
        a, b, fused = (to_gray(cv2.imread(str(folder / f"{row['image']}_{name}.png"))) for name in names)
        assert q_g(a, b, fused) == pytest.approx(float(row["Q_G"]), rel=1e-5)


def test_a_perfect_fusion_of_equal_sources_scores_best(scene: Gray) -> None:
    blurred = cv2.GaussianBlur(scene, (0, 0), 2)
    assert q_w(scene, scene, scene) == pytest.approx(1)
    assert q_g(scene, scene, scene) > 0.95
    assert q_w(scene, scene, blurred) < 0.9
    assert q_g(scene, scene, blurred) < 0.7


def test_the_photographs_change_places_without_a_difference(scene: Gray) -> None:
    blurred = cv2.GaussianBlur(scene, (0, 0), 2)
    for metric in (q_g, q_w):
        assert metric(scene, blurred, scene) == pytest.approx(metric(blurred, scene, scene))


def test_images_without_detail_have_a_defined_value() -> None:
    flat = np.full((20, 20), 7.0)
    assert q_w(flat, flat, flat) == 1
    empty = np.zeros((20, 20))
    assert q_g(empty, empty, empty) == 0


def test_psnr_of_a_known_error() -> None:
    image = np.zeros((10, 10), np.uint8)
    assert psnr(image, image) == 100
    assert psnr(image + np.uint8(255), image) == pytest.approx(0)
    assert psnr(image + np.uint8(1), image) == pytest.approx(48.1308, abs=1e-4)
