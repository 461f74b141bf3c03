"""Check the values of a manifest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fusiongcn_edge.runtime.bundle.manifest import Graph, Stage, base_name
from fusiongcn_edge.runtime.segmentation.settings import (
    GRID,
    LEAST_PIXELS,
    STEP,
    GridSlicSettings,
    SlicSettings,
)

MOST_SEGMENTS, MOST_ITERATIONS, MOST_SIGMA = 10, 1000, 100  # beyond, superpixels would take all memory or all day
MOST_SUPERPIXELS, LARGEST_SIZE = 8192, 2_000_000  # and pixels, that a graph of a fixed size may be for


def read_slic_settings(pre: dict[str, Any]) -> SlicSettings:
    """Read the published network's superpixel settings; a ValueError or KeyError if one is missing or out of range."""
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused below
        kernel = np.asarray(pre["guide"]["kernel"], np.float32)
    odd = all(side % 2 == 1 for side in kernel.shape[1:])
    if kernel.ndim != 3 or len(kernel) != 6 or not odd or not np.isfinite(kernel).all():
        raise ValueError("the guide kernel is not 6 x h x w finite numbers, h and w odd")
    return SlicSettings(
        guide_kernel=kernel,
        guide_bias=number_in_range(pre["guide"]["bias"], low=-math.inf),
        segments_per_side=number_in_range(pre["superpixels"]["segments_per_side"], high=MOST_SEGMENTS),
        compactness=number_in_range(pre["superpixels"]["compactness"]),
        sigma=number_in_range(pre["superpixels"]["sigma"], low=0.0, high=MOST_SIGMA),
        iterations=int(number_in_range(pre["superpixels"]["iterations"], low=1, high=MOST_ITERATIONS)),
    )


def read_grid_slic_settings(entry: dict[str, Any]) -> GridSlicSettings:
    """Read Lite's superpixel settings; a ValueError or KeyError if one is missing or out of range."""
    return GridSlicSettings(
        segments_per_side=number_in_range(entry["segments_per_side"], high=MOST_SEGMENTS),
        compactness=number_in_range(entry["compactness"]),
        iterations=int(number_in_range(entry["iterations"], low=1, high=MOST_ITERATIONS)),
    )


def check_capacity(graph: Graph) -> None:
    """A ValueError if what the graph takes would be too large for any photograph."""
    for name, (_, shape) in graph.inputs.items():
        fixed = [side for side in shape if isinstance(side, int)]
        nodes = fixed[1:2] if name in ("features", "shallow") else []
        if any(side > MOST_SUPERPIXELS for side in nodes) or (len(shape) == 4 and math.prod(fixed[2:]) > LARGEST_SIZE):
            raise ValueError(f"{name} of {graph.file} has {shape}")


def check_sizes(graphs: dict[str, Graph], stages: tuple[Stage, ...]) -> None:
    """A KeyError or ValueError if a tensor is missing that tells the size of a graph, or a stage lacks a size."""
    telling = {"gcn": {"features": 3}, "cnn": {"labels": 2, "shallow": 3}}
    if stages:
        telling[stages[0].graph] = {"shallow": 3, "patterns": 2}
    for key, graph in graphs.items():
        for tensor, dimensions in telling.get(base_name(key), {}).items():
            if len(graph.inputs[tensor][1]) != dimensions:
                raise ValueError(f"{tensor} of {key} does not have {dimensions} dimensions")
    sizes = {
        stage.graph: {key.partition("@")[2] for key in graphs if base_name(key) == stage.graph} for stage in stages[1:]
    }
    if any(found != sizes[stages[-1].graph] for found in sizes.values()):
        raise ValueError("the stages are not there for the same sizes")
    for stage in stages[1:]:
        for size in sizes[stage.graph]:
            graph = graphs[f"{stage.graph}@{size}" if size else stage.graph]
            if any(len(graph.outputs[name][1]) < 2 for name in stage.outputs):
                raise ValueError(f"{stage.graph} gives what is no image")


def check_lite(graphs: dict[str, Graph], stages: tuple[Stage, ...], margin: int) -> None:
    """A KeyError or ValueError if Lite's graphs could not be run in windows that keep ``margin`` off their edges."""
    if stages:
        raise ValueError("Lite has no stages")
    if margin % GRID or 2 * margin >= math.isqrt(LEAST_PIXELS):
        raise ValueError(f"a margin of {margin} pixels does not suit the windows")
    for key, graph in graphs.items():
        if base_name(key) == "gcn":
            ranks = {name: len(graph.inputs[name][1]) for name in ("features", "affinity")}
            if ranks != {"features": 3, "affinity": 2} or len(graph.outputs["context"][1]) != 3:
                raise ValueError(f"{key} takes or gives arrays of other dimensions")
            continue
        shapes = graph.inputs["luminance"][1], graph.inputs["context"][1], graph.outputs["probability"][1]
        if any(len(shape) != 4 for shape in shapes):
            raise ValueError(f"{key} takes or gives what is no image")
        for window, context, half in zip(*(shape[2:] for shape in shapes), strict=True):
            if isinstance(window, int) and (
                window % GRID or window <= 2 * margin or context != window // STEP or half != window // 2
            ):
                raise ValueError(f"windows of {window} pixels do not suit a margin of {margin}")


def number_in_range(value: Any, low: float = 1e-12, high: float = 1e15) -> float:
    """Read a finite number from ``low`` to ``high``; a ValueError if it is none."""
    number = float(value)
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError(f"{number} is out of range")
    return number


def small_pixel_count(value: Any) -> int:
    """Read a number of pixels, at most 1000; a ValueError if it is none."""
    pixels = int(number_in_range(value, low=0))
    if pixels > 1000:
        raise ValueError(f"{pixels} pixels around a tile are out of range")
    return pixels


def check_chain(stages: tuple[Stage, ...], cached_tensors: tuple[str, ...]) -> None:
    """A ValueError if a stage reads what no earlier one gives."""
    known = {"images", "labels", "shallow", "deep", "counts", "patterns", "places", "inside"}
    if stages and "graph" not in stages[0].outputs:
        raise ValueError("the first stage gives no graph")
    images = {name for stage in stages[1:] for name in stage.outputs if name not in stage.sums}
    for stage in stages:
        if not set(stage.gather) <= set(stage.inputs) & set(stages[0].outputs):
            raise ValueError(f"the stage {stage.graph} gathers from what is no table")
        if not set(stage.gather.values()) <= {"labels", "places"}:
            raise ValueError(f"the stage {stage.graph} gathers by what are no places")
        missing = {*stage.reads, *stage.halo} - known
        if missing:
            raise ValueError(f"nothing gives {min(missing)} to the stage {stage.graph}")
        if stage.valid_crop and stage.sums:
            raise ValueError(f"the stage {stage.graph} would add up what is cut off")
        means = {name.removesuffix("_sum") for name in stage.sums if name.endswith("_sum")}
        variances = {name for name in means if f"{name}_squares" in stage.sums}
        known |= {*stage.outputs, *(f"{name}_mean" for name in means), *(f"{name}_variance" for name in variances)}
    if set(cached_tensors) - images or (stages and "probability" not in stages[-1].outputs):
        raise ValueError("the stages do not lead to the probability")
