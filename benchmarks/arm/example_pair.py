"""The example photographs, as files for a program in a sysroot: a small part of them, or both as whole squares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.arm.sysroot import ROOT
from fusiongcn_edge.runtime.io.images import read_image, write_images

# by network: where both photographs are sharp somewhere, as tests/device has it; stored counts are of these parts
PARTS = {
    "fusiongcn": (slice(100, 180), slice(50, 154)),
    "fusiongcn-lite": (slice(250, 378), slice(50, 178)),
}
MODELS = [f"{network}{precision}" for network in PARTS for precision in ("", "-int8")]


def part_size(model: str) -> tuple[int, int]:
    """Height and width of the part that a model's instructions are counted on."""
    rows, columns = PARTS[model.removesuffix("-int8")]
    return rows.stop - rows.start, columns.stop - columns.start


def write_part(model: str, folder: Path) -> list[str]:
    """Write the part of both photographs for a model as PNG files."""
    part = PARTS[model.removesuffix("-int8")]
    return _write([photograph[part] for photograph in _photographs()], folder)


def write_whole(side: int, folder: Path) -> list[str]:
    """Write both photographs as squares of ``side`` pixels a side, as PNG files."""
    return _write([cv2.resize(photograph, (side, side)) for photograph in _photographs()], folder)


def _photographs() -> list[NDArray[Any]]:
    return [read_image(ROOT / "docs" / "example" / f"{name}.jpg") for name in ("near", "far")]


def _write(pictures: list[NDArray[Any]], folder: Path) -> list[str]:
    files = [str(folder / f"{name}.png") for name in ("near", "far")]
    write_images(dict(zip(files, pictures, strict=True)))
    return files
