"""Folders of pairs in which names repeat, and pictures of them that cannot be made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.evaluation.figures import nearer
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime.io.images import write_image
from fusiongcn_edge.runtime.io.pairs import find_pairs

Picture = NDArray[Any]
METHOD = ["--method", "laplacian"]


@pytest.fixture
def twice(tmp_path: Path, photographs: tuple[Picture, Picture], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory with ``pairs/day/set`` and ``pairs/night/set``, a pair called 1 in each."""
    monkeypatch.chdir(tmp_path)
    for day, turn in (("day", 1), ("night", -1)):
        for side, picture in zip("ab", photographs, strict=True):
            path = tmp_path / "pairs" / day / "set" / side / "1.png"
            path.parent.mkdir(parents=True)
            write_image(path, np.ascontiguousarray(picture[::turn]))
    return tmp_path


@pytest.mark.usefixtures("twice")
def test_pairs_of_one_name_are_told_apart(capfd: pytest.CaptureFixture[str]) -> None:
    assert [pair.title for pair in find_pairs(Path("pairs"))] == ["day/set-1", "night/set-1"]
    assert [pair.title for pair in find_pairs(Path("pairs/day/set"))] == ["set-1"]
    assert main(["evaluate", "--pairs", "pairs", *METHOD, "--json", "-", "--pictures", "sheets"]) == 0
    facts = json.loads(capfd.readouterr().out)["groups"][0]
    assert [score["pair"] for score in facts["scores"]] == ["day/set-1", "night/set-1"]
    assert sorted(str(path) for path in Path("sheets").rglob("*.jpg")) == [
        "sheets/pairs-day/set-1.jpg",
        "sheets/pairs-night/set-1.jpg",
    ]


def test_a_truth_that_may_be_of_either_is_refused(
    twice: Path, photographs: tuple[Picture, Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    (twice / "truth").mkdir()
    write_image("truth/1.png", photographs[0])
    assert main(["evaluate", "--pairs", "pairs", "--truth", "truth", *METHOD]) == 2
    assert "pairs/day/set/a/1.png and pairs/night/set/a/1.png have the same name" in capfd.readouterr().err
    shutil.rmtree("pairs/night")
    assert main(["evaluate", "--pairs", "pairs", "--truth", "truth", *METHOD]) == 0


def test_a_picture_that_cannot_be_made_costs_no_score(twice: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (twice / "sheets" / "pairs-day" / "set-1.jpg").mkdir(parents=True)  # where a picture is to be
    assert main(["evaluate", "--pairs", "pairs", *METHOD, "--json", "scores.json", "--pictures", "sheets"]) == 1
    assert "There is no picture sheets/pairs-day/set-1.jpg. sheets/pairs-day/set-1.jpg is a folder" in (
        capfd.readouterr().out
    )
    assert [score["error"] for score in json.loads(Path("scores.json").read_text())["groups"][0]["scores"]] == [
        None,
        None,
    ]
    assert (twice / "sheets" / "pairs-night" / "set-1.jpg").is_file()


@pytest.mark.usefixtures("twice")
def test_a_mistake_leaves_no_folder_for_pictures() -> None:
    assert main(["evaluate", "--pairs", "pairs", "--model", "none-such", "--pictures", "new/sheets"]) == 2
    assert not Path("new").exists()


def test_a_decision_is_read_off_whatever_became_of_alpha(photographs: tuple[Picture, Picture]) -> None:
    first, second = (np.dstack([picture, np.full(picture.shape[:2], 200, np.uint8)]) for picture in photographs)
    assert nearer(photographs[0], first, second).mean() > 0.9
