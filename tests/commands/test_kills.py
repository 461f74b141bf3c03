"""Killed at any moment or asked to stop: whole files or none, and the same command goes on.

FUSIONGCN_KILLS=20 kills each command twenty times; ``pytest -rP`` shows when.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fusiongcn_edge.model import training
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.io.files import write_files
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from helpers.processes import FUSIONGCN, children, killed, killed_after_lines, linux, seconds_of, started, unfinished

pytestmark = [pytest.mark.slow, pytest.mark.process]

KILLS = int(os.environ.get("FUSIONGCN_KILLS", 2))

# trains as the command does, but saves after every step and validates little
TRAIN = """
import sys
from fusiongcn_edge.cli import main
from fusiongcn_edge.model import training
training.run.__kwdefaults__["save_every"] = 0
training.Run.validate.__defaults__ = (1, 64)
sys.exit(main(sys.argv[1:]))
"""


def contents(*folders: Path) -> dict[str, str]:
    """SHA-256 of every file below."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# killed at any moment


@linux
def test_a_batch_killed_at_any_moment_goes_on_to_the_same_answer(stacks: Path, tmp_path: Path) -> None:
    rng = random.Random(1)
    batch = [*FUSIONGCN, "batch", str(stacks), "--threads", "1", "--workers", "2", "-o"]
    whole, before = tmp_path / "whole", contents(stacks)
    duration = seconds_of([*batch, str(whole)])
    expected = {path.name: path.read_bytes() for path in whole.glob("*.png")}
    for number in range(KILLS):
        output = tmp_path / f"out{number}"
        if number % 4 == 3:
            killed([*batch, str(output)], rng.uniform(0, 0.85), duration)
        else:
            killed_after_lines([*batch, str(output), "--json-progress"], rng.randint(1, 6), rng.uniform(0, 0.05))
        made = [path for path in output.rglob("[!.]*") if path.is_file()]
        strange = [path for path in output.rglob(".*") if path.suffix != ".part" and path.name[1:-5] not in expected]
        print(f"batch, {len(made)} made, {len(unfinished(output))} unfinished")
        assert not strange
        assert all(path.read_bytes() == expected[path.name] for path in made)
        left = unfinished(output)
        subprocess.run([*batch, str(output)], check=True, capture_output=True)
        assert {path.name: path.read_bytes() for path in output.glob("[!.]*")} == expected
        assert unfinished(output) == left
    assert contents(stacks) == before


@linux
def test_training_killed_at_any_moment_goes_on_to_the_same_answer(photo_folder: Path, tmp_path: Path) -> None:
    rng = random.Random(2)
    photos, small = ["--photos", str(photo_folder), "--held-out", str(photo_folder)], ["--batch", "1", "--crop", "48"]
    train = [sys.executable, "-c", TRAIN, "train", "lite", *photos, *small, "--steps", "5", "--workers", "0", "-o"]
    before = contents(photo_folder)
    duration = seconds_of([*train, str(tmp_path / "whole")])
    expected = training.torch.load(tmp_path / "whole" / "weights.pt")["state"]
    for number in range(KILLS):
        output = tmp_path / f"run{number}"
        killed([*train, str(output)], rng.uniform(0.3, 0.85), duration)
        step = training.torch.load(output / "state.pt")["step"] if (output / "state.pt").exists() else None
        if (output / "weights.pt").exists():
            training.load_network(output / "weights.pt")
        print(f"train, step {step}, {len(unfinished(tmp_path))} left")
        left = {path.name for path in unfinished(output)}
        subprocess.run([*train, str(output)], check=True, capture_output=True)
        found = training.torch.load(output / "weights.pt")["state"]
        assert all(training.torch.equal(found[name], tensor) for name, tensor in expected.items())
        assert {path.name for path in output.iterdir()} - left == {"log.csv", "state.pt", "weights.pt"}
    assert contents(photo_folder) == before


@linux
def test_an_export_killed_at_any_moment_leaves_no_half_model(tmp_path: Path) -> None:
    rng = random.Random(3)
    training.torch.manual_seed(0)
    checkpoint = tmp_path / "weights.pt"
    settings = {"segments_per_side": 0.5, "compactness": 0.1, "iterations": 5}
    network = training.NETWORKS["lite"]().eval()
    training.save_checkpoint(checkpoint, network, {"network": "lite", "superpixels": settings, "origin": {}})
    export = [*FUSIONGCN, "export", "--checkpoint", str(checkpoint), "-o"]
    before = contents(tmp_path)
    duration = seconds_of([*export, str(tmp_path / "whole")])
    expected = contents(tmp_path / "whole").values()
    output = tmp_path / "bundle"
    for number in range(KILLS):
        killed([*export, str(output)], rng.uniform(0.5 * (number % 2), 0.85), duration)
        print(f"export, model {output.exists()}, {len(unfinished(tmp_path))} unfinished")
        if output.exists():  # it had finished just before
            load_bundle(output)
            shutil.rmtree(output)
    subprocess.run([*export, str(output)], check=True, capture_output=True)
    assert sorted(contents(output).values()) == sorted(expected)
    assert contents(tmp_path).items() >= before.items()


