"""Exported bundles, kept from one run of the tests to the next: an export takes up to half a minute."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from fusiongcn_edge.export.pipeline import export_bundle
from helpers.paths import ROOT

CACHE = Path(
    os.environ.get("FUSIONGCN_TEST_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fusiongcn-edge" / "tests"
)
SOURCES = ("src/fusiongcn_edge/__init__.py", "model", "export", "calibration", "runtime")
LIBRARIES = ("torch", "onnx", "onnxscript", "litert-torch", "litert-converter", "ai-edge-litert", "ai-edge-quantizer")
KEPT_DAYS = 30


def exported(checkpoint: Path, name: str, **options: Any) -> Path:
    """Export a checkpoint, or take what an earlier run exported from the same weights with the same code.

    The bundle is to be read, never changed: other tests, now and later, open the same one. ``FUSIONGCN_TEST_CACHE``
    names the folder; an empty one makes every export happen.
    """
    key = hashlib.sha256(repr((_code(), checkpoint.read_bytes(), name, sorted(options.items()))).encode()).hexdigest()[
        :16
    ]
    folder = CACHE / key
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{key}.lock"):  # another process may export the same
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as unfinished:
                made = Path(unfinished) / "made"
                made.mkdir()
                export_bundle(checkpoint, made / name, **options)
                os.replace(made, folder)
            _remove_old()
    os.utime(folder)
    return folder / name


@cache
def _code() -> str:
    """Hash of all that decides what an export writes, but for its arguments."""
    digest = hashlib.sha256()
    for source in SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else (path,):
            digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    digest.update("\n".join(f"{name} {_version(name)}" for name in LIBRARIES).encode())
    return digest.hexdigest()


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _remove_old() -> None:
    for folder in CACHE.iterdir():
        if folder.is_dir() and time.time() - folder.stat().st_mtime > KEPT_DAYS * 86400:
            shutil.rmtree(folder, ignore_errors=True)
