"""The command line itself: what it explains, how it tells mistakes, and what it loads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fusiongcn_edge import __version__
from fusiongcn_edge.cli import COMMANDS, main
from fusiongcn_edge.runtime.errors import user_message
from helpers.common import Fails
from helpers.paths import EXAMPLE
from helpers.processes import FUSIONGCN, linux, python


@pytest.mark.parametrize("command", ["export", "train", "scenes"])
def test_a_command_explains_itself_without_its_libraries(command: str) -> None:
    missing = "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'litert_torch']))"
    done = python(f"{missing}; from fusiongcn_edge.cli import main; sys.exit(main())", command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: fusiongcn {command}" in done.stdout


def test_train_tells_the_defaults_of_both_networks(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    told = " ".join(capfd.readouterr().out.split())
    assert "(default: 6000 for fusiongcn, 20000 for lite)" in told
    assert "of the superpixels (default: 0.1)" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fuse", "a.png"], "the following arguments are required: B, -o/--output; see 'fusiongcn fuse --help'."),
        (
            ["fuse", "a.png", "b.png", "c.png", "-o", "out.png"],
            "argument C: c.png: more than two photographs are a stack, for 'fusiongcn stack'; "
            "see 'fusiongcn fuse --help'.",
        ),
        (["fuse", "a.png", "b.png", "-o", "o.png", "--fast"],
         "unrecognized arguments: --fast; see 'fusiongcn fuse --help'."),
        (["--fast", "fuse"], "unrecognized arguments: --fast; see 'fusiongcn --help'."),
        (["--"], "unrecognized arguments: --; see 'fusiongcn --help'."),
        (["fues", "a.png"], "there is no command 'fues' (did you mean 'fuse'?); see 'fusiongcn --help'."),
        (["info", "--size", "520"], "argument --size: '520' is no size: give height x width, 520x520 for example; see "
         "'fusiongcn info --help'."),
    ],
)  # fmt: skip
def test_a_mistake_in_the_arguments_is_one_sentence(
    arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", f"fusiongcn: {said}\n")


def test_without_a_command_it_explains_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 0
    assert "COMMAND --help" in capfd.readouterr().out


def test_a_folder_is_no_stack(fails: Fails, folder: Path) -> None:
    (folder / "many").mkdir()
    sentence = fails("stack", "many", "-o", "out.png")
    assert "many is a folder: name its photographs, many/*, or fuse each" in sentence
    assert "'fusiongcn batch many -o ...'" in sentence


def test_the_version_is_printed_by_the_module_too() -> None:
    command = [sys.executable, "-m", "fusiongcn_edge", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fusiongcn-edge {__version__}\n", "")


LOADED = "print(*sorted({name.partition('.')[0] for name in sys.modules}))"


@pytest.mark.parametrize(("option", "first"), [("--version", "fusiongcn-edge "), ("--help", "usage: fusiongcn ")])
def test_the_version_and_the_list_of_commands_cost_no_import_of_numpy_or_opencv(option: str, first: str) -> None:
    code = f"""
import sys
from fusiongcn_edge.cli import main
try:
    main([{option!r}])
finally:
    {LOADED}
