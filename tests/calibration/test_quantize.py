"""``fusiongcn quantize``: what it writes and tells, what it refuses where that costs too much, and what ships."""

from __future__ import annotations

import argparse
import json
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusiongcn_edge.calibration import calibration_data, cli, sensitivity
from fusiongcn_edge.calibration import quantize as pipeline
from fusiongcn_edge.calibration.backends import onnx_format
from fusiongcn_edge.calibration.flip_rate import FlipRateEvaluator
from fusiongcn_edge.calibration.layers import FP16, FP32, STATIC8, WEIGHT_ONLY, Layer, format_of, with_precisions
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from helpers.calibrating import folder_of


def quantize(*arguments: object) -> int:
    return main(["quantize", *map(str, arguments)])


@pytest.mark.slow
def test_a_quantized_bundle_says_how_it_was_made(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "RANKING_PAIRS", 1)
    pairs = folder_of(tmp_path / "pairs", [synthetic_pair(48, 64, seed) for seed in range(4)])
    target, picture = tmp_path / "int8", tmp_path / "layers.png"
    options = ["--pairs", pairs, "-o", target, "--recipe", WEIGHT_ONLY, "--max-flips", "10%"]
    assert quantize(bundle.path, *options, "--picture", picture) == 0
    told = capsys.readouterr()
    assert "flipped decisions" in told.out
    assert "speed, this machine" in told.out
    assert "mix/1" in told.out
    assert cv2.imread(str(picture)) is not None
    made = load_bundle(target)
    assert made.precision == WEIGHT_ONLY
    assert made.engine == bundle.engine
    facts = made.quantization
    assert facts["recipe"] == WEIGHT_ONLY
    assert facts["layers"]["mix/1"] == WEIGHT_ONLY
    assert facts["calibration"]["sha256"] != facts["validation"]["sha256"]
    assert facts["validation"]["mean_flips"] <= 0.1
    assert told.out.count(facts["validation"]["source"]) == 1
    assert main(["info", "--model", str(target), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["quantization"] == facts
    assert quantize(target, "--pairs", pairs, "-o", tmp_path / "twice") == 2
    assert f"is in {WEIGHT_ONLY} already" in capsys.readouterr().err
    assert not (tmp_path / "twice").exists()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnx", "litert"])
@pytest.mark.parametrize("model", ["fusiongcn", "fusiongcn-lite"])
def test_shipped_models_can_be_quantized(model: str, engine: str, tmp_path: Path) -> None:
    pairs = folder_of(tmp_path / "pairs", [synthetic_pair(48, 64, seed) for seed in range(4)])
    source, target = load_bundle(model, [engine]), tmp_path / "small"
    options = ["--pairs", pairs, "--max-pairs", 2, "--max-flips", "100%", "--recipe", FP16]
    assert quantize(model, "--engine", engine, *options, "-o", target) == 0
    made = load_bundle(target)
    assert (made.network, made.component_removal, made.blend) == (
        source.network,
        source.component_removal,
        source.blend,
    )
    assert made.precision == FP16
    fused = [Fuser(each, threads=1).fuse(*synthetic_pair(64, 80)).probability for each in (source, made)]
    np.testing.assert_allclose(fused[0], fused[1], atol=0.05)


@pytest.mark.slow
def test_auto_keeps_the_budget(
    random_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def few(bundle: Bundle) -> list[Layer]:
        return [one for one in every(bundle) if one.name in ("stem/1", "mix/1")]

    every = onnx_format.layers_of
    monkeypatch.setattr(calibration_data, "SIDE", 64)
    monkeypatch.setattr(onnx_format, "layers_of", few)
    assert quantize(random_bundle, "-o", tmp_path / "auto", "--max-pairs", 2, "--max-flips", "100") == 0
    assert set(load_bundle(tmp_path / "auto").quantization["layers"].values()) == {WEIGHT_ONLY}
    assert quantize(random_bundle, "-o", tmp_path / "half", "--max-pairs", 2, "--max-flips", "0.2%") == 0
    facts = load_bundle(tmp_path / "half").quantization
    assert FP16 in facts["layers"].values()
    assert facts["validation"]["mean_flips"] <= 2e-3
    assert "chosen" in capsys.readouterr().out
    monkeypatch.setattr(pipeline, "search", lambda *_: ({"stem/1": FP32, "mix/1": FP32}, None))
    assert quantize(random_bundle, "-o", tmp_path / "none", "--max-pairs", 2) == 2
    assert "No layer can be quantized within the flip-rate budget" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_an_interruption_prints_the_trials_so_far_and_leaves_nothing(
    random_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = 0

    def of_the_third(bundle: Bundle, *rest: object) -> Bundle:
        nonlocal trials
        trials += 1
        if trials == 3:
            raise KeyboardInterrupt(signal.SIGINT)
        return with_precisions(bundle, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(calibration_data, "SIDE", 64)
    monkeypatch.setattr(sensitivity, "with_precisions", of_the_third)
    options = ["-o", tmp_path / "out", "--picture", tmp_path / "x.png", "--max-pairs", 2]
    assert quantize(random_bundle, *options) == 130
    printed = capsys.readouterr()
    head, *rows, last = printed.out.strip().splitlines()
    assert head.startswith("layer ")
    assert len(rows) == 2
    assert last.endswith("Nothing was chosen yet.")
    assert printed.err == "fusiongcn: interrupted; no unfinished file was left.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_budget_refuses_a_bad_recipe_and_leaves_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = folder_of(tmp_path / "pairs", [synthetic_pair(48, 64, seed) for seed in range(4)])
    options = ["--pairs", pairs, "-o", tmp_path / "bad", "--recipe", WEIGHT_ONLY]
    assert quantize(bundle.path, *options, "--max-flips", "100%") == 0  # it is the budget that refuses it below
    monkeypatch.setattr("fusiongcn_edge.calibration.rounding.LEVELS", 3)
    assert quantize(bundle.path, *options[:3], tmp_path / "worse", *options[4:]) == 2
    assert "expected at most 0.200%" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "pairs"]


def test_mistakes_on_the_command_line_are_told(
    random_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = folder_of(tmp_path / "pairs", [synthetic_pair(48, 64, seed) for seed in range(3)])

    def told(*arguments: object) -> str:
        assert quantize(*arguments) == 2
        return capsys.readouterr().err

    output = ["-o", tmp_path / "out"]
    assert "2 to calibrate and 1 to validate with, expected at least 2 of each" in told(
        random_bundle, "--pairs", pairs, *output
    )
    assert "--validation-pairs is given without --pairs" in told(random_bundle, "--validation-pairs", pairs, *output)
    assert "end it with .png" in told(random_bundle, *output, "--picture", tmp_path / "x.jpg")
    assert "No model 'missing'" in told("missing", *output)
    assert "pairs exists" in told(random_bundle, "-o", pairs)
    assert "share photographs" in told(random_bundle, "--pairs", pairs, "--validation-pairs", pairs, *output)
    assert "not 'litert': name no engine" in told(random_bundle, "--engine", "litert", *output)
    drawn = ["--recipe", FP16, "--picture", tmp_path / "x.png"]
    assert "fp16 has none: leave it out" in told(random_bundle, *drawn, *output)
    static = told("fusiongcn-lite", "--engine", "litert", "--recipe", STATIC8, "--max-pairs", 2, *output)
    assert "tens of gigabytes to find: use a recipe" in static
    assert "no model is written over" in told(random_bundle, "-o", random_bundle)
    assert list(tmp_path.iterdir()) == [pairs]


def test_a_count_is_at_least_nothing(random_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--seed", "--max-pairs"):
        with pytest.raises(SystemExit):
            quantize(random_bundle, "-o", "x", option, "-1")
        assert "give a whole number of at least 0" in capsys.readouterr().err


def test_ranges_of_a_whole_tflite_cnn_are_refused(
    whole_tflite_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quantize(whole_tflite_bundle, "-o", tmp_path / "out", "--max-pairs", 2, "--recipe", STATIC8) == 2
    assert "take tens of gigabytes" in capsys.readouterr().err


def test_static_recipes_say_why_not_everything_is_in_integers(bundle: Bundle) -> None:
    assert "div" in cli.why_not_all(bundle)


def test_a_share_is_given_in_per_cent() -> None:
    assert cli._percent("0.2%") == cli._percent("0.2") == 0.002
    for text in ("x", "-1", "200%", "nan"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no share"):
            cli._percent(text)


# what ships


@pytest.mark.parametrize("engine", ["onnx", "litert"])
def test_the_shipped_int8_model_is_small_and_says_what_it_lost(engine: str) -> None:
    before, after = (load_bundle(name, [engine]) for name in ("fusiongcn", "fusiongcn-int8"))
    assert (after.engine, after.name, after.params) == (engine, before.name, before.params)
    sizes = [sum(file.stat().st_size for file in bundle.path.iterdir()) for bundle in (before, after)]
    assert sizes[1] <= 0.4 * sizes[0]
    facts = after.quantization
    assert facts["calibration"]["source"] == "20 of 20 pairs in lytro"
    assert "lytro" not in facts["validation"]["source"]
    assert facts["validation"]["mean_flips"] <= 0.002
    assert set(facts["layers"]) == {layer.name for layer in format_of(before).layers_of(before)}
    assert FlipRateEvaluator(before, [synthetic_pair(96, 128)]).loss(after).mean_flips < 0.01
