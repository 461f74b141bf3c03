"""What a command changes in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusiongcn_edge.runtime.cli.process import native_messages_suppressed
from helpers.processes import python

# decodes argv[1], which makes libpng print, and prints itself, in a context that is given
DECODES = """
import logging, sys
import cv2
from contextlib import nullcontext
from fusiongcn_edge.runtime.cli.process import native_messages_suppressed as suppressed
{before}
with {context}:
    assert cv2.imread(sys.argv[1]) is not None
    logging.warning("logged inside")
    print("printed inside", file=sys.stderr)
    {inside}
logging.warning("logged after")
print("printed after", file=sys.stderr)
"""
OWN = ["WARNING:root:logged inside", "printed inside", "WARNING:root:logged after", "printed after"]


@pytest.fixture
def odd_png(tmp_path: Path) -> Path:
    """A PNG file whose colour profile is nonsense, which libpng complains about."""
    data = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    chunk = b"iCCP" + b"x\0\0" + zlib.compress(b"no profile")
    chunk = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    (tmp_path / "odd.png").write_bytes(data[:33] + chunk + data[33:])
    return tmp_path / "odd.png"


def decoded(odd_png: Path, context: str, before: str = "", inside: str = "") -> list[str]:
    """Lines on standard error."""
    done = python(DECODES.format(context=context, before=before, inside=inside), odd_png)
    return done.stderr.splitlines()


@pytest.mark.parametrize("context", ["suppressed()", "suppressed(), suppressed()"])
def test_what_libraries_print_is_discarded_and_what_python_prints_is_not(context: str, odd_png: Path) -> None:
    assert "libpng" in decoded(odd_png, "nullcontext()")[0]
    assert decoded(odd_png, context) == OWN


def test_after_an_exception_its_traceback_comes_out_and_libraries_are_heard_again(odd_png: Path) -> None:
    fails = "try:\n    with suppressed():\n        1 / 0\n"
    told = decoded(odd_png, "suppressed()", before=f"{fails}finally:\n    cv2.imread(sys.argv[1])")
    assert "libpng" in told[0]
    assert told[1] == "Traceback (most recent call last):"
    assert told[-1] == "ZeroDivisionError: division by zero"


def test_what_processes_started_meanwhile_print_is_discarded(odd_png: Path) -> None:
    child = "import subprocess; subprocess.run([sys.executable, '-c', 'import sys; print(1, file=sys.stderr)'])"
    assert decoded(odd_png, "suppressed()", inside=child) == OWN


def test_another_stream_in_place_of_standard_error_stays(capfd: pytest.CaptureFixture[str]) -> None:
    stream = sys.stderr
    with native_messages_suppressed():
        assert sys.stderr is stream
        os.write(2, b"a library's")
        print("ours", file=sys.stderr)
    os.write(2, b"heard again\n")
    assert sorted(capfd.readouterr().err.splitlines()) == ["heard again", "ours"]


@pytest.mark.parametrize("gone", ["sys.stderr = None", "import os; os.close(2)"])
def test_without_standard_error_it_does_nothing(gone: str, odd_png: Path) -> None:
    code = f"import sys, cv2\nfrom fusiongcn_edge.runtime.cli.process import native_messages_suppressed\n{gone}\n"
    code += "with native_messages_suppressed():\n    print(cv2.imread(sys.argv[1]).shape)"
    done = subprocess.run([sys.executable, "-c", code, str(odd_png)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(4, 4, 3)\n", "")