"""
    told, *_, loaded = python(code).stdout.splitlines()
    assert told.startswith(first)
    assert "fusiongcn_edge" in loaded.split()
    assert not {"numpy", "cv2", "onnxruntime", "torch"} & set(loaded.split())


def test_the_runtime_loads_neither_torch_nor_scipy_nor_scikit_image(folder: Path, random_bundle: Path) -> None:
    imported = python(f"import sys, fusiongcn_edge.runtime; {LOADED}").stdout.split()
    assert {"numpy", "cv2"} <= set(imported)
    assert not {"torch", "scipy", "skimage", "onnx", "onnxruntime"} & set(imported)
    code = f"import sys; from fusiongcn_edge.cli import main; main(sys.argv[1:]); {LOADED}"
    arguments = ["fuse", folder / "a.png", folder / "b.png", "-o", folder / "out.png", "--model", random_bundle]
    used = python(code, *arguments).stdout.splitlines()[-1].split()
    assert {"numpy", "cv2", "onnxruntime"} <= set(used)
    assert not {"torch", "scipy", "skimage", "onnx"} & set(used)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    printed = capfd.readouterr()
    assert printed.out.startswith(f"usage: fusiongcn {command}")
    assert COMMANDS[command][1][1:] in " ".join(printed.out.split())
    assert printed.err == ""


def test_all_commands_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    listed = {line.split()[0] for line in capfd.readouterr().out.splitlines() if line.startswith("    ")}
    assert set(COMMANDS) <= listed


@pytest.mark.parametrize("library", ["cv2", "numpy"])
def test_without_what_the_runtime_needs_a_sentence_says_so(library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from fusiongcn_edge.cli import main; sys.exit(main(['info']))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 2
    assert process.stderr.startswith("fusiongcn: numpy and OpenCV are needed and cannot be loaded (")
    assert "pip install numpy opencv-python-headless" in process.stderr
    assert process.stderr.count("\n") == 1


def test_opencv_without_memory_is_told_in_a_sentence() -> None:
    with pytest.raises(cv2.error) as caught:
        cv2.copyMakeBorder(np.zeros((2, 2), np.uint8), 0, 1 << 30, 0, 1 << 16, cv2.BORDER_CONSTANT)
    assert user_message(caught.value) == "Memory ran out: use smaller photographs or close other programs."


# signals and streams: the program in a process of its own, with another command in place of ``info``


def program(body: str, folder: Path, **options: Any) -> subprocess.Popen[str]:
    """Start ``python -m fusiongcn_edge info`` where that does what ``body`` says."""
    lines = body.strip().replace("\n", "\n    ")
    (folder / "sitecustomize.py").write_text(
        f"import os, sys, time\nfrom fusiongcn_edge import cli\n\ndef run(arguments):\n    {lines}\n\ncli._run = run\n"
    )
    paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([*FUSIONGCN, "info"], text=True, env={**os.environ, "PYTHONPATH": paths}, **streams)


def test_an_interruption_of_code_from_a_string_gives_the_exit_code_of_any_other(tmp_path: Path) -> None:
    process = program("exec('raise KeyboardInterrupt(15)')", tmp_path)
    assert process.communicate() == ("", "fusiongcn: interrupted; no unfinished file was left.\n")
    assert process.returncode == 143


STOPS_SLOWLY = """
try:
    print("begun", flush=True)
    time.sleep(600)
finally:
    time.sleep(0.2)
    print("cleaned up", flush=True)
"""


@linux
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_stop_several_times_a_command_stops_once(first: signal.Signals, tmp_path: Path) -> None:
    """As a closed terminal and a service manager do, which ask a process and once more all that belong to it."""
    process = program(STOPS_SLOWLY, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(first)
    time.sleep(0.05)  # two signals at once may come as one
    for number in (signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
    assert process.communicate() == ("cleaned up\n", "fusiongcn: interrupted; no unfinished file was left.\n")
    assert process.returncode == 128 + first


def test_an_interruption_that_a_library_made_another_error_of_is_still_one(tmp_path: Path) -> None:
    process = program(
        "try:\n    os.kill(os.getpid(), 15)\nexcept BaseException:\n    raise ImportError from None", tmp_path
    )
    assert process.communicate() == ("", "fusiongcn: interrupted; no unfinished file was left.\n")
    assert process.returncode == 143


@linux
def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    process = program(
        "os.kill(os.getpid(), 1)\nreturn 0", tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # as nohup does
    )  # fmt: skip
    assert process.communicate() == ("", "")
    assert process.returncode == 0


@linux
def test_a_crash_ends_with_its_signal_and_shows_where_it_was(tmp_path: Path) -> None:
    process = program("os.kill(os.getpid(), 11)", tmp_path)
    told = process.communicate()[1]
    assert process.returncode == -signal.SIGSEGV
    assert told.startswith("Fatal Python error: Segmentation fault\n")
    assert "sitecustomize.py" in told


@linux
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_stop_nothing(closed: str, tmp_path: Path) -> None:
    arguments = f"fuse {EXAMPLE / 'near.jpg'} {EXAMPLE / 'far.jpg'} -o {tmp_path / 'fused.png'}"
    done = subprocess.run(["sh", "-c", f"exec {sys.executable} -m fusiongcn_edge {arguments} {closed}"], check=False)
    assert done.returncode == 0
    assert (tmp_path / "fused.png").stat().st_size > 1000


@linux
@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"])
def test_no_file_gets_the_number_of_a_stream_that_is_closed(closed: str, tmp_path: Path) -> None:
    code = (
        "import sys; from fusiongcn_edge import cli; "
        "cli._run = lambda arguments: open(arguments[0], 'w').write(str(open(arguments[0]).fileno())); "
        "cli.main(sys.argv[1:])"
    )
    number = tmp_path / "number"
    number.write_text("")
    subprocess.run(["sh", "-c", f'exec {sys.executable} -c "{code}" {number} {closed}'], check=True)
    assert int(number.read_text()) > 2
