from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.experiments import decision_agreement, slic_vs_skimage
from fusiongcn_edge.benchmarks.experiments.decision_agreement import differing_fraction
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.io.images import write_image
from fusiongcn_edge.runtime.io.pairs import find_pairs

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pairs(tmp_path: Path, photographs: tuple[NDArray[Any], NDArray[Any]]) -> Path:
    """Two pairs of one set, and things that are none."""
    for side, image in zip("ab", photographs, strict=True):
        folder = tmp_path / "garden" / side
        folder.mkdir(parents=True)
        write_image(folder / "02.png", image)
        write_image(folder / "01.tif", image[::-1])
    (tmp_path / "garden" / "a" / "03.png").write_text("without a partner")
    (tmp_path / "garden" / "notes.txt").write_text("nothing to see")
    return tmp_path


ONCE_IN_A_PROCESS = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs one benchmark's main; gives its exit code and what it prints."""

    def call(main: Callable[[], int], *arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, arguments)])
        code = main()
        printed = capfd.readouterr()
        return code, printed.out, printed.err.replace(ONCE_IN_A_PROCESS, "")

    return call


def test_pairs_are_found_in_order_with_what_lies_beside_them(pairs: Path) -> None:
    (pairs / "garden" / "truth").mkdir()
    (pairs / "garden" / "truth" / "02.png").touch()
    found = list(find_pairs(pairs))
    assert [(pair.set, pair.name, pair.a.name, pair.b.name) for pair in found] == [
        ("garden", "01", "01.tif", "01.tif"),
        ("garden", "02", "02.png", "02.png"),
    ]
    assert found[0].beside("truth") is None
    assert found[1].beside("truth") == pairs / "garden" / "truth" / "02.png"


def test_a_folder_without_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FusionError, match="No pairs below"):
        list(find_pairs(tmp_path))


def test_the_differing_fraction_counts_pixels(tmp_path: Path) -> None:
    decision = np.zeros((20, 50), bool)
    decision[:, 30:] = True
    stored = np.where(decision, 255, 0).astype(np.uint8)
    stored[0, :3] = 255
    cv2.imwrite(str(tmp_path / "map.png"), stored)
    assert differing_fraction(decision, tmp_path / "map.png") == 3 / 1000
    with pytest.raises(FusionError) as refused:
        differing_fraction(decision[1:], tmp_path / "map.png")
    assert (refused.value.found, refused.value.allowed) == ("50x20", "50x19")
    with pytest.raises(FusionError, match=r"no file .*none\.png"):
        differing_fraction(decision, tmp_path / "none.png")


def test_the_table_of_decisions_shows_each_pair_and_the_sum(
    pairs: Path, random_bundle: Path, photographs: tuple[NDArray[Any], NDArray[Any]], run: Run
) -> None:
    first, second = photographs
    fuser = Fuser.open(random_bundle)
    (pairs / "garden" / "maps").mkdir()
    for name, pair in (("01", (first[::-1], second[::-1])), ("02", (first, second))):
        decision = fuser.fuse(*pair).decision.astype(np.uint8) * 255
        if name == "02":
            decision[:2, :3] = 255 - decision[:2, :3]
        write_image(pairs / "garden" / "maps" / f"{name}.png", decision)
    code, out, err = run(decision_agreement.main, "--model", random_bundle, "--pairs", pairs, "--maps", "maps")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert ["garden", "01", "0", "0.0000%"] in rows
    assert ["garden", "02", "6", f"{6 / first[:, :, 0].size:.4%}"] in rows
    assert out.splitlines()[-1] == "1 of 2 identical; mean 0.0244%, worst 0.0488% of pixels"
    assert "garden: mean 0.0244%" in out
    for limit in ("--at-most", "--mean-at-most"):
        options = ("--model", random_bundle, "--pairs", pairs, "--maps", "maps", limit)
        assert run(decision_agreement.main, *options, "1")[0] == 0
        assert run(decision_agreement.main, *options, "0.01")[0] == 2


def test_the_decisions_of_two_models_are_compared(
    pairs: Path, random_bundle: Path, tflite_bundle: Path, run: Run
) -> None:
    code, out, err = run(
        decision_agreement.main, "--model", tflite_bundle, "--against", random_bundle, "--pairs", pairs
    )
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 6


def test_the_pairs_that_agree_least_are_drawn(
    pairs: Path, random_bundle: Path, photographs: tuple[NDArray[Any], NDArray[Any]], run: Run, monkeypatch: Any
) -> None:
    maps = pairs / "garden" / "official_decision"
    maps.mkdir()
    fuser = Fuser.open(random_bundle)
    (decided, upside_down) = (fuser.fuse(*pair).decision for pair in (photographs, [p[::-1] for p in photographs]))
    write_image(maps / "01.png", np.where(upside_down, 255, 0).astype(np.uint8))
    other = decided.copy()
    other[:40] = ~decided[:40]
    write_image(maps / "02.png", np.where(other, 255, 0).astype(np.uint8))
    monkeypatch.setattr(decision_agreement, "WORST", 1)
    options = ("--model", random_bundle, "--pairs", pairs, "--worst", pairs / "worst.png")
    assert run(decision_agreement.main, *options)[0] == 0
    drawn = cv2.imread(str(pairs / "worst.png"))[-96:]
    own, stored, wrong = (drawn[:, 128 * i : 128 * (i + 1)] for i in range(3))
    np.testing.assert_array_equal(own[:, :, 0] > 127, decided)
    np.testing.assert_array_equal(stored[:, :, 0] > 127, other)
    np.testing.assert_array_equal(wrong[:40], np.minimum(cv2.absdiff(*photographs).astype(int) * 4, 255)[:40])
    assert not wrong[40:].any()
    assert run(decision_agreement.main, *options[:4], "--worst", pairs / "none" / "x.png")[0] == 2


def test_a_missing_map_is_named(pairs: Path, random_bundle: Path, run: Run) -> None:
    code, _, err = run(decision_agreement.main, "--model", random_bundle, "--pairs", pairs)
    assert code == 2
    assert "no official_decision/01.*" in err


def test_the_table_of_superpixels_compares_with_scikit_image(pairs: Path, random_bundle: Path, run: Run) -> None:
    shutil.copytree(pairs / "garden", pairs / "park")
    code, out, err = run(slic_vs_skimage.main, "--model", random_bundle, "--pairs", pairs)
    assert (code, err) == (0, "")
    assert [line.split()[:3] for line in out.splitlines()[1:5]] == [
        [place, name, "128x96"] for place in ("garden", "park") for name in ("01", "02")
    ]
    assert "4 of 4 exactly equal; worst 0.0000%" in out
