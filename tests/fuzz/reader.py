"""What is fuzzed: a reader with its seeds, what it may answer, and changes to its input."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fusiongcn_edge.guard import CRASHES
from fusiongcn_edge.runtime.errors import FusionError

LONGEST = 1500  # characters of a sentence
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
        except Exception as error:
            where = [
                f"{Path(frame.filename).stem}:{frame.name}:{frame.lineno}"
                for frame in traceback.extract_tb(error.__traceback__)
                if "fusiongcn_edge" in frame.filename or "/fuzz/" in frame.filename
            ]
            return Finding(f"{self.name}: {type(error).__name__} at {where[-1]}", traceback.format_exc())
        return None


def apart(read: Callable[[], object]) -> None:
    """Run what may crash in a process of its own, as commands are run (``fusiongcn_edge.guard``).

    There a crash, or an end for want of memory, is told. What was raised is raised here again.
    """
    told, tell = os.pipe()
    process = os.fork()
    if process == 0:
        refusal, fault = "", ""
        for name in CRASHES:  # the fuzzer's own handlers would make an exit of it
            signal.signal(signal.Signals[name], signal.SIG_DFL)
        try:
            os.close(told)
            with open(os.devnull, "w") as nothing:
                os.dup2(nothing.fileno(), 2)
            read()
        except FusionError as error:
            refusal = str(error)
        except BaseException:
            fault = traceback.format_exc()
        os.write(tell, json.dumps([refusal, fault[-10_000:]]).encode())
        os._exit(0)
    os.close(tell)
    with open(told, "rb") as file:
        said = file.read()
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return
    refusal, fault = json.loads(said)
    if refusal:
        raise FusionError(refusal)
    if fault:
        raise AssertionError(fault)


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
