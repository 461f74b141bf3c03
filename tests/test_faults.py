"""Whatever happens to a command: killed, stopped, no space, no permission, photographs that vanish, engines that throw.

FUSIONGCN_KILLS=20 kills each command twenty times; ``pytest -rP`` shows when.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks import evaluation_commands, latency
from fusiongcn_edge.calibration import commands as calibration_commands
from fusiongcn_edge.cli import main
from fusiongcn_edge.model import training
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.batch import Item, fingerprint, is_made
from fusiongcn_edge.runtime.bundle import load_bundle
from fusiongcn_edge.runtime.files import check_folder, write_files
from fusiongcn_edge.runtime.images import read_image, write_image
from fusiongcn_edge.runtime.pairs import made_pair

Picture = NDArray[Any]
KILLS = int(os.environ.get("FUSIONGCN_KILLS", 2))
FUSIONGCN = [sys.executable, "-m", "fusiongcn_edge"]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

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


def unfinished(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.part"))


def killed(command: list[str], share: float, whole: float) -> None:
    """Start a command and kill it and what it started once it has computed for this share of the processor seconds that
    it takes: on a busy machine, it is killed later, not less often.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while computed(process.pid) < share * whole and process.poll() is None:
        time.sleep(0.005)
    if process.poll() is None:
        for pid, _ in of_session(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    print(f"{ended(process)} at {share:.2f} of {whole:.2f} s of computing:", end=" ")


def killed_after_lines(command: list[str], lines: int, seconds: float) -> None:
    """Kill a command so long after it has printed so many lines; what it started ends by itself, and is waited for."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(lines):
        process.stdout.readline()
    time.sleep(seconds)
    process.kill()
    how = ended(process)
    process.stdout.read()  # until all that could write to it have gone
    process.stdout.close()
    print(f"{how} {seconds:.3f} s after line {lines}:", end=" ")


def ended(process: subprocess.Popen[Any]) -> str:
    return "killed" if process.wait() == -signal.SIGKILL else "had finished"


def of_session(session: int) -> Iterator[tuple[int, int]]:
    """All processes of a session, with the clock ticks that each has computed for."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                yield int(stat.parent.name), sum(map(int, fields[11:13]))


def computed(session: int) -> float:
    """Processor seconds of a session, of all processes that it has now."""
    return sum(ticks for _, ticks in of_session(session)) / os.sysconf("SC_CLK_TCK")


def seconds_of(command: list[str]) -> float:
    """Processor seconds of a command that nothing happens to, as :func:`computed` last saw them."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    spent = 0.0
    while process.poll() is None:
        spent = max(spent, computed(process.pid))
        time.sleep(0.005)
    assert process.returncode == 0
    return spent


# killed at any moment


@pytest.fixture
def stacks(tmp_path: Path, photographs: tuple[Picture, Picture]) -> Path:
    """A folder with six pairs."""
    for number in range(6):
        for side, picture in zip("ab", photographs, strict=True):
            path = tmp_path / "in" / side / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, np.roll(picture, 7 * number, axis=1))
    return tmp_path / "in"


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
        subprocess.run([*batch, str(output)], check=True, capture_output=True)
        assert {path.name: path.read_bytes() for path in output.glob("*.png")} == expected
        assert not unfinished(output)
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
        subprocess.run([*train, str(output)], check=True, capture_output=True)
        found = training.torch.load(output / "weights.pt")["state"]
        assert all(training.torch.equal(found[name], tensor) for name, tensor in expected.items())
        assert sorted(path.name for path in output.iterdir()) == ["log.csv", "state.pt", "weights.pt"]
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
    assert not unfinished(tmp_path)
    assert contents(tmp_path).items() >= before.items()


# in a process for each system call before which it is killed: writes files or a bundle, and prints what is there then
CRASH = """
import os, signal, sys
from pathlib import Path
from fusiongcn_edge.runtime.bundle import Graph, load_bundle
from fusiongcn_edge.runtime.bundle_writer import write_bundle
from fusiongcn_edge.runtime.files import write_files

folder, what = Path(sys.argv[1]), sys.argv[2]
graph = Graph("gcn.onnx", b"x" * 100_000, {}, {})


def write(content):
    if what == "bundle":
        write_bundle(folder / "model", {"name": content}, {"gcn": graph})
    else:
        write_files({folder / "a.png": content.encode() * 50_000, folder / "b.json": content.encode()})


def crash_before(step):
    count = 0
    for name in ("open", "mkdir", "chmod", "fsync", "replace", "rename", "unlink"):
        def call(*arguments, original=getattr(os, name), **options):
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)
        setattr(os, name, call)


