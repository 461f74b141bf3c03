"""Find the stacks and pairs below a folder."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.pairs import duplicate_stem_message, is_photograph


def record_path(output: Path) -> Path:
    """Where it is noted what a result was made from."""
    return output.with_name(f".{output.name}.json")


@dataclass(frozen=True)
class Item:
    """One fused photograph to make.

    Attributes
    ----------
    name : str
        Its path below the folder for the results, without a suffix.
    sources : tuple of Path
        The photographs, in the order of their names.
    pair : bool
        Whether they are A and B, not a stack.
    error : str or None
        In one sentence, why it cannot be made.
    """

    name: str
    sources: tuple[Path, ...]
    pair: bool
    error: str | None = None


def find_items(root: Path, output: Path) -> list[Item]:
    """What lies below ``root``, in the order of the names: ``[SET/]a/NAME.ext`` with ``[SET/]b/NAME.ext`` are a pair,
    any other folder with photographs is a stack, but for ``truth`` beside a and b. What is below ``output`` is left
    out, and so are results of an earlier batch, wherever they were written, and what is hidden. Photographs in ``root``
    itself are an item that cannot be made.

    Raises
    ------
    FusionError
        If there is nothing else, or two have the same name.
    """
    if not root.is_dir():
        what = f"{root} is a file" if root.is_file() else f"There is no folder {root}"
        raise FusionError(f"{what}", fix="give one with a folder for each stack, or with a/ and b/")
    if output.resolve() == root.resolve():
        raise FusionError(f"{root} is where the photographs are", fix="give another folder for the results")
    if output.is_dir() and output.resolve().is_relative_to(root.resolve()):
        photograph = next((path for path in sorted(output.iterdir()) if _is_photograph(path)), None)
        if photograph is not None:
            raise FusionError(
                f"{output} holds photographs", found=photograph, fix="give another folder for the results"
            )
    items: list[Item] = []
    stray: list[Path] = []
    above = {root: {root.resolve()}}  # links are followed, but not back to a folder that leads here
    for folder, below, files in os.walk(root, onerror=_refuse, followlinks=True):
        here = Path(folder)
        real = {name: (here / name).resolve() for name in below if not name.startswith(".")}
        below[:] = sorted(name for name in real if real[name] not in {output.resolve(), *above[here]})
        above |= {here / name: {real[name], *above[here]} for name in below}
        photographs = [here / name for name in sorted(files) if _is_photograph(here / name)]
        if here == root:
            stray, photographs = photographs, []
        if {"a", "b"} <= set(below):
            items += _pairs(here, here.relative_to(root))
            below[:] = [name for name in below if name not in ("a", "b", "truth")]
        if photographs:
            error = _no_stack(here, photographs)
            items.append(Item(here.relative_to(root).as_posix(), tuple(photographs), pair=False, error=error))
    if stray:
        error = (
            f"{stray[0]} belongs to no stack: put each stack into a folder of its own, or fuse one with "
            "'fusiongcn stack'."
        )
        if not items:
            raise FusionError(error)
        items.append(Item(stray[0].name, tuple(stray), pair=False, error=error))
    if not items:
        raise FusionError(
            f"There is nothing to fuse in {root}", fix="give each stack its folder, or put pairs into a/ and b/"
        )
    items.sort(key=lambda item: item.name)
    for former, later in itertools.pairwise(items):
        if former.name == later.name:
            raise FusionError(f"Two results would be called {later.name}", fix=f"rename one of them in {root}")
    return items


def _no_stack(folder: Path, photographs: list[Path]) -> str | None:
    """Why a folder is no stack."""
    if folder.name in ("a", "b") and not (folder.parent / {"a": "b", "b": "a"}[folder.name]).is_dir():
        return f"{folder} has no folder beside it with its partners: of pairs, one is called a and the other b."
    if len(photographs) < 2:
        return f"{photographs[0]} is alone in its folder, and a stack has at least 2 (pairs lie in folders a and b)."
    return None


def _refuse(error: OSError) -> NoReturn:
    raise FusionError(f"{error.filename} cannot be read", found=error.strerror, fix="check its permissions") from None


def _is_photograph(path: Path) -> bool:
    """What can be read, and is no result of an earlier batch."""
    return is_photograph(path) and not record_path(path).exists()


def _pairs(folder: Path, name: Path) -> list[Item]:
    try:
        listed = [sorted((folder / side).iterdir()) for side in "ab"]
    except OSError as error:
        _refuse(error)
    sides = [[path for path in side if _is_photograph(path)] for side in listed]
    items = []
    for stem in sorted({path.stem for side in sides for path in side}):
        found = [[path for path in side if path.stem == stem] for side in sides]
        double = next((same for same in found if len(same) > 1), None)
        sources = tuple(path for same in found for path in same)
        problem = duplicate_stem_message(double) if double else None
        if len(sources) == 1:
            other = "b" if sources[0].parent.name == "a" else "a"
            problem = f"{sources[0]} has no partner: put {folder / other / sources[0].name} there."
        items.append(Item((name / stem).as_posix(), sources, pair=True, error=problem))
    return items
