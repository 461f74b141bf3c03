"""The vocabulary that all packages share: array types, windows, frames and progress callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float32 = NDArray[np.float32]
Labels = NDArray[np.int32]  # of superpixels, 0 ... N - 1
Probability = NDArray[np.float32]  # in [0, 1]
Gray = NDArray[np.float32]
Matrix = NDArray[np.float64]  # 3 x 3, homogeneous

OnStage = Callable[[str], None]  # is told what is being done
OnProgress = Callable[[float], None]  # called with how much of a step is done, 0 to 1

USUAL_SIZE = 520, 520  # height and width that costs are stated for, as in the literature: that of the Lytro pairs
RESULT = "probability"  # the CNN's output tensor


class Window(NamedTuple):
    """Rows ``top`` to ``bottom``, columns ``left`` to ``right`` of an image; may reach beyond it."""

    top: int
    bottom: int
    left: int
    right: int

    def grown(self, pixels: int) -> Window:
        """Return the window with so many pixels more on each side."""
        return Window(self.top - pixels, self.bottom + pixels, self.left - pixels, self.right + pixels)

    def within(self, other: Window) -> Window:
        """Return its intersection with another window; may be empty."""
        return Window(
            max(self.top, other.top), min(self.bottom, other.bottom),
            max(self.left, other.left), min(self.right, other.right),
        )  # fmt: skip

    def of(self, array: NDArray[Any], top: int = 0, left: int = 0) -> NDArray[Any]:
        """Return this part of an array as a view; the array begins in row ``top`` and column ``left``."""
        return array[..., self.top - top : self.bottom - top, self.left - left : self.right - left]


class Frames(Protocol):
    """Frames by number, as a list of arrays is, or what reads them when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> NDArray[Any]: ...