for step in range(1, 100):
    child = os.fork()
    if child == 0:
        crash_before(step)
        write("new")
        os._exit(0)
    done = os.waitpid(child, 0)[1] == 0
    visible = sorted((path.name, path.stat().st_size) for path in folder.iterdir() if path.name[0] != ".")
    hidden = [path.name for path in folder.iterdir() if path.name[0] == "."]
    assert all(name.endswith(".part") for name in hidden), hidden
    assert len(hidden) <= 2, hidden  # those of earlier crashes are gone
    print(step, done, visible, flush=True)
    if done:
        assert not hidden, hidden
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("what", ["files", "bundle"])
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
    else:
        allowed = {"[]", str([("model", (tmp_path / "model").stat().st_size)])}
    assert {state for _, _, state in crashes} <= allowed
    if what == "bundle":
        assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["bundle.json", "gcn.onnx"]


def test_what_is_being_written_is_not_taken_for_what_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, fsync = tmp_path / "[x].png", os.fsync
    (tmp_path / ".[x].png.abc.part").write_text("left by a killed process")

    def another(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", fsync)
        write_files({target: b"another process's"})

    monkeypatch.setattr(os, "fsync", another)
    write_files({target: b"ours"})
    assert target.read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == [target]


# asked to stop


def started(command: list[str]) -> subprocess.Popen[str]:
    """A command that has got as far as listening to signals."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    while not any(listens(pid) for pid in children(process.pid)):  # it is guarded: see fusiongcn_edge.guard
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    return process


def children(pid: int | str) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def listens(pid: str) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@linux
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["fuse", "batch"])
def test_asked_to_stop_a_command_says_so_and_leaves_nothing_unfinished(
    command: str, how: signal.Signals, stacks: Path, tmp_path: Path
) -> None:
    rng, output = random.Random(how), tmp_path / "out"
    if command == "fuse":
        output.mkdir()
        for name, picture in zip("ab", made_pair(520, 520), strict=True):
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
        remarks = ("no unfinished file was left", "what is done is kept, and the same command goes on")
        assert told in (*(f"fusiongcn: interrupted; {remark}.\n" for remark in remarks), "")
        assert (told == "") == (process.returncode == 0)
        assert not unfinished(tmp_path)
        for path in output.rglob("[!.]*.png"):
            read_image(path)


@linux
def test_a_benchmark_that_is_asked_to_stop_keeps_what_it_measured_and_ends_what_it_started(tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    command = [*FUSIONGCN, "benchmark", "--size", "64x64", "--rounds", "500", "--json", str(file)]
    process = started(command)
    (benchmark,) = children(process.pid)
    while len(begun := set(children(benchmark))) == 0:
        time.sleep(0.01)
    while begun & set(children(benchmark)):  # until the first round is over: then there is something to keep
        time.sleep(0.01)
    time.sleep(0.5)
    running = children(benchmark)
    process.terminate()
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 128 + signal.SIGTERM
    assert "Interrupted: what was measured until then." in told
    assert json.loads(file.read_text())["kind"]
    assert not [pid for pid in running if Path(f"/proc/{pid}/cmdline").exists()]
    assert not unfinished(tmp_path)


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
    a, b = tmp_path / "pairs" / "a" / "1.png", tmp_path / "pairs" / "b" / "1.png"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        write_image(a, photographs[0])
        write_image(b, photographs[1])
    monkeypatch.setattr(latency, "measure", lambda *_, **__: MEASURED)
    monkeypatch.setattr(latency, "table", lambda report: "")
    if command in ("metrics", "evaluate"):
        monkeypatch.setattr(evaluation_commands, "_facts", lambda *_: {"padding": "x" * 20_000})
        monkeypatch.setattr(evaluation_commands.Judge, "values", lambda *_: {"padding" * 3_000: 1.0})
    docs = Path(__file__).resolve().parents[1] / "docs"
    arguments = {
        "fuse": [a, b, "-o", full / "x.png"],
        "stack": [a, b, a, "-o", full / "x.tif"],
        "export": ["--checkpoint", random_checkpoint, "-o", full / "model"],
        "quantize": ["fusiongcn-lite", "--recipe", "fp16", "--most", "2", "--max-flips", "100", "-o", full / "model"],
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


def test_a_full_disk_ends_training_at_its_beginning(
    full: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(training.Run, "validate", lambda self: dict.fromkeys(training.SCORES, 0.0))
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
    monkeypatch.setattr(latency, "measure", work)
    monkeypatch.setattr(evaluation_commands, "open_methods", work)
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


# photographs that vanish, engines that throw


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
    assert not is_made(tmp_path / "x.png", mark)


@pytest.mark.parametrize("model", ["fusiongcn-lite", "fusiongcn"])
@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("boom"), "Fusing failed (boom)"),
        (RuntimeError("can't start new thread"), "Memory ran out (can't start new thread)"),
        (MemoryError(), "Memory ran out (no more could be had)"),
    ],
)
def test_an_engine_that_throws_is_told_and_the_next_pair_is_fused(
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


def test_memory_that_runs_out_anywhere_is_a_sentence(
    stacks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("cv2.imencode", no_memory)
    pair = [str(stacks / side / "0.png") for side in "ab"]
    assert main(["fuse", *pair, "-o", str(tmp_path / "x.png")]) == 2
    assert capfd.readouterr().err == "fusiongcn: Memory ran out: use smaller photographs or close other programs.\n"
