"""Files, folders, arrays and arguments that nobody means well with: one sentence each, or a right answer.

Each reader that is fuzzed (``tests/fuzz``) gets its seeds and a few hundred changed ones here; what fuzzing has found
follows by hand, but for pictures (``test_headers.py``) and graphs (``test_hostile_graphs.py``).
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusiongcn_edge.benchmarks.cost.count import cost_of_file
from fusiongcn_edge.benchmarks.report.schema import read_saved
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import FusionError, OutputError, align_frames
from fusiongcn_edge.runtime.batch.discovery import record_path
from fusiongcn_edge.runtime.batch.records import is_up_to_date
from fusiongcn_edge.runtime.bundle.manifest import MANIFEST
from fusiongcn_edge.runtime.bundle.reader import SHIPPED, load_bundle
from fusiongcn_edge.runtime.errors import LONGEST
from fusiongcn_edge.runtime.io.files import check_folder, read_file
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.pairs import find_pairs
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fuzz.reader import Finding, unclear
from fuzz.readers import READERS
from helpers.refusals import refusal

# how many changed inputs each reader gets; those that may end the process itself (see FORMAT.md) get none
CHANGED = dict.fromkeys(READERS, 200) | {
    "onnx": 0, "tflite": 0, "arguments": 60, "training-state": 15, "manifest": 80, "folders": 100, "cost": 100,
    "quantizable": 40, "checkpoint": 100,
}  # fmt: skip
LIBRARIES = {"heic": "pillow_heif", "raw": "rawpy"}


@pytest.mark.parametrize("name", READERS)
def test_seeds_and_changed_ones_are_read_or_refused_in_one_sentence(name: str) -> None:
    pytest.importorskip(LIBRARIES.get(name, "numpy"))
    reader, rng = READERS[name], random.Random(7)
    seeds = list(reader.seeds())
    inputs = [*seeds, *(reader.change(rng.choice(seeds), rng) for _ in range(CHANGED[name]))]
    found: list[Finding] = [wrong for data in inputs if (wrong := reader.finding(data[: reader.longest]))]
    assert [wrong.text for wrong in found] == []


# what is no file


@pytest.fixture
def no_files(tmp_path: Path) -> list[Path]:
    """A pipe that nobody writes to, an endless device, one behind a link, and a file that only says it is large."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 42)
    return [tmp_path / "pipe", Path("/dev/zero"), tmp_path / "link", tmp_path / "sparse"]


def test_pipes_devices_and_what_does_not_fit_are_not_read(no_files: list[Path]) -> None:
    for path in no_files:
        assert "cannot be read" in refusal(read_image, path)
        assert "cannot be read" in refusal(read_saved, path)
        assert "cannot be read" in refusal(cost_of_file, path)
        with pytest.raises(OSError, match=r"device|large"):
            read_file(path)


@pytest.mark.parametrize("file", [MANIFEST, "cnn.onnx"])
def test_a_bundle_of_pipes_and_devices_is_refused(file: str, no_files: list[Path], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(SHIPPED / "onnx" / "fusiongcn-lite", bundle)
    for path in [*no_files, tmp_path]:
        (bundle / file).unlink(missing_ok=True)
        (bundle / file).symlink_to(path)
        assert "cannot be read" in refusal(load_bundle, bundle)


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    assert "no file" in refusal(read_image, name)


def test_a_device_or_pipe_is_not_replaced_by_a_result(no_files: list[Path]) -> None:
    for path in no_files[:3]:
        with pytest.raises(OutputError, match="device or a pipe"):
            check_folder(path)


def test_a_record_that_nests_for_ever_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"result")
    record_path(tmp_path / "a.png").write_bytes(b"[" * 60_000)
    assert not is_up_to_date(tmp_path / "a.png", "mark")


# names


def test_an_error_is_one_line_that_a_terminal_shows(tmp_path: Path) -> None:
    told = refusal(read_image, tmp_path / "new\nline\x1b[31m\u2028\udcff.png")
    assert r"new\nline\x1b[31m\u2028\udcff.png" in told
    assert len(str(FusionError("x" * 5000 + "."))) < LONGEST + 5


