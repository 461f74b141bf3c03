"""Figures of fused pairs: fused image, decision map and error map side by side, a row per method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.metrics.conversion import eight_bits, match_channels
from fusiongcn_edge.runtime.fusion.preview import bordered, contact_sheet
from fusiongcn_edge.runtime.io.images import write_image

Image = NDArray[Any]

ERROR_SHOWN = 4  # times that errors are amplified
NEAR_SIGMA = 2.0  # pixels over which the nearer photograph is judged


def nearer(fused: Image, a: Image, b: Image) -> NDArray[np.bool_]:
    """Estimate the decision map of a method that has none: where the fused image is nearer to ``a`` than to ``b``."""
    distances = []
    for source in (a, b):
        squares = np.square(match_channels(fused, source).astype(np.float32) - match_channels(source, source))
        squares = squares if squares.ndim == 2 else squares.mean(2)
        distances.append(cv2.GaussianBlur(squares, (0, 0), NEAR_SIGMA))
    return np.asarray(distances[0] < distances[1])


def error_map(image: Image, *others: Image) -> NDArray[np.uint8]:
    """Amplify, ``ERROR_SHOWN`` times, the difference to the nearest of other images, of any channels and depth."""
    differences = [np.abs(eight_bits(match_channels(image, o)) - eight_bits(match_channels(o, o))) for o in others]
    return np.minimum(np.minimum.reduce(differences) * ERROR_SHOWN, 255).astype(np.uint8)


class Sheet:
    """Draw the figure of one pair: in the first row both photographs and the truth, then a row per method.

    The error map is the difference to the truth or, without one, to the nearer photograph, made four times brighter.

    Parameters
    ----------
    a, b, truth : uint8 or uint16, H x W, H x W x 3 (BGR) or H x W x 4
    maps_only : bool
        Leave out photographs and fused images, where they must not be shown.
    """

    def __init__(self, a: Image, b: Image, truth: Image | None, *, maps_only: bool = False) -> None:
        self.a, self.b, self.truth, self.maps_only = a, b, truth, maps_only
        third = [] if truth is None else [("truth", truth)]
        photographs = [("first photograph", a), ("second photograph", b), *third]
        self.rows = [] if maps_only else [contact_sheet(photographs)]

    def add(self, method: str, fused: Image, decision: NDArray[np.bool_] | None) -> None:
        """Add a method's row; without a decision map, it is read off the fused image."""
        if decision is None:
            decision = nearer(fused, self.a, self.b)
        if self.truth is not None:
            wrong, against = error_map(fused, self.truth), "truth"
        else:
            wrong, against = error_map(fused, self.a, self.b), "the nearer photograph"
        shown = decision.astype(np.uint8) * 255
        panels = [(f"{method}: decision", shown)] if self.maps_only else [(method, fused), ("decision", shown)]
        self.rows.append(contact_sheet([*panels, (f"error to {against}", wrong)]))

    def write(self, path: Path) -> None:
        """Write all rows, one below the other; the folder is made if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, stacked(self.rows))


def stacked(strips: Sequence[NDArray[np.uint8]], gap: int = 0) -> NDArray[np.uint8]:
    """Put strips, uint8 H x W x 3, below each other, with white above each (``gap``) and beside narrower ones."""
    width = max(strip.shape[1] for strip in strips)
    return np.vstack([bordered(strip, top=gap, right=width - strip.shape[1]) for strip in strips])
