"""Connected regions of a label image, and SLIC's rule that every superpixel is one."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.types import Labels


def enforce_connectivity(labels: Labels, min_size: int, max_size: int) -> Labels:
    """Make each region 4-connected: small pieces join a neighbour that was met before, oversized ones are cut.

    A breadth-first flood from each region's first pixel, in scan order, defines the result. Where no region is small or
    oversized, that is the connected components in scan order; only the others are flooded one by one.
    """
    components = connected_components(labels)
    sizes = np.bincount(components.ravel())
    odd = (sizes < min_size) | (sizes > max_size)
    if not odd.any():
        return components
    return _flood(components, odd, min_size, max_size)


def connected_components(labels: Labels) -> Labels:
    """Number the 4-connected regions of equal label 0, 1, ... in the order a row-by-row scan meets them."""
    first, lowest = label_runs(labels)
    number = np.cumsum(lowest == np.arange(len(lowest)), dtype=np.int32) - np.int32(1)
    return number[lowest].repeat(np.diff(first, append=labels.size)).reshape(labels.shape)


def label_runs(image: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Cut an image into horizontal runs of equal value, and tell which of them are connected.

    The work is proportional to the number of runs: where one begins, it touches one in the row above and one in the row
    below, and any two runs that touch do so where one of them begins. They are joined by repeatedly hooking each onto
    the lowest one it touches (union-find, vectorised).

    Parameters
    ----------
    image : H x W

    Returns
    -------
    first : intp R
        Where each run begins, as an index of the image's pixels in scan order; ascending.
    lowest : int32 R
        The lowest run of each run's 4-connected region.
    """
    height, width = image.shape
    starts = np.ones((height, width), bool)
    np.not_equal(image[:, 1:], image[:, :-1], out=starts[:, 1:])
    first = np.flatnonzero(starts)
    runs = np.arange(len(first), dtype=np.int32)
    value = image.ravel()[first]
    above, below = ((np.searchsorted(first, first + way, side="right") - 1).astype(np.int32) for way in (-width, width))
    upper, lower = np.concatenate([above, runs]), np.concatenate([runs, below])
    touching = np.concatenate([first >= width, first < image.size - width]) & (value[upper] == value[lower])
    upper, lower = upper[touching], lower[touching]
    lowest = runs
    while True:
        a, b = lowest[upper], lowest[lower]
        apart = a != b
        if not apart.any():
            return first, lowest
        upper, lower, a, b = upper[apart], lower[apart], a[apart], b[apart]
        lowest = lowest.copy()
        np.minimum.at(lowest, np.maximum(a, b), np.minimum(a, b))
        while True:
            further = lowest[lowest]
            if np.array_equal(further, lowest):
                break
            lowest = further


def _flood(components: Labels, odd: NDArray[np.bool_], min_size: int, max_size: int) -> Labels:
    """Renumber components in scan order, flooding those marked ``odd`` pixel by pixel."""
    height, width = components.shape
    flat = components.ravel()
    by_component = np.argsort(flat, kind="stable")  # pixels of each component, in scan order
    ends = np.cumsum(np.bincount(flat))
    starts = np.concatenate([[0], ends[:-1]])
    seeds = [(int(by_component[start]), component) for component, start in enumerate(starts)]  # already a heap
    new = np.full(flat.size, -1, np.int32)
    label = 0
    while seeds:
        seed, component = heapq.heappop(seeds)
        members = by_component[starts[component] : ends[component]]
        if not odd[component]:
            new[members] = label
            label += 1
            continue
        reached, adjacent = _breadth_first(flat, new, seed, label, max_size, height, width)
        if len(reached) < min_size:
            new[reached] = adjacent
        else:
            label += 1
        rest = members[new[members] < 0]
        if len(rest):  # an oversized region was cut: the scan floods what is left when it meets it
            heapq.heappush(seeds, (int(rest[0]), component))
    return new.reshape(height, width)


def _breadth_first(
    flat: Labels, new: Labels, seed: int, label: int, max_size: int, height: int, width: int
) -> tuple[list[int], int]:
    """Give ``label`` to the seed's region, at most ``max_size`` pixels; also the last other label seen beside it."""
    component = flat[seed]
    adjacent = label
    reached = [seed]
    new[seed] = label
    visited = 0
    while visited < len(reached) < max_size:
        here = reached[visited]
        y, x = divmod(here, width)
        for there, exists in (
            (here + 1, x + 1 < width),
            (here - 1, x > 0),
            (here + width, y + 1 < height),
            (here - width, y > 0),
        ):
            if not exists:
                continue
            if flat[there] == component and new[there] < 0:
                new[there] = label
                reached.append(there)
                if len(reached) >= max_size:
                    break
            elif new[there] >= 0 and new[there] != label:
                adjacent = int(new[there])
        visited += 1
    return reached, adjacent
