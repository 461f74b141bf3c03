"""A rectangle of pixels: a window that a graph sees, or what photographs have in common."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray


class Area(NamedTuple):
    """Rows ``top`` to ``bottom``, columns ``left`` to ``right`` of an image; may reach beyond it."""

    top: int
    bottom: int
    left: int
    right: int

    def grown(self, pixels: int) -> Area:
        """The area and so many pixels around it."""
        return Area(self.top - pixels, self.bottom + pixels, self.left - pixels, self.right + pixels)

    def within(self, other: Area) -> Area:
        """The part of it in another; may be empty."""
        return Area(
            max(self.top, other.top), min(self.bottom, other.bottom),
            max(self.left, other.left), min(self.right, other.right),
        )  # fmt: skip

    def of(self, array: NDArray[Any], top: int = 0, left: int = 0) -> NDArray[Any]:
        """This part of an array, a view, whose first pixel is in row ``top`` and column ``left``."""
        return array[..., self.top - top : self.bottom - top, self.left - left : self.right - left]