# in a process for each system call before which it is killed: writes files, a bundle or a result of a batch, and prints
# what is there then
CRASH = """
import builtins, os, signal, sys
from pathlib import Path
import cv2
import numpy as np
from fusiongcn_edge.runtime.batch.records import conflict, is_up_to_date, write_result
from fusiongcn_edge.runtime.bundle.manifest import Graph
from fusiongcn_edge.runtime.bundle.writer import write_bundle
from fusiongcn_edge.runtime.io.files import write_files

folder, what = Path(sys.argv[1]), sys.argv[2]
graph = Graph("gcn.onnx", b"x" * 100_000, {}, {})


def write(content):
    if what == "bundle":
        write_bundle(folder / "model", {"name": content}, {"gcn": graph})
    elif what == "result":
        pixels = np.full((2, 2), len(content), np.uint8)
        write_result(folder / "a.png", cv2.imencode(".png", pixels)[1].tobytes(), content, [])
    else:
        write_files({folder / "a.png": content.encode() * 50_000, folder / "b.json": content.encode()})


def crash_before(step):
    count = 0
    for name in ("open", "mkdir", "fsync", "replace", "rename", "unlink"):
        module = builtins if name == "open" else os
        def call(*arguments, original=getattr(module, name), **options):
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)
        setattr(module, name, call)


if what == 'result':
    write('old one')
for step in range(1, 100):
    child = os.fork()
    if child == 0:
        crash_before(step)
        write("new")
        os._exit(0)
    done = os.waitpid(child, 0)[1] == 0
    visible = sorted((path.name, path.stat().st_size) for path in folder.iterdir() if path.name[0] != ".")
    if what == "result":
        assert conflict(folder / "a.png") is None
        assert is_up_to_date(folder / "a.png", "new") == done
        write("old one")
    print(step, done, visible, flush=True)
    if done:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("what", ["files", "bundle", "result"])
def test_killed_before_any_system_call_writing_leaves_whole_files_or_none(what: str, tmp_path: Path) -> None:
    if what == "files":
        write_files({tmp_path / "a.png": b"old" * 50_000, tmp_path / "b.json": b"old"})
    command = [sys.executable, "-c", CRASH, str(tmp_path), what]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    *crashes, last = [line.split(" ", 2) for line in told.stdout.splitlines()]
    assert len(crashes) >= 6
    assert last[1] == "True"
    if what == "files":
        allowed = {str(sorted({"a.png": 150_000, "b.json": 3}.items()))}
    elif what == "result":
        allowed = {"[]", last[2]}
    else:
        allowed = {"[]", str([("model", (tmp_path / "model").stat().st_size)])}
    assert {state for _, _, state in crashes} <= allowed
    if what == "bundle":
        assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["bundle.json", "gcn.onnx"]


# asked to stop


@linux
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["fuse", "batch"])
def test_asked_to_stop_a_command_says_so_and_leaves_nothing_unfinished(
    command: str, how: signal.Signals, stacks: Path, tmp_path: Path
) -> None:
    rng, output = random.Random(how), tmp_path / "out"
    if command == "fuse":
        output.mkdir()
        for name, picture in zip("ab", synthetic_pair(520, 520), strict=True):
            write_image(tmp_path / f"{name}.png", picture)
        arguments = [str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--model", "fusiongcn", "-o", f"{output}/x.png"]
    else:
        arguments = [str(stacks), "-o", str(output)]
    for _ in range(max(1, KILLS // 2)):
        process = started([*FUSIONGCN, command, *arguments])
        time.sleep(after := rng.uniform(0, 1.5))
        os.killpg(process.pid, how)  # as a terminal does, or the service manager
        told = process.communicate(timeout=120)[1]
        print(f"{command}: {how.name} after {after:.2f} s: {process.returncode}, {told!r}")
        assert process.returncode in (128 + how, 0)
        remark = r"no unfinished file was left|[0-6] of 6 are made, and the same command goes on"
        assert re.fullmatch(rf"(fusiongcn: interrupted; ({remark})\.\n)?", told)
        assert (told == "") == (process.returncode == 0)
        assert not unfinished(tmp_path)
        for path in output.rglob("[!.]*.png"):
            read_image(path)


@linux
def test_a_benchmark_that_is_asked_to_stop_keeps_what_it_measured_and_ends_what_it_started(tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    command = [*FUSIONGCN, "benchmark", "--size", "64x64", "--rounds", "500", "--json", str(file)]
    process = started(command)
    while len(begun := set(children(process.pid))) == 0:
        time.sleep(0.01)
    while begun & set(children(process.pid)):  # until the first round is over: then there is something to keep
        time.sleep(0.01)
    time.sleep(0.5)
    running = children(process.pid)
    process.terminate()
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 128 + signal.SIGTERM
    assert "Interrupted: what was measured until then." in told
    assert json.loads(file.read_text())["kind"]
    assert not [pid for pid in running if Path(f"/proc/{pid}/cmdline").exists()]
    assert not unfinished(tmp_path)
