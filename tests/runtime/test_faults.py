"""Photographs that vanish, engines that throw, memory that runs out: a sentence, and the next pair is fused."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.batch.discovery import Item
from fusiongcn_edge.runtime.batch.records import fingerprint, is_up_to_date
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from helpers.processes import FUSIONGCN, linux

pytestmark = pytest.mark.process

Picture = NDArray[Any]


def test_photographs_that_vanish_fail_their_own_item(stacks: Path, tmp_path: Path) -> None:
    command = [*FUSIONGCN, "batch", str(stacks), "-o", str(tmp_path / "out"), "--json-progress", "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()  # which says how many there are
    (stacks / "b" / "5.png").unlink()
    events = [json.loads(line) for line in process.communicate()[0].splitlines()]
    assert process.returncode == 1
    states = {event["name"]: (event["state"], event["error"]) for event in events if event["event"] == "item"}
    assert [state for state, _ in states.values()] == ["done"] * 5 + ["failed"]
    assert "5.png: check the path" in states["5"][1]


def test_what_vanished_before_it_was_looked_at_is_not_taken_for_made(tmp_path: Path) -> None:
    mark = fingerprint(Item("x", (tmp_path / "1.png", tmp_path / "2.png"), pair=False), {})
    (tmp_path / ".x.png.json").write_text(json.dumps({"made_from": mark, "sha256": hashlib.sha256(b"").hexdigest()}))
    (tmp_path / "x.png").write_bytes(b"")
    assert not is_up_to_date(tmp_path / "x.png", mark)


@pytest.mark.parametrize("model", ["fusiongcn-lite", "fusiongcn"])
@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("can't start new thread"), "Memory ran out (can't start new thread)"),
        (MemoryError(), "Memory ran out (no more could be had)"),
    ],
)
def test_memory_that_runs_out_is_told_and_the_next_pair_is_fused(
    error: Exception, sentence: str, model: str, photographs: tuple[Picture, Picture]
) -> None:
    throwing = False

    def watch(*_: object) -> None:
        if throwing:
            raise error

    fuser = Fuser(load_bundle(model, ["onnx"]), threads=2, watch=watch)
    before = fuser.fuse(*photographs).image
    throwing = True
    with pytest.raises(FusionError) as told:
        fuser.fuse(*photographs)
    assert str(told.value).startswith(sentence)
    throwing = False
    np.testing.assert_array_equal(fuser.fuse(*photographs).image, before)


def test_a_mistake_in_the_callers_own_code_stays_visible(photographs: tuple[Picture, Picture]) -> None:
    def progress(stage: str) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        Fuser.open(threads=1).fuse(*photographs, progress=progress)


THROWING = """
import onnxruntime
run, runs = onnxruntime.InferenceSession.run, 0

def throwing(*arguments):
    global runs
    runs += 1
    if runs in (3, 6):
        raise {error}
    return run(*arguments)

onnxruntime.InferenceSession.run = throwing
"""


@pytest.mark.parametrize("error", ["RuntimeError('boom')", "MemoryError()"])
def test_an_engine_that_throws_fails_its_item_and_the_batch_goes_on(error: str, stacks: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(THROWING.format(error=error))
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [*FUSIONGCN, "batch", str(stacks), "-o", str(tmp_path / "out"), "--engine", "onnx", "--threads", "1"]
    told = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
    assert told.returncode == 1
    assert told.stderr == ""
    assert told.stdout.count("ONNX Runtime failed in ") == 2
    assert "\n4 fused, 0 kept, 2 failed, " in told.stdout


CRASHING = """
import os
from pathlib import Path
import onnxruntime
run = onnxruntime.InferenceSession.run

def crashing(*arguments):
    if {begun} and first():
        os.kill(os.getpid(), {number})
    return run(*arguments)

def first():
    try:
        os.close(os.open({once!r}, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True

onnxruntime.InferenceSession.run = crashing
"""


@linux
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])  # as of a library's fault, or for want of memory
def test_a_process_that_crashes_fails_its_item_and_the_batch_goes_on(
    number: signal.Signals, workers: str, stacks: Path, tmp_path: Path
) -> None:
    begun = f"len(list(Path({str(tmp_path / 'out')!r}).glob('*.png'))) >= 2"
    once = str(tmp_path / "crashed")
    (tmp_path / "sitecustomize.py").write_text(CRASHING.format(begun=begun, once=once, number=int(number)))
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    batch = [*FUSIONGCN, "batch", str(stacks), "-o", str(tmp_path / "out"), "--threads", "1", "--workers", workers]
    told = subprocess.run(batch, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
    assert told.returncode == 1
    assert told.stderr == ""
    assert told.stdout.count("Its process was killed") == 1
    assert "\n5 fused, 0 kept, 1 failed, " in told.stdout
    again = subprocess.run(batch, capture_output=True, text=True)
    assert "\n1 fused, 5 kept, 0 failed, " in again.stdout


def test_memory_that_runs_out_anywhere_is_a_sentence(
    stacks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("cv2.imencode", no_memory)
    pair = [str(stacks / side / "0.png") for side in "ab"]
    assert main(["fuse", *pair, "-o", str(tmp_path / "x.png")]) == 2
    assert capfd.readouterr().err == "fusiongcn: Memory ran out: use smaller photographs or close other programs.\n"
