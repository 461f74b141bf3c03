"""What is fuzzed: a reader with its seeds, what it may answer, and changes to its input."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.system.resources import peak_memory

LONGEST = 1500  # characters of a sentence
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
MOST_MEGABYTES = 2500  # that a process of a reader's own may hold
NUMBERS = [0, 1, 2, 3, 7, 8, 16, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1]
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 8, 16, 56, 1.5, 1e-9, 1e18, -1e300, 2**31, 10**30, float("nan"), float("inf"),
    "", "x", "@", "..", "nodes", "<script>alert(1)</script>\"'&|`[x](javascript:y)\n# _z_", "\ud800", "\0", [], {},
    [[]], [0], [1, 2], ["nodes", "nodes"], {"": 0}, "float32", "int32", "images", "labels",
]  # fmt: skip

Mutator = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Finding:
    """What must not happen: in one line, by which equal ones are known, and in full."""

    title: str
    text: str


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few changes such as damage or an attacker makes: bits, numbers, pieces left out, repeated or moved."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        length = len(changed)
        at, piece = rng.randrange(length + 1), rng.choice([1, 2, 4, 12, 64, 1024])
        what = rng.randrange(7)
        if what == 0 and at < length:
            changed[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            changed[at : at + 1] = bytes([rng.randrange(256)])
        elif what == 2:
            size = rng.choice([1, 2, 4])
            number = rng.choice(NUMBERS) & (256**size - 1)
            changed[at : at + size] = number.to_bytes(size, rng.choice(["little", "big"]))
        elif what == 3:
            del changed[at : at + piece]
        elif what == 4:
            changed[at:at] = changed[at : at + piece]
        elif what == 5:
            other = rng.randrange(length + 1)
            changed[at : at + piece] = changed[other : other + piece]
        else:
            del changed[at:]
    return bytes(changed)


def changed_json(data: bytes, rng: random.Random) -> bytes:
    """A JSON text with another value in a place or two, one left out, or one from elsewhere in it."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return changed_bytes(data, rng)
    if rng.random() < 0.03:
        return changed_bytes(data, rng)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        places = list(_places(tree))
        if not places:
            break
        holder, key = rng.choice(places)
        what = rng.randrange(6)
        if what == 0 and isinstance(holder, dict):
            del holder[key]
        elif what == 1:
            other, where = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[where]))
        elif what == 2 and isinstance(holder, list):
            holder.insert(key, json.loads(json.dumps(holder[key])))
        elif what == 3 and isinstance(holder[key], int | float):
            holder[key] = rng.choice([-1, 0, 0.5, 2, 1e6]) * holder[key] + rng.choice([0, 0, 1, -1])
        elif what == 4 and isinstance(holder, dict):
            holder[rng.choice([str(key) + "@8x8", "x", "", str(key).upper()])] = holder.pop(key)
        else:
            holder[key] = rng.choice(VALUES)
    return json.dumps(tree).encode()


def _places(tree: Any) -> Any:
    """Every holder of a value with its key or index."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(tree[key])


@dataclass(frozen=True)
class Reader:
    """``read`` may give anything or raise a FusionError with one sentence; anything else is a finding."""

    name: str
    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[bytes], object]
    change: Mutator = changed_bytes
    longest: int = 1 << 16  # bytes of an input
    modules: tuple[str, ...] = ()  # that it imports when it is used, below fusiongcn_edge: they are watched, too

    def finding(self, data: bytes) -> Finding | None:
        """What is wrong with how it takes an input; None if nothing is."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)  # the user would see it
                self.read(data)
        except FusionError as error:
            fault = unclear(str(error))
            return fault and Finding(f"{self.name}: {fault}", str(error))
        except ApartError as error:
            return Finding(f"{self.name}: {error.finding.title}", error.finding.text)
        except Exception as error:
            fault = fault_of(error)
            return Finding(f"{self.name}: {fault.title}", fault.text)
        return None


class ApartError(Exception):
    """What was wrong in a process of its own."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.title)
        self.finding = finding


class Apart:
    """A reader that may crash, in a process of its own, which reads one input after the other until it ends.

    A crash is no finding (FORMAT.md, "What is trusted"); whatever else is wrong is raised. Coverage cannot guide it.
    """

    def __init__(self, module: str, function: str) -> None:
        self._code = f"from fuzz.reader import serve; serve({module!r}, {function!r})"
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, data: bytes) -> None:
        if self._process is None:
            paths = [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
            self._process = subprocess.Popen(
                [sys.executable, "-c", self._code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )  # fmt: skip
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(len(data).to_bytes(8, "little") + data)
            process.stdin.flush()
            said = process.stdout.readline()
        except BrokenPipeError:
            said = b""
        if not said:
            self._process = None
            if process.wait() == -signal.SIGKILL:
                raise ApartError(Finding("killed, as where memory runs out", "exit code -9"))
            assert process.returncode < 0, f"the process ended with {process.returncode}"
            return
        told = json.loads(said)
        if told["megabytes"] > MOST_MEGABYTES:
            process.kill()
            self._process = None
            raise ApartError(Finding("too much memory", f"{told['megabytes']} MB"))
        if told["fault"]:
            raise ApartError(Finding(*told["fault"]))
        if told["refusal"]:
            raise FusionError(told["refusal"])


def serve(module: str, function: str) -> None:
    """What such a process does."""
    if sys.platform == "linux":  # an input that takes forever ends with who gave it
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    read = getattr(importlib.import_module(module), function)
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # libraries print
    os.dup2(nothing, 2)
    while length := source.read(8):
        told: dict[str, Any] = {"refusal": "", "fault": None}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                read(source.read(int.from_bytes(length, "little")))
        except FusionError as error:
            told["refusal"] = str(error)
        except Exception as error:
            fault = fault_of(error)
            told["fault"] = [fault.title, fault.text]
        told["megabytes"] = peak_memory() >> 20
        print(json.dumps(told), file=sink, flush=True)


def fault_of(error: Exception) -> Finding:
    """An error, by its type and place."""
    where = [
        f"{Path(frame.filename).stem}:{frame.name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "fusiongcn_edge" in frame.filename or "/fuzz/" in frame.filename
    ]
    return Finding(f"{type(error).__name__} at {where[-1]}", traceback.format_exc())


def unclear(sentence: str) -> str | None:
    """Why a refusal is not one clear sentence."""
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", sentence):
        return f"a refusal with control characters: {re.sub(r'[^ -~]', '?', sentence)[:60]}"
    if len(sentence) > LONGEST:
        return f"a refusal of {len(sentence)} characters: {sentence[:40]}"
    if not sentence.endswith("."):
        return f"a refusal without an end: {sentence[:60]}"
    return None


@cache
def scratch() -> Path:
    """A folder of this process for what readers want in files."""
    shm = Path("/dev/shm")
    _kept.append(tempfile.TemporaryDirectory(prefix="fuzz-", dir=shm if shm.is_dir() else None))
    return Path(_kept[0].name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def written(data: bytes, name: str) -> Path:
    """A file with this content."""
    path = scratch() / name
    path.write_bytes(data)
    return path
