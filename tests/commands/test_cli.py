"""The command line itself: what it explains, how it tells mistakes, and what it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusiongcn_edge import __version__
from fusiongcn_edge.cli import COMMANDS, main
from fusiongcn_edge.runtime.errors import user_message
from helpers.common import Fails
from helpers.processes import python


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
            "c.png is not understood: more than two photographs are a stack, for 'fusiongcn stack'; "
            "see 'fusiongcn fuse --help'.",
        ),
        (["fuse", "a.png", "b.png", "-o", "o.png", "--fast"], "--fast is not understood; see 'fusiongcn fuse --help'."),
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


def test_the_version_costs_no_import_of_numpy_or_opencv() -> None:
    code = f"""
import sys
from fusiongcn_edge.cli import main
try:
    main(["--version"])
finally:
    {LOADED}
"""
    version, loaded = python(code).stdout.splitlines()
    assert version == f"fusiongcn-edge {__version__}"
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


def test_an_interruption_of_code_from_a_string_gives_the_exit_code_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(
        "import sys\nfrom fusiongcn_edge import cli\n"
        "cli._run = lambda arguments: exec('raise KeyboardInterrupt(15)')\n"
        "sys.exit(cli.main(['info']))\n"
    )
    done = subprocess.run([sys.executable, "-m", "interrupted"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (143, "fusiongcn: interrupted; no unfinished file was left.\n")
