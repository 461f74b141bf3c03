"""Photographs to calibrate and to judge with, and what a model's graphs are given for them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.calibration.layers import CalibrationError, Samples
from fusiongcn_edge.runtime.bundle import Bundle, Graph
from fusiongcn_edge.runtime.engines.base import Arrays
from fusiongcn_edge.runtime.fuser import Fuser
from fusiongcn_edge.runtime.images import read_image
from fusiongcn_edge.runtime.pairs import find_pairs, made_pair

SIDE = 384  # of the windows that are cut out of photographs, at most
LEAST_CONTRAST = 2.0  # grey levels, and as much difference between the two: less says nothing about focus
INPUTS_PER_GRAPH = 16

Pair = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class PairSet:
    """Windows of pairs, ``source`` in words, and ``sha256`` of their pixels, by which they can be known again."""

    pairs: tuple[Pair, ...]
    source: str
    sha256: str

    def split(self) -> tuple[PairSet, PairSet]:
        """Every second pair, and the others."""
        return _pair_set(self.pairs[::2], self.source), _pair_set(self.pairs[1::2], self.source)


def pairs_from(folder: Path | None, most: int, seed: int) -> PairSet:
    """A window of each of at most ``most`` pairs, chosen by ``seed``; made pairs where there is no folder.

    Parameters
    ----------
    folder : Path, optional
        See :func:`fusiongcn_edge.runtime.pairs.find_pairs`.
    most, seed : int

    Raises
    ------
    CalibrationError
        If a pair cannot serve: its photographs differ in size, are the same, or are flat.
    FusionError
        If there is no pair, or a photograph cannot be read.
    """
    rng = np.random.default_rng(seed)
    if folder is None:
        return _pair_set([made_pair(SIDE, SIDE, seed + number) for number in range(most)], "made pairs")
    found = list(find_pairs(folder))
    chosen = sorted(rng.permutation(len(found))[:most])
    pairs = []
    for index in chosen:
        pair = found[index]
        first, second = read_image(pair.a), read_image(pair.b)
        if first.shape != second.shape:
            raise CalibrationError(f"{pair.a} and {pair.b} differ in size: leave that pair out.")
        top, left = (int(rng.integers(max(side - SIDE, 0) + 1)) for side in first.shape[:2])
        window = (slice(top, top + SIDE), slice(left, left + SIDE))
        first, second = first[window], second[window]
        grey = 255 / np.iinfo(first.dtype).max
        if float(first.std()) * grey < LEAST_CONTRAST:
            raise CalibrationError(f"{pair.a} is flat, so nothing can be learned from it: leave that pair out.")
        if np.array_equal(first, second):
            raise CalibrationError(f"{pair.a} and {pair.b} are the same photograph: leave that pair out.")
        pairs.append((first, second))
    return _pair_set(pairs, f"{len(pairs)} of {len(found)} pairs in {folder.name}")


def _pair_set(pairs: Sequence[Pair], source: str) -> PairSet:
    digest = hashlib.sha256()
    for image in (image for pair in pairs for image in pair):
        digest.update(str((image.shape, image.dtype)).encode() + np.ascontiguousarray(image).tobytes())
    return PairSet(tuple(pairs), source, digest.hexdigest())


def recorded(bundle: Bundle, pairs: Sequence[Pair], seed: int, progress: Callable[[str], None]) -> Samples:
    """Inputs that the graphs of a bundle, in all its sizes, are given when it fuses these pairs: of each graph as many
    as ``INPUTS_PER_GRAPH``, drawn evenly from all (reservoir sampling), the same ones for the same seed.
    """
    keys = {id(graph): key for key, graph in bundle.graphs.items()}
    kept: dict[str, list[Arrays]] = {key: [] for key in bundle.graphs}
    seen = dict.fromkeys(bundle.graphs, 0)
    rng = np.random.default_rng(seed)

    def watch(graph: Graph, inputs: Arrays) -> None:
        key = keys[id(graph)]
        place = len(kept[key]) if len(kept[key]) < INPUTS_PER_GRAPH else int(rng.integers(seen[key] + 1))
        seen[key] += 1
        if place < INPUTS_PER_GRAPH:
            kept[key][place : place + 1] = [{name: array.copy() for name, array in inputs.items()}]

    for size in bundle.sizes:
        # one thread: the order of the tiles decides which are drawn
        fuser = Fuser(bundle.at_size(size), threads=1, watch=watch)
        for number, pair in enumerate(pairs, start=1):
            progress(f"calibration pair {number} of {len(pairs)} {size}".rstrip())
            fuser.fuse(*pair)
    return kept
