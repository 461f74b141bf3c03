"""Pictures of fused pairs: fused photograph, decision map and error map side by side, a row per method."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.metrics.scorer import alike, eight_bits
from fusiongcn_edge.runtime.fusion.preview import bordered, row
from fusiongcn_edge.runtime.io.images import write_image

Image = NDArray[Any]

ERROR_SHOWN = 4  # times that errors are amplified
NEAR_SIGMA = 2.0  # pixels over which the nearer photograph is judged


def data_uri(picture: Image) -> str:
    """A uint8 picture as the address of itself, a JPEG, for JSON and HTML."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def nearer(fused: Image, a: Image, b: Image) -> NDArray[np.bool_]:
    """Where a fused image is nearer to ``a`` than to ``b``: the decision map of a method that has none."""
    distances = []
    for source in (a, b):
        squares = np.square(alike(fused, source).astype(np.float32) - alike(source, source))
        squares = squares if squares.ndim == 2 else squares.mean(2)
        distances.append(cv2.GaussianBlur(squares, (0, 0), NEAR_SIGMA))
    return np.asarray(distances[0] < distances[1])


def error_map(image: Image, *others: Image) -> NDArray[np.uint8]:
    """The difference to the nearest of other images, in whatever channels and depth, made four times brighter."""
    differences = [np.abs(eight_bits(alike(image, o)) - eight_bits(alike(o, o))) for o in others]
    return np.minimum(np.minimum.reduce(differences) * ERROR_SHOWN, 255).astype(np.uint8)


class Sheet:
    """The picture of one pair: in the first row both photographs and the truth, then a row per method.

    The error map is the difference to the truth or, without one, to the nearer photograph, made four times brighter.
    """

    def __init__(self, a: Image, b: Image, truth: Image | None) -> None:
        self.a, self.b, self.truth = a, b, truth
        third = [] if truth is None else [("truth", truth)]
        self.rows = [row([("first photograph", a), ("second photograph", b), *third])]

    def add(self, method: str, fused: Image, decision: NDArray[np.bool_] | None) -> None:
        """A method's row."""
        if decision is None:
            decision = nearer(fused, self.a, self.b)
        if self.truth is not None:
            wrong, against = error_map(fused, self.truth), "truth"
        else:
            wrong, against = error_map(fused, self.a, self.b), "the nearer photograph"
        panels = [(method, fused), ("decision", decision.astype(np.uint8) * 255), (f"error to {against}", wrong)]
        self.rows.append(row(panels))

    def write(self, path: Path) -> None:
        """All rows, one below the other; the folder is made if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        width = max(strip.shape[1] for strip in self.rows)
        pad_to = [bordered(strip, right=width - strip.shape[1]) for strip in self.rows]
        write_image(path, np.vstack(pad_to))
