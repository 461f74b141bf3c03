"""What decides a training run: the published numbers, and the learning rate."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest

from fusiongcn_edge.cli import main
from fusiongcn_edge.model import training
from fusiongcn_edge.model.config import PUBLISHED_CONFIG, TrainConfig, learning_rate_factor


def test_the_published_recipe_is_the_published_one() -> None:
    assert learning_rate_factor(799, PUBLISHED_CONFIG) == 1
    assert learning_rate_factor(800, PUBLISHED_CONFIG) == pytest.approx(0.88)
    assert PUBLISHED_CONFIG.learning_rate == 2e-4
    assert PUBLISHED_CONFIG.superpixels()["compactness"] == 10


def test_warm_up_and_cosine_start_and_end_low() -> None:
    factors = [learning_rate_factor(step, TrainConfig(steps=1000, warm_up=100)) for step in range(1001)]
    assert factors[0] == pytest.approx(0.01, rel=0.01)
    assert max(factors) == factors[99]
    assert factors[-1] == pytest.approx(0.01)


def test_lite_has_no_published_recipe(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "lite", "--recipe", "published", "--photos", "x", "--held-out", "y", "-o", "run"]) == 2
    assert "no published recipe for lite" in capfd.readouterr().err


@pytest.mark.parametrize(
    "option", ["steps", "batch", "crop", "learning-rate", "fused-weight", "compactness", "minutes", "workers", "seed"]
)
def test_the_command_refuses_numbers_that_make_no_sense(
    option: str,
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(training, "keep_freed_memory", lambda: None)
    folder = str(photo_folder)
    command = ["train", "--photos", folder, "--held-out", folder, "-o", str(tmp_path / "run")]
    for number in ("-1", *(["99999999999999999999"] if option == "seed" else [])):
        with suppress(SystemExit):  # the parser's own way
            assert main([*command, f"--{option}", number]) == 2
        (told,) = capsys.readouterr().err.splitlines()
        assert re.search(rf"{option}\b.*{number}\b.* (give|expected) ", told)
        assert not (tmp_path / "run").exists()
