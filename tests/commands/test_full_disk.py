"""No space and nowhere to write to: one sentence, before the work where that can be, and no half file."""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.arm import latency_model
from fusiongcn_edge.benchmarks.cli import evaluate
from fusiongcn_edge.benchmarks.latency import runner
from fusiongcn_edge.benchmarks.metrics.scorer import FusionScorer
from fusiongcn_edge.calibration import cli as calibration_commands
from fusiongcn_edge.cli import main
from fusiongcn_edge.model import training
from fusiongcn_edge.model.run_log import SCORES
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.io.files import check_folder, write_files
from fusiongcn_edge.runtime.io.images import write_image
from helpers.paths import ROOT
from helpers.processes import FUSIONGCN, linux, unfinished

Picture = NDArray[Any]


# no space


@pytest.fixture(params=["tmpfs", "fsync"])
def full(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with room for 8 kB, or one in which no file can be written to its end."""
    folder = tmp_path / "full"
    folder.mkdir()
    if request.param == "fsync":

        def no_space(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", no_space)
        yield folder
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


MEASURED: dict[str, Any] = {
    "interrupted": False,
    "configurations": [{"error": None, "padding": "x" * 20_000}],
}


@pytest.mark.parametrize(
    "command", ["fuse", "stack", "export", "quantize", "benchmark", "cost", "report", "metrics", "evaluate"]
)
@pytest.mark.usefixtures("no_second_export")
def test_a_full_disk_is_told_in_a_sentence_and_leaves_no_half_file(
    command: str, full: Path, photographs: tuple[Picture, Picture], random_checkpoint: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "pairs" / "a").mkdir(parents=True)
    (tmp_path / "pairs" / "b").mkdir()
    a, b, c = tmp_path / "pairs" / "a" / "1.png", tmp_path / "pairs" / "b" / "1.png", tmp_path / "c.png"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        write_image(a, photographs[0])
        write_image(b, photographs[1])
        write_image(c, photographs[0][::-1])  # one that no warning is about
    monkeypatch.setattr(runner, "measure", lambda *_, **__: MEASURED)
    monkeypatch.setattr(runner, "table", lambda report: "")
    if command in ("metrics", "evaluate"):
        monkeypatch.setattr(evaluate, "as_json", lambda *_: {"padding": "x" * 20_000})
        monkeypatch.setattr(FusionScorer, "values", lambda *_: {"padding" * 3_000: 1.0})
    docs = ROOT / "docs"
    arguments = {
        "fuse": [a, b, "-o", full / "x.png"],
        "stack": [a, b, c, "-o", full / "x.tif"],
        "export": ["--checkpoint", random_checkpoint, "-o", full / "model"],
        "quantize": [
            "fusiongcn-lite",
            "--recipe",
            "fp16",
            "--max-pairs",
            "2",
            "--max-flips",
            "100",
            "-o",
            full / "model",
        ],
        "benchmark": ["--size", "64x64", "--json", full / "x.json"],
        "cost": ["fusiongcn-lite", "--size", "64x64", "--json", full / "x.json"],
        "report": [docs / "estimates.json", "-o", full / "x.html"],
        "metrics": [a, b, a, "--json", full / "x.json"],
        "evaluate": ["--pairs", tmp_path / "pairs", "--method", "laplacian", "--json", full / "x.json"],
    }[command]
    assert main([command, *map(str, arguments)]) == 2
    told = capfd.readouterr().err
    assert told.startswith("fusiongcn: ")
    assert told.count("\n") == 1
    assert "No space left on device" in told
    assert list(full.iterdir()) == []


def test_a_full_disk_fails_each_item_of_a_batch_for_itself(
    stacks: Path, full: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if not os.path.ismount(full):
        pytest.skip("other processes have another os.fsync")
    assert main(["batch", str(stacks), "-o", str(full)]) == 1
    printed = capfd.readouterr()
    assert printed.out.count("No space left on device") == 6
    assert printed.err == ""
    assert list(full.iterdir()) == []


@pytest.mark.slow
def test_a_full_disk_ends_training_at_its_beginning(
    full: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(training.Run, "validate", lambda self: dict.fromkeys(SCORES, 0.0))
    photos = ["--photos", str(photo_folder), "--held-out", str(photo_folder), "--crop", "48", "--batch", "1"]
    assert main(["train", "lite", *photos, "--steps", "1", "--workers", "0", "-o", str(full / "run")]) == 2
    told = capfd.readouterr().err.splitlines()
    assert "No space left on device" in told[-1]
    assert not any("Traceback" in line for line in told)
    assert not (full / "run" / "state.pt").exists()
    assert not unfinished(full)


@linux
def test_what_cannot_even_be_printed_is_a_sentence() -> None:
    with open("/dev/full", "w") as full:
        told = subprocess.run([*FUSIONGCN, "info"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert told.returncode == 2
    assert told.stderr == "fusiongcn: No space left on device: check the files, the folders and the free space.\n"


@linux
def test_a_reader_that_goes_away_ends_the_work_with_the_code_of_that(tmp_path: Path, stacks: Path) -> None:
    command = [*FUSIONGCN, "batch", stacks, "-o", tmp_path / "out", "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 128 + signal.SIGPIPE


# nowhere to write to, found before the work


@linux
@pytest.mark.parametrize(
    "command", ["fuse", "stack", "batch", "export", "quantize", "train", "benchmark", "evaluate", "pictures"]
)
def test_what_cannot_be_written_to_is_refused_before_the_work(
    command: str, stacks: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("there is nowhere to write to")

    monkeypatch.setattr(Fuser, "open", work)
    monkeypatch.setattr(training, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(training, "Run", work)
    monkeypatch.setattr(runner, "measure", work)
    monkeypatch.setattr(evaluate, "open_methods", work)
    monkeypatch.setattr(calibration_commands, "load_bundle", work)
    pair = [stacks / "a" / "0.png", stacks / "b" / "0.png"]
    photos = ["--photos", photo_folder, "--held-out", photo_folder]
    arguments = {  # nobody can make a file in /proc, not even root
        "fuse": [*pair, "-o", "/proc/x.png"],
        "stack": [*pair, "-o", "/proc/x.png"],
        "batch": [stacks, "-o", "/proc/x"],
        "export": ["--checkpoint", "there is none", "-o", "/proc/x"],
        "quantize": ["fusiongcn-lite", "-o", "/proc/x"],
        "train": ["lite", *photos, "-o", "/proc/x"],
        "benchmark": ["--json", "/proc/x.json"],
        "evaluate": ["--pairs", stacks, "--json", "/proc/x.json"],
        "pictures": ["--pairs", stacks, "--pictures", "/proc"],
    }[command]
    assert main([command.replace("pictures", "evaluate"), *map(str, arguments)]) == 2
    told = capfd.readouterr().err
    assert "/proc" in told
    assert told.count("\n") == 1


@linux
@pytest.mark.parametrize(
    ("measurement", "arguments"),
    [
        ("experiments.scaling", ["--plot", "/proc/x.svg"]),
        ("experiments.training_curves", ["no.csv", "-o", "/proc/x.png"]),
        ("experiments.decision_agreement", ["--model", "m", "--pairs", "p", "--worst", "/proc/x.png"]),
        ("arm.latency_model", ["-o", "/proc/x.json"]),
    ],
)
def test_a_measurement_finds_out_first_whether_it_can_write(
    measurement: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("there is nowhere to write to")

    monkeypatch.setattr(Fuser, "open", work)
    monkeypatch.setattr(latency_model, "plugin", work)
    monkeypatch.setattr(sys, "argv", [measurement, *arguments])
    assert importlib.import_module(f"fusiongcn_edge.benchmarks.{measurement}").main() == 2
    told = capfd.readouterr().err
    assert "/proc" in told
    assert told.count("\n") == 1


def test_a_link_to_a_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "real" / "file.txt")
    for content in (b"new", b"newer"):
        check_folder(link)
        write_files({link: content})
        assert link.is_symlink()
        assert (tmp_path / "real" / "file.txt").read_bytes() == content
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file.txt", "link.txt", "real"]


def test_processes_that_write_the_same_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    code = """
import sys
from fusiongcn_edge.runtime.io.files import check_folder, write_files
for _ in range(300):
    check_folder(sys.argv[1])
    write_files({sys.argv[1]: b"x" * 1000})
"""
    command = [sys.executable, "-c", code, str(tmp_path / "out.png")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[1] for process in both] == ["", ""]
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes with names here")
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "pipe.json", Path("/dev/null"), Path("/dev/new.json")):
        with pytest.raises(FusionError, match=r"is a device or a pipe|does not exist"):
            check_folder(path)
    with pytest.raises(FusionError, match="File name too long"):
        check_folder(tmp_path / ("x" * 250))
    assert [path.name for path in tmp_path.iterdir()] == ["pipe.json"]
