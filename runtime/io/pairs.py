"""Find pairs of photographs in folders."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.images import READABLE


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
        return find_by_stem(self.a.parent.parent / folder, self.name)


def find_pairs(root: Path) -> Iterator[Pair]:
    """Pairs below ``root``: ``[SET/]a/NAME.ext`` and ``[SET/]b/NAME.ext``, in order.

    Raises
    ------
    FusionError
        If there is none, or it is not clear which photograph is meant.
    """
    found = False
    for a in sorted(filter(is_photograph, root.glob("**/a/*"))):
        b = find_by_stem(a.parent.parent / "b", a.stem)
        if b is not None:
            for same in (photos_by_stem(a.parent, a.stem), photos_by_stem(b.parent, a.stem)):
                if len(same) > 1:
                    raise FusionError(duplicate_stem_message(same))
            found = True
            folder = a.parent.parent
            yield Pair(folder.name if folder == root else folder.relative_to(root).as_posix(), a.stem, a, b)
    if not found:
        raise FusionError(f"No pairs below {root}", fix="put the photographs into a/ and b/ with equal names")


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


def find_by_stem(folder: Path, stem: str) -> Path | None:
    """The first photograph there of that name, whatever its suffix."""
    return next(iter(photos_by_stem(folder, stem)), None)


def photos_by_stem(folder: Path, stem: str) -> list[Path]:
    """All of them."""
    found = folder.glob(f"{glob.escape(stem)}.*")
    return sorted(path for path in found if path.stem == stem and is_photograph(path))


def duplicate_stem_message(photographs: Sequence[Path]) -> str:
    """What is told of photographs of which one must be meant."""
    return f"{photographs[0]} and {photographs[1].name} have the same name: keep one of them there."


def is_photograph(path: Path) -> bool:
    """Whether a file can be read as a photograph, by its name."""
    return path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file()
