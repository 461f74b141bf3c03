"""Lay out the tiles of a CNN in stages, and plan what is kept between stages within a memory budget.

The size of a tile is ``TILE_PIXELS`` at most, in rows of up to ``TILE_COLUMNS`` (:func:`tile_edges`), or that of the
bundle's graphs where they have a fixed size (:func:`best_size`). Memory decides what is kept and how many threads run.
The windows of FusionGCN-Lite are chosen in ``windowed_cnn.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fusiongcn_edge.runtime.bundle.manifest import Bundle, Stage
from fusiongcn_edge.runtime.types import RESULT

TILE_PIXELS = 8192  # small enough for a core's cache, large enough that calls do not count
TILE_COLUMNS = 256  # at most
FLOATS_PER_PIXEL = 700  # of a tile, that a stage needs at most at once
BYTES_AFTERWARDS = 40  # for each pixel, to decide and blend
FIXED_FLOATS_PER_PIXEL = 5000  # of a tile, that graphs of one size keep: each has its own memory


def tile_of(bundle: Bundle, size: str) -> tuple[int, int] | None:
    """Rows and columns of the tiles that graphs of a size compute; None if they take any."""
    rows, columns = bundle.variants(bundle.stages[-1].graph)[size].outputs[RESULT][1][-2:]
    return (rows, columns) if isinstance(rows, int) and isinstance(columns, int) else None


def best_size(bundle: Bundle, height: int, width: int) -> str:
    """Of the sizes that a bundle's stages are there for, the one whose tiles reach least beyond an image."""

    def computed(size: str) -> int:
        tile = tile_of(bundle, size)
        return math.prod(-(-side // step) * step for side, step in zip((height, width), tile or (1, 1), strict=True))

    return min(bundle.sizes, key=computed)


@dataclass(frozen=True)
class Plan:
    """How a pair goes through the stages."""

    size: str  # of the graphs
    kept: frozenset[str]  # images that are kept whole; others are computed again where they are read
    threads: int
    bytes: int  # at most at once
    working: int  # of these, those that the engine needs for its tiles


def plan(bundle: Bundle, height: int, width: int, memory: int, threads: int, size: str = "") -> Plan:
    """The fastest way that fits into ``memory`` bytes; the leanest if none does.

    Images are given up in the order that the bundle states (``cached_tensors``: cheapest first), then threads.
    """
    candidates = [
        _plan(bundle, height, width, bundle.cached_tensors[given_up:], n, size)
        for n in dict.fromkeys((threads, 1))
        for given_up in range(len(bundle.cached_tensors) + 1)
    ]
    leanest = min(candidates, key=lambda candidate: candidate.bytes)
    return next((candidate for candidate in candidates if candidate.bytes <= memory), leanest)


def _plan(
    bundle: Bundle, height: int, width: int, cached_tensors: tuple[str, ...], threads: int, size: str = ""
) -> Plan:
    kept = frozenset((*cached_tensors, RESULT))
    stages, tile = bundle.stages[1:], tile_of(bundle, size)
    channels = {
        name: math.prod(d for d in shape[:-2] if isinstance(d, int))
        for stage in stages
        for name, (_, shape) in bundle.variants(stage.graph)[size].outputs.items()
        if name in kept
    }
    many_rows = len(tile_edges(height, width, tile)[0]) > 4
    live: set[str] = set()
    most = 0
    for number, stage in enumerate(stages):
        if is_full_pass(stage, kept):
            before, live = live, live | kept & set(stage.outputs)
            live &= live_tensors(stages[number + 1 :], kept, stages) | {RESULT}
            # what is read for the last time goes as fast as what is computed comes, if there are rows of tiles to go
            together = [before, live] if many_rows else [before | (kept & set(stage.outputs))]
            most = max(most, *(sum(channels[name] for name in names) for names in together))
    # what is computed again is held beside what it is computed for
    again = len(bundle.cached_tensors) - len(cached_tensors)
    if tile is None:
        working = 4 * threads * (FLOATS_PER_PIXEL + 100 * again) * min(TILE_PIXELS, height * width)
    else:
        working = 4 * threads * (FIXED_FLOATS_PER_PIXEL + 100 * again) * math.prod(tile)
    return Plan(size, kept, threads, max(4 * most, BYTES_AFTERWARDS) * height * width + working, working)


def is_full_pass(stage: Stage, kept: frozenset[str]) -> bool:
    """Whether a stage is run over the whole image for its own sake, not only where another one reads its output."""
    return bool(stage.sums) or not kept.isdisjoint(stage.outputs)


def live_tensors(later: Sequence[Stage], kept: frozenset[str], stages: Sequence[Stage]) -> set[str]:
    """Names of what later stages read, directly or through what has to be computed again."""
    producer = {name: stage for stage in stages for name in stage.outputs}
    needed: set[str] = set()
    found = [name for stage in later if is_full_pass(stage, kept) for name in stage.reads]
    while found:
        name = found.pop()
        if name not in needed and name not in kept and name in producer:
            found += producer[name].reads
        needed.add(name)
    return needed


def tile_edges(height: int, width: int, tile: tuple[int, int] | None = None) -> tuple[list[int], list[int]]:
    """Where tiles begin and end: rows and columns, the image's own edges included."""
    if tile is not None:
        return [*range(0, height, tile[0]), height], [*range(0, width, tile[1]), width]
    across = -(-width // TILE_COLUMNS)
    down = -(-height * -(-width // across) // TILE_PIXELS)
    return _edges(height, down), _edges(width, across)


def _edges(length: int, parts: int) -> list[int]:
    return [length * i // parts for i in range(parts + 1)]
