"""Pairs of photographs: folders of them, and made ones."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.images import READABLE

USUAL_SIZE = 520, 520  # height and width that costs are told for, as the literature does: that of Lytro's pairs


@dataclass(frozen=True)
class Pair:
    """One pair on disk: ``set``, the folder that ``a/`` and ``b/`` are in, and ``name`` say which."""

    set: str
    name: str
    a: Path
    b: Path

    @property
    def title(self) -> str:
        """What a table or a file calls it."""
        return f"{self.set}-{self.name}".removeprefix("-")

    def beside(self, folder: str) -> Path | None:
        """The file of the same number in a folder beside ``a/`` and ``b/``, if there is one."""
        return named(self.a.parent.parent / folder, self.name)


def find_pairs(root: Path) -> Iterator[Pair]:
    """Pairs below ``root``: ``[SET/]a/NAME.ext`` and ``[SET/]b/NAME.ext``, in order.

    Raises
    ------
    FusionError
        If there is none, or it is not clear which photograph is meant.
    """
    found = False
    for a in sorted(filter(is_photograph, root.glob("**/a/*"))):
        b = named(a.parent.parent / "b", a.stem)
        if b is not None:
            for same in (photographs_named(a.parent, a.stem), photographs_named(b.parent, a.stem)):
                if len(same) > 1:
                    raise FusionError(same_name(same))
            found = True
            folder = a.parent.parent
            yield Pair(folder.name if folder == root else folder.relative_to(root).as_posix(), a.stem, a, b)
    if not found:
        raise FusionError(f"No pairs below {root}: put the photographs into a/ and b/ with equal names.")


def unpaired(root: Path) -> list[Path]:
    """What lies in folders ``a`` or ``b`` below ``root`` beside each other and has no partner in the other one."""
    found = []
    for first in sorted(path for path in root.glob("**/a") if path.is_dir() and (path.parent / "b").is_dir()):
        sides = [list(filter(is_photograph, folder.glob("*"))) for folder in (first, first.parent / "b")]
        stems = [{path.stem for path in side} for side in sides]
        found += [
            path for side, other in zip(sides, stems[::-1], strict=True) for path in side if path.stem not in other
        ]
    return sorted(found)


def named(folder: Path, stem: str) -> Path | None:
    """The first photograph there of that name, whatever its suffix."""
    return next(iter(photographs_named(folder, stem)), None)


def photographs_named(folder: Path, stem: str) -> list[Path]:
    """All of them."""
    found = folder.glob(f"{glob.escape(stem)}.*")
    return sorted(path for path in found if path.stem == stem and is_photograph(path))


def same_name(photographs: Sequence[Path]) -> str:
    """What is told of photographs of which one must be meant."""
    return f"{photographs[0]} and {photographs[1].name} have the same name: keep one of them there."


def is_photograph(path: Path) -> bool:
    """Whether a file can be read as a photograph, by its name."""
    return path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file()


def made_pair(height: int, width: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A pair to measure with, the same one for a size and seed: detail of all sizes, sharp on either side of a wave."""
    scene = made_photograph(height, width, seed)
    blurred = cv2.GaussianBlur(scene, (0, 0), 3)
    rows, columns = np.mgrid[:height, :width]
    left = (columns < width / 2 + width / 8 * np.sin(rows * 8 / height))[:, :, None]
    first, second = np.where(left, scene, blurred), np.where(left, blurred, scene)
    return np.clip(first, 0, 255).astype(np.uint8), np.clip(second, 0, 255).astype(np.uint8)


def made_photograph(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Detail of all sizes, float32 H x W x 3, about 0 to 255."""
    rng = np.random.default_rng(seed)
    scene = np.zeros((height, width, 3), np.float32)
    for cell in (128, 32, 8, 2):
        coarse = rng.random((-(-height // cell) + 1, -(-width // cell) + 1, 3), np.float32)
        scene += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * (255 / 4)
    return scene
