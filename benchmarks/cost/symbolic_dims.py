"""Lengths for the dimensions that an ONNX graph leaves free."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fusiongcn_edge.benchmarks.cost.conventions import Shape
from fusiongcn_edge.runtime.errors import FusionError

HEIGHTS = {"h", "height", "rows", "image_height", "img_height"}
WIDTHS = {"w", "width", "columns", "cols", "image_width", "img_width"}
BATCHES = {"n", "b", "batch", "batch_size", "bs"}
SUPERPIXELS = {"nodes", "superpixels", "num_nodes"}
CHANNELS = 4  # or fewer, in the last place: the image is channels last


def filled_in(
    inputs: Mapping[str, tuple[int | str, ...]], size: tuple[int, int], superpixels: int | None, file: str
) -> dict[str, Shape]:
    """A shape for each input: free dimensions by their names, ``rows + 8`` also, or in images by their place.

    Where one input has ``8*rows`` and another ``2*rows``, the size is that of the largest.

    ``patterns`` (of a model's first stage) are taken for 16 times the superpixels.

    Raises
    ------
    FusionError
        If a dimension's meaning cannot be told, or the size is no multiple of what it has to be.
    """
    by_name = dict.fromkeys(BATCHES, 1) | dict.fromkeys(HEIGHTS, size[0]) | dict.fromkeys(WIDTHS, size[1])
    for text in (length for shape in inputs.values() for length in shape if isinstance(length, str)):
        factor, name = _factor(text)
        sides = {**dict.fromkeys(HEIGHTS, size[0]), **dict.fromkeys(WIDTHS, size[1])}
        if factor > 1 and name in sides:
            if sides[name] % factor:
                raise FusionError(
                    f"A side of --size does not suit {file}", found=sides[name], allowed=f"multiples of {factor}"
                )
            by_name[name] = min(by_name[name], sides[name] // factor)
    if superpixels is not None:
        by_name |= dict.fromkeys(SUPERPIXELS, superpixels) | {"patterns": 16 * superpixels}
    found = {}
    for name, shape in inputs.items():
        by_place = _places(shape, size)
        lengths = []
        for place, length in enumerate(shape):
            known = length if isinstance(length, int) else _named(length, by_name)
            if known is None:
                known = by_place.get(place)
            if known is None:
                counted = _factor(str(length).partition(" ")[0])[1] in {*SUPERPIXELS, "patterns"}
                raise FusionError(
                    f"The length {length!r} of {name} in {file} is free",
                    fix="say how many with --superpixels" if counted else "export the graph with a fixed size there",
                )
            lengths.append(known)
        found[name] = tuple(lengths)
    return found


def _factor(text: str) -> tuple[int, str]:
    """``8*rows`` to 8 and ``rows``; 1 and the text if it is not of that kind."""
    parts = re.fullmatch(r"(\d+)\s*\*\s*(\w+)", text)
    return (int(parts[1]), parts[2].lower()) if parts else (1, text.lower())


def _named(text: str, by_name: Mapping[str, int]) -> int | None:
    """``rows``, ``rows + 8``, ``8*rows``; None if it is none of them."""
    factor, name = _factor(text)
    if factor > 1 and name in by_name:
        return factor * by_name[name]
    parts = re.fullmatch(r"(\w+)(?:\s*([+-])\s*(\d+))?", text)
    if parts is None or parts[1].lower() not in by_name:
        return None
    more = int(parts[3] or 0)
    return by_name[parts[1].lower()] + (-more if parts[2] == "-" else more)


def _places(shape: tuple[int | str, ...], size: tuple[int, int]) -> dict[int, int]:
    """Of an image, what its free dimensions are by their places."""
    if len(shape) != 4:
        return {}
    last = isinstance(shape[3], int) and shape[3] <= CHANNELS and isinstance(shape[1], str)
    return {0: 1, 1: size[0], 2: size[1]} if last else {0: 1, 2: size[0], 3: size[1]}
