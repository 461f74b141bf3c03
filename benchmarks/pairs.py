"""Folders of photograph pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fusiongcn_edge.runtime.errors import FusionError


@dataclass(frozen=True)
class Pair:
    """One pair on disk: ``set`` and ``name`` say which, ``beside(folder)`` finds what belongs to it."""

    set: str
    name: str
    a: Path
    b: Path

    def beside(self, folder: str) -> Path | None:
        """The file of the same number in a folder beside ``a/`` and ``b/``, if there is one."""
        return next(iter(sorted((self.a.parent.parent / folder).glob(f"{self.name}.*"))), None)


def find_pairs(root: Path) -> Iterator[Pair]:
    """Pairs below ``root``: ``[SET/]a/NAME.ext`` and ``[SET/]b/NAME.ext``, in order.

    Raises
    ------
    FusionError
        If there is none.
    """
    found = False
    for a in sorted(root.glob("**/a/*")):
        b = next(iter(sorted((a.parent.parent / "b").glob(f"{a.stem}.*"))), None)
        if a.is_file() and b is not None:
            found = True
            yield Pair(a.parent.parent.name, a.stem, a, b)
    if not found:
        raise FusionError(f"No pairs below {root}: put the photographs into a/ and b/ with equal names.")