@pytest.mark.parametrize("name", ["new\nline.png", "\udcff.png", "\x1b[31m.png"])
def test_a_result_of_any_name_is_told_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for path, picture in zip((name, "b.png"), synthetic_pair(32, 40), strict=True):
        write_image(path, picture)
    for arguments in (["fuse", name, "b.png", "-o", f"out-{name}"], ["stack", name, "b.png", "-o", f"out-{name}"]):
        assert main(arguments) == 0
        out, err = capfd.readouterr()
        assert out.isascii()
        assert out.count("\n") == 1
        assert "\x1b" not in out
        assert err == ""


def test_names_with_patterns_in_them_are_names(tmp_path: Path) -> None:
    for side in "ab":
        (tmp_path / side).mkdir()
        for name in ("[1]", "*", "1", "1.b"):
            (tmp_path / side / f"{name}.png").write_bytes(b"")
    assert {pair.name: pair.b.name for pair in find_pairs(tmp_path)} == {
        name: f"{name}.png" for name in ("[1]", "*", "1", "1.b")
    }


# arrays and numbers


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (7, 7), (1, 300, 3)])
@pytest.mark.parametrize("model", ["shift", "similarity", "affine", "homography"])
def test_frames_too_small_to_be_aligned_are_refused(shape: tuple[int, ...], model: str) -> None:
    frames = [np.random.default_rng(n).integers(20, 230, shape, np.uint8) for n in range(2)]
    assert "at least 16 on each side" in refusal(align_frames, frames, model)
    assert len(align_frames(frames, "none", match_exposure=True)) == 2


def test_a_size_that_no_photograph_has_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    for size in ("9" * 4000 + "x1", "99999999x99999999", "0x5"):
        with pytest.raises(SystemExit):
            main(["info", "--model", "fusiongcn-lite", "--size", size])
        assert "is no size: give height x width" in capfd.readouterr().err


# what training goes on from


def test_a_training_run_does_not_go_on_from_what_is_damaged(tmp_path: Path) -> None:
    import io

    import torch

    from fusiongcn_edge.model.config import CONFIGS, TrainingError
    from fusiongcn_edge.model.data.photos import Photographs
    from fusiongcn_edge.model.run_log import LOG_FIELDS, Log
    from fusiongcn_edge.model.training import Run

    photographs = tmp_path / "photographs" / "images"
    photographs.mkdir(parents=True)
    write_image(photographs / "one.png", synthetic_pair(96, 100)[0])
    run = Run(CONFIGS["lite"], tmp_path, Photographs(photographs), Photographs(photographs))
    run.save()
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    wrong: list[dict[str, Any]] = [{"step": -1}, {"step": "x"}, {"seconds": float("nan")}, {"origin": 3}, {"model": {}}]
    wrong += [{"optimizer": {"state": {}, "param_groups": []}}, {"average": []}, {"recipe": {"cell_sizes": []}}]
    wrong += [{"given": 3}, {"losses": -1}, {"loss_sum": float("inf")}]
    for change in wrong:
        file = io.BytesIO()
        torch.save({**state, **change}, file)
        (tmp_path / "state.pt").write_bytes(file.getvalue())
        with pytest.raises(TrainingError, match="is damaged: start anew") as caught:
            run._resume()
        assert unclear(str(caught.value)) is None
    for text in ("step\nmany\n", "steps\n1\n", "step\n1\n", "step,\n", ",".join(LOG_FIELDS) + "\n\0,\n"):
        (tmp_path / "log.csv").write_text(text)
        assert Log(tmp_path / "log.csv", 5).rows == []


def test_a_segmentation_belongs_to_its_photograph(tmp_path: Path) -> None:
    from fusiongcn_edge.model.data.photos import Photographs

    for folder, name, side in (("images", "[1].png", 80), ("segments", "[1]_0.png", 70), ("segments", "1_0.png", 80)):
        (tmp_path / folder).mkdir(exist_ok=True)
        write_image(tmp_path / folder / name, np.zeros((side, 80), np.uint8))
    assert "is not of the size of" in refusal(Photographs, tmp_path / "images")
    (tmp_path / "segments" / "[1]_0.png").write_bytes(b"no picture")
    assert "is no segmentation" in refusal(Photographs, tmp_path / "images")
    write_image(tmp_path / "segments" / "[1]_0.png", np.zeros((80, 80), np.uint8))
    photographs = Photographs(tmp_path / "images")
    write_image(tmp_path / "segments" / "[1]_0.png", np.zeros((70, 80), np.uint8))
    assert "is not of the size of" in refusal(photographs.crop, np.random.default_rng(0), 32)
