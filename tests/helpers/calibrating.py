"""Made pairs to calibrate with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from fusiongcn_edge.runtime.io.synthetic import synthetic_pair

PAIRS = [synthetic_pair(48, 64, seed) for seed in range(2)]


def silent(text: str) -> None:
    """No progress."""


def folder_of(path: Path, pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> Path:
    for side, place in (("a", 0), ("b", 1)):
        (path / side).mkdir(parents=True)
        for number, pair in enumerate(pairs):
            cv2.imwrite(str(path / side / f"{number}.png"), pair[place])
    return path
