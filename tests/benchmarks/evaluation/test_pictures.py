"""Pictures of pairs: what a sheet shows of photographs, decisions and errors; hard and soft blending."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.evaluation.baselines import guided_fusion, laplacian_fusion
from fusiongcn_edge.benchmarks.evaluation.figures import nearer
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.bundle.writer import write_bundle
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.pixels import eight_bit_colour, psnr
from helpers.pictures import shows

Picture = NDArray[Any]
Run = Callable[..., str]
JPEG_ERROR = 20.0  # root mean square, of a sheet


def decision_picture(decision: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.dstack([decision.astype(np.uint8) * 255] * 3)


def error_picture(fused: Picture, truth: Picture) -> NDArray[np.uint8]:
    return eight_bit_colour(np.minimum(cv2.absdiff(fused, truth).astype(int) * 4, 255).astype(np.uint8))


def test_a_model_is_compared_and_drawn(evaluated: Run, photographs: tuple[Picture, Picture]) -> None:
    printed = evaluated("--truth", "data", "--model", "fusiongcn", "--method", "laplacian", "--pictures", "sheets")
    assert "Images better : worse than fusiongcn" in printed
    assert sorted(path.name for path in Path("sheets").iterdir()) == [f"truth-set-{i}.jpg" for i in (1, 2, 3)]
    sheet = read_image("sheets/truth-set-1.jpg")
    for picture in (*photographs, decision_picture(Fuser.open().fuse(*photographs).decision)):
        assert shows(sheet, picture, JPEG_ERROR)
    fused, truth = laplacian_fusion(*photographs), read_image("data/set/truth/1.png")
    assert shows(sheet, error_picture(fused, truth), JPEG_ERROR)
    assert not shows(sheet, error_picture(fused, truth[::-1]), JPEG_ERROR)


@pytest.mark.parametrize("model", ["fusiongcn-lite", "hard-lite"])  # as shipped, it blends softly
def test_hard_and_soft_blending_of_a_model_are_two_methods(
    model: str, evaluated: Run, photographs: tuple[Picture, Picture], truth: Picture
) -> None:
    shipped = load_bundle("fusiongcn-lite")
    facts = json.loads((shipped.path / "bundle.json").read_text())
    kept = {key: value for key, value in facts.items() if key not in ("format", "graphs", "checksum")}
    write_bundle(Path("hard-lite"), {**kept, "decision": {**facts["decision"], "blend": "hard"}}, shipped.graphs)
    options = ("--truth", "data", "--model", model, "--blend", "hard,soft", "--json", "-")
    (group,) = json.loads(evaluated(*options))["groups"]
    found = {score["method"]: score["values"]["PSNR"] for score in group["scores"] if score["pair"] == "set-1"}
    fuser = Fuser.open("fusiongcn-lite")
    expected = {
        f"{model} {blend}": psnr(fuser.fuse(*photographs, hard=blend == "hard").image, truth)
        for blend in ("hard", "soft")
    }
    assert found == pytest.approx(expected)
    assert len(set(found.values())) == 2


def test_a_gray_truth_is_compared_in_gray(evaluated: Run, photographs: tuple[Picture, Picture], truth: Picture) -> None:
    gray = cv2.cvtColor(truth, cv2.COLOR_BGR2GRAY)
    write_image("data/set/truth/1.png", gray)
    options = ("--truth", "data", "--model", "fusiongcn-lite", "--pictures", "sheets", "--json", "-")
    (group,) = json.loads(evaluated(*options))["groups"]
    fused = cv2.cvtColor(Fuser.open("fusiongcn-lite").fuse(*photographs).image, cv2.COLOR_BGR2GRAY)
    assert group["scores"][0]["values"]["PSNR"] == pytest.approx(psnr(fused, gray))
    assert shows(read_image("sheets/truth-set-1.jpg"), error_picture(fused, gray), JPEG_ERROR)


def test_pictures_can_leave_the_photographs_out(evaluated: Run) -> None:
    evaluated("--truth", "data", "--method", "laplacian,guided", "--pictures", "maps", "--maps-only")
    sheet = read_image("maps/truth-set-1.jpg")
    a, b = (read_image(f"data/set/{side}/1.png") for side in "ab")
    for fused in (laplacian_fusion(a, b), guided_fusion(a, b)):
        assert shows(sheet, decision_picture(nearer(fused, a, b)), JPEG_ERROR)
    assert not any(shows(sheet, picture, JPEG_ERROR) for picture in (a, b, laplacian_fusion(a, b)))
