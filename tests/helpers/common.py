"""Types, the authors' intermediates of a pair, and folders' contents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[Any]
Fails = Callable[..., str]
Json = dict[str, Any]


# unlike the published ones, so that a number that is not handed on shows
RANDOM_SUPERPIXELS = {"segments_per_side": 0.4, "compactness": 0.05, "sigma": 1.0, "iterations": 7}


@dataclass(frozen=True)
class Stage:
    """One pair of photographs and every intermediate of the authors' code on it."""

    name: str
    first: NDArray[Any]
    second: NDArray[Any]
    dump: dict[str, NDArray[Any]]

    def both(self, name: str) -> NDArray[np.float32]:
        """``name_a`` and ``name_b`` of the dump, stacked."""
        return np.stack([self.dump[f"{name}_a"], self.dump[f"{name}_b"]])


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, hidden files too."""
    found = folder.rglob("*")
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in found}
