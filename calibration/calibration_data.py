"""Calibration and validation sets, and what a model's graphs are given for them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.calibration.layers import CalibrationError, Samples
from fusiongcn_edge.runtime.bundle.manifest import Bundle, Graph
from fusiongcn_edge.runtime.engines.base import Arrays
from fusiongcn_edge.runtime.errors import ImageError
from fusiongcn_edge.runtime.fuser import Fuser
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pairs import Pair as PairOfFiles
from fusiongcn_edge.runtime.io.pairs import find_pairs
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fusiongcn_edge.runtime.io.validation import check_pair
from fusiongcn_edge.runtime.networks.fusiongcn_inputs import network_input
from fusiongcn_edge.runtime.types import OnStage

SIDE = 384  # of the windows that are cut out of photographs, at most
LEAST_CONTRAST, LEAST_DIFFERENCE = 2.0, 0.1  # grey levels, within a photograph and between the two
TRIES = 8  # of windows, before a pair is refused
INPUTS_PER_GRAPH = 16

Pair = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class PairSet:
    """Windows of pairs, ``source`` in words, ``sha256`` of their pixels, by which they can be known again, and the
    files that they are from.
    """

    pairs: tuple[Pair, ...]
    source: str
    sha256: str
    files: frozenset[Path]

    def split(self) -> tuple[PairSet, PairSet]:
        """Every second pair, and the others."""
        one, other = (
            _pair_set(half, f"{len(half)} of the {len(self.pairs)} taken ({self.source})")
            for half in (self.pairs[::2], self.pairs[1::2])
        )
        return one, other


def pairs_from(folder: Path | None, most: int, seed: int) -> PairSet:
    """A window of each of at most ``most`` pairs, chosen by ``seed``; made pairs where there is no folder.

    Parameters
    ----------
    folder : Path, optional
        See :func:`fusiongcn_edge.runtime.io.pairs.find_pairs`.
    most, seed : int

    Raises
    ------
    CalibrationError
        If a pair cannot serve: its photographs do not go together, are the same, or are flat.
    FusionError
        If there is no pair, or a photograph cannot be read.
    """
    rng = np.random.default_rng(seed)
    if folder is None:
        return _pair_set([synthetic_pair(SIDE, SIDE, seed + number) for number in range(most)], f"{most} made pairs")
    found = list(find_pairs(folder))
    chosen = [found[index] for index in sorted(rng.permutation(len(found))[:most])]
    pairs = [_window(pair, rng) for pair in chosen]
    files = frozenset(path.resolve() for pair in chosen for path in (pair.a, pair.b))
    return _pair_set(pairs, f"{len(pairs)} of {len(found)} pairs in {folder.resolve().name}", files)


def _window(pair: PairOfFiles, rng: np.random.Generator) -> Pair:
    """A part of a pair that says something about focus."""
    first, second = read_image(pair.a), read_image(pair.b)
    try:
        check_pair(first, second, 1)
    except ImageError as error:
        raise CalibrationError(f"{pair.a} and {pair.b}", fix=str(error)) from None
    for _ in range(TRIES):
        top, left = (int(rng.integers(max(side - SIDE, 0) + 1)) for side in first.shape[:2])
        window = (slice(top, top + SIDE), slice(left, left + SIDE))
        views = network_input(first[window], second[window]) * 127.5  # RGB, in grey levels
        contrast = min(view.std(axis=(1, 2)).max() for view in views)
        if contrast >= LEAST_CONTRAST and np.abs(views[0] - views[1]).mean() >= LEAST_DIFFERENCE:
            return first[window], second[window]
    raise CalibrationError(f"{pair.a} and {pair.b} are flat or the same, and say nothing", fix="leave that pair out")


def _pair_set(pairs: Sequence[Pair], source: str, files: frozenset[Path] = frozenset()) -> PairSet:
    digest = hashlib.sha256()
    for image in (image for pair in pairs for image in pair):
        digest.update(str((image.shape, image.dtype)).encode() + np.ascontiguousarray(image).tobytes())
    return PairSet(tuple(pairs), source, digest.hexdigest(), files)


def collect_calibration_inputs(bundle: Bundle, pairs: Sequence[Pair], seed: int, progress: OnStage) -> Samples:
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
