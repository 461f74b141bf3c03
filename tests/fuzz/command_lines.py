"""Command lines: odd arguments for every command; those that only read small files and write are run as well."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import itertools
import json
import os
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from fusiongcn_edge.cli import COMMANDS, main
from fusiongcn_edge.runtime.io.images import write_image
from fuzz.photographs import small
from fuzz.reader import Reader, changed_bytes, scratch, unclear
from fuzz.results import _seeds as saved_results

RUN = {"fuse", "stack", "info", "metrics", "cost", "report"}  # the others are parsed only
WRITING = {"-o", "--o", "--d", "--p", "--j"}  # how options begin that name a file to write, which may be there
PATHS = {"pairs/a/1.png", "./a.png", "sub/out.png", "no/such.png", "../out.png", "."}  # with a / or ..
TOKENS = [
    *COMMANDS, *PATHS, "a.png", "b.png", "a.jpg", "gray.png", "deep.png", "tiny.png", "none.png", "bad.png", "pairs",
    "sub", "out.png", "out.jpg", "out.tif", "out.html", "out.md", "out.xyz", "x.json", "y.json", "bad.json", "empty",
    "-o", "--output", "--model", "--engine", "--threads", "--max-memory", "--align", "--match-exposure",
    "--no-crop", "--jpeg-quality", "--png-compression", "--tiff-compression", "--decision-map", "--probability",
    "--preview", "--depth-map", "--depth-preview", "--skip-failed", "--size", "--json", "--metric", "--truth",
    "--layers", "--superpixels", "--help", "--version", "-h", "--", "-", "", " ", "0", "1", "-1", "2", "64", "65",
    "1e3", "nan", "inf", "-inf", "1e400", "9" * 30, "9" * 5000, "١", "²", "0x10", "1_0", "16x16", "0x0", "1x1", "8x",
    "99999999x99999999", "9999999999999999999x1", "fusiongcn-lite", "fusiongcn", "fusiongcn-lite-int8", "onnx",
    "litert", "onnx-cuda", "similarity", "shift", "homography", "lzw", "PSNR", "new\nline.png", "\x1b[31mred.png",
    "\udcff.png", "name\u2028.png", "x" * 300, "%s", "{}", "@x.json", "--out", "-ox.png", "--size=8x8", "--threads=",
    "=", "--=",
]  # fmt: skip


@cache
def _place() -> Path:
    """A folder with a few files of each kind."""
    place = scratch() / "commands" / "here"
    (place / "pairs" / "a").mkdir(parents=True)
    (place / "pairs" / "b").mkdir()
    (place / "sub").mkdir()
    (place / "empty").mkdir()
    import numpy as np

    for name in ("a.png", "a.jpg", "pairs/a/1.png", "pairs/b/1.png"):
        write_image(place / name, small((40, 40, 3)))
    write_image(place / "gray.png", small((40, 40)))
    write_image(place / "tiny.png", small((1, 1, 3)))
    write_image(place / "b.png", small((40, 40, 3))[::-1])
    write_image(place / "deep.png", small((40, 40, 3), np.uint16))
    (place / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (place / "bad.json").write_bytes(b"{")
    for name, content in zip(("x.json", "y.json"), json.loads(saved_results()[1]), strict=True):
        (place / name).write_text(json.dumps(content))
    return place


def _contents(place: Path) -> dict[str, str]:
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.parent.rglob("*"), key=str)
        if path.is_file() and path.is_relative_to(place)
    } | {str(path): "" for path in place.parent.iterdir()}


@contextlib.contextmanager
def _parsed_only(command: str | None) -> Iterator[None]:
    if command in COMMANDS and command not in RUN:
        module = importlib.import_module(COMMANDS[command][0])
        real = getattr(module, f"run_{command}")
        setattr(module, f"run_{command}", lambda arguments: 0)
        try:
            yield
        finally:
            setattr(module, f"run_{command}", real)
    else:
        yield


def read_arguments(data: bytes) -> None:
    """Arguments with zeros between them, as a shell would hand them over."""
    arguments = [os.fsdecode(part) for part in data.split(b"\0")] if data else []
    if any(("/" in argument or ".." in argument) and argument not in PATHS for argument in arguments):
        return  # nothing is written elsewhere while fuzzing
    place = _place()
    before = _contents(place)
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    outputs = {
        os.path.normpath(option.partition("=")[2] or name)
        for option, name in itertools.pairwise([*arguments, ""])
        if option[:3] in WRITING
    }
    command = next((argument for argument in arguments if not argument.startswith("-")), None)
    kept = os.getcwd()
    os.chdir(place)
    try:
        with _parsed_only(command), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(arguments)
            except SystemExit as end:  # argparse
                code = -1 if end.code in (0, 2) else -2
    finally:
        os.chdir(kept)
        after = _contents(place)
        _clean(place, before)
    err.flush()
    told = err.buffer.getvalue().decode("utf-8")
    assert code in (-1, 0, 1, 2), code
    changed = [name for name, digest in before.items() if after.get(name) != digest and name not in outputs]
    made = sorted(set(after) - set(before))
    assert not [name for name in made if name.endswith(".part")], made
    assert not changed, f"{changed} were changed"
    if code == 2:
        lines = told.removesuffix("\n").split("\n")
        assert not made, f"refused, and {made} were left"
        sentence = lines[-1].rpartition("\r\x1b[K")[2].removeprefix("fusiongcn: ")
        assert lines[-1].startswith(("fusiongcn: ", "\r")), told
        fault = unclear(sentence)
        assert fault is None, fault


def _clean(place: Path, before: dict[str, str]) -> None:
    for path in [*place.rglob("*"), *place.parent.iterdir()]:
        name = str(path.relative_to(place)) if path.is_relative_to(place) else str(path)
        if path.is_file() and name not in before:
            path.unlink()


def _seeds() -> list[bytes]:
    lines = [
        ["fuse", "a.png", "b.png", "-o", "out.png"],
        ["fuse", "a.png", "b.png", "-o", "out.jpg", "--decision-map", "sub/out.png", "--preview", "out.tif"],
        ["fuse", "a.png", "b.png", "-o", "out.png", "--align", "shift", "--match-exposure", "--no-crop"],
        ["fuse", "a.png", "b.png", "-o", "a.png"],
        ["fuse", "\udcff.png", "b.png", "-o", "new\nline.png"],
        ["fuse", "a.png", "b.png", "-o", "\udcff.png"],
        ["fuse", "a.png", "b.png", "-o", "\x1b[31mred.png"],
        ["fuse", "deep.png", "gray.png", "-o", "out.tif"],
        ["stack", "a.png", "b.png", "a.jpg", "-o", "out.png", "--depth-map", "out.tif", "--depth-preview", "out.jpg"],
        ["stack", "a.png", "-o", "out.png", "--threads", "2"],
        ["batch", "pairs", "-o", "out", "--workers", "2", "--format", "jpg"],
        ["info", "--model", "fusiongcn-lite", "--size", "16x16", "--json"],
        ["info"],
        ["metrics", "a.png", "b.png", "a.jpg", "--truth", "b.png"],
        ["cost", "fusiongcn-lite", "--size", "16x16", "--layers"],
        ["report", "x.json", "y.json", "-o", "out.html", "--metric", "PSNR"],
        ["report", "x.json", "-o", "out.md"],
        *([command, "--help"] for command in COMMANDS),
        *([command, "pairs", "-o", "out", "--size", "16x16", "--threads", "2"] for command in COMMANDS),
    ]
    return [b"\0".join(map(os.fsencode, line)) for line in lines]


def _changed(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.1:
        return changed_bytes(data, rng)
    line = data.split(b"\0")
    for _ in range(rng.choice([1, 1, 2, 3])):
        at, what = rng.randrange(len(line) + 1), rng.randrange(4)
        token = os.fsencode(rng.choice(TOKENS))
        if what == 0 and at < len(line):
            del line[at]
        elif what == 1:
            line.insert(at, token)
        elif at < len(line):
            line[at] = token
    return b"\0".join(line)


MODULES = tuple(sorted({module.partition(".")[2] for module, _, _ in COMMANDS.values()}))
READERS = [Reader("arguments", _seeds, read_arguments, _changed, 12_000, MODULES)]
