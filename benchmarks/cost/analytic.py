"""Costs that no graph file tells: of superpixels and region graph, and of the network as its authors count it."""

from __future__ import annotations

from typing import Any

from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.networks.lite_inputs import NODE_FEATURES
from fusiongcn_edge.runtime.segmentation.settings import STEP, GridSlicSettings, SlicSettings, seed_grid
from fusiongcn_edge.runtime.segmentation.slic import GAUSSIAN_TRUNCATE

Settings = SlicSettings | GridSlicSettings

PUBLISHED_PARAMS, PUBLISHED_OPERATIONS = 137_174, 50.76e9  # Ouyang et al. (2025), a pair of 520x520
# channels that the published network normalises, per pixel: embeddings 2 (18 + 36), stem 2 x 18, encoder 2 (36 + 72),
# fea_mix 2 x 48, decoder 96 + 192, graph decoder 24
NORMALISED = 2 * (18 + 36) + 2 * 18 + 2 * (36 + 72) + 2 * 48 + 96 + 192 + 24
AVERAGED = 288  # channels of the squeeze-excitation
SPREAD = 2 * (18 + 36)  # channels of the tables that the authors multiply by a one-hot matrix


def preprocessing(
    how: SlicSettings | GridSlicSettings, height: int, width: int, nodes: int
) -> dict[str, dict[str, int]]:
    """MACs and other operations of superpixels and region graph, by step.

    *guide*: 6 kh kw MACs a pixel. *smoothing*: two passes of 2 r + 1 MACs a pixel, r = 4 sigma. *slic*: the algorithm
    measures each pixel against the centres whose window, 4 S + 1 pixels a side, holds it (S: distance of two centres),
    with 6 operations each (two squares and their sum, weighed; a squared difference of grey; a comparison), once an
    iteration; the runtime's bounds leave out most of these and its last iterations, so this is the most that it can
    do, with 3 sums a pixel and iteration for the new centres. *features*: two 3x3 kernels of 6 numbers that are not
    0, on 6 channels, in MACs; then magnitude and sum, 5 operations. *graph*: 2 marks a pixel, 4 N^2 for the matrices.
    *patterns*: 9 comparisons a pixel.
    """
    pixels = height * width
    if isinstance(how, GridSlicSettings):
        return _light_preprocessing(how, height, width, nodes)
    radius = int(GAUSSIAN_TRUNCATE * how.sigma + 0.5)
    rows, columns = seed_grid(height, width, nodes)
    distances = len(rows) * len(columns) * min(4 * rows.step + 1, height) * min(4 * columns.step + 1, width)
    return {
        "guide": {"macs": pixels * how.guide_kernel.size, "other": 0},
        "smoothing": {"macs": pixels * 2 * (2 * radius + 1) if radius else 0, "other": 0},
        "slic": {"macs": 0, "other": how.iterations * (6 * distances + 3 * pixels)},
        "features": {"macs": pixels * 6 * 2 * 6, "other": pixels * 6 * 5},
        "graph": {"macs": 0, "other": 2 * pixels + 4 * nodes * nodes},
        "patterns": {"macs": 0, "other": 9 * pixels},
    }


def _light_preprocessing(how: GridSlicSettings, height: int, width: int, nodes: int) -> dict[str, dict[str, int]]:
    """The same for Lite, on photographs of gray levels (3 MACs and 2 conversions a pixel).

    *details*: of each photograph, 4 MACs and an absolute value for the second difference, 2 differences, 2 absolute
    values and a sum for the slope, at each of its resolutions (1 + 1/4 + 1/16 times the pixels), and the averages that
    lead there. *slic*: at a quarter of the resolution, 9 cells a pixel and iteration with 8 operations each, 4 sums.
    *features*: a sum for each detail and quarter pixel. *graph*: 2 comparisons a quarter pixel, N^2 for the matrix.
    """
    pixels, small = height * width, height * width // STEP**2
    slopes = pixels + pixels // 4 + small
    return {
        "gray": {"macs": 2 * 3 * pixels, "other": 2 * 2 * pixels},
        "details": {"macs": 2 * 4 * pixels, "other": 2 * (pixels + 5 * slopes + 4 * pixels)},
        "slic": {"macs": 0, "other": how.iterations * (9 * 8 + 4) * small},
        "features": {"macs": 0, "other": 2 * NODE_FEATURES * small},
        "graph": {"macs": 0, "other": 2 * small + nodes * nodes},
    }


def published_convention(bundle: Bundle, height: int, width: int, nodes: int) -> dict[str, Any]:
    """The published way to count, for the published architecture; empty for any other.

    The authors' 50.76 G are what the ``thop`` counter calls operations: MACs of convolutions and linear layers of torch
    (guide filter and squeeze-excitation included), four operations for each element that a batch normalisation gives,
    and one for each that the squeeze-excitation averages: 50.67 G, 0.2 % below what they print. It leaves out
    what is no module of torch's own: the graph layers, their products with a one-hot matrix, SimAM; and activations and
    superpixels. A MAC counts as one operation there.
    """
    if bundle.params != PUBLISHED_PARAMS or not isinstance(bundle.superpixels, SlicSettings):
        return {}
    terms, pixels = bundle.macs_terms, height * width
    return {
        "params": bundle.params,
        "operations": round(
            pixels * (terms["per_pixel"] + bundle.superpixels.guide_kernel.size + 4 * NORMALISED)
            + AVERAGED * (pixels + 1)
            + terms["per_pair"]
        ),
        "published_operations_520x520": PUBLISHED_OPERATIONS,
        "of_these_normalisation": pixels * 4 * NORMALISED,
        "of_these_guide": pixels * bundle.superpixels.guide_kernel.size,
        "left_out_graph_layers_macs": terms["per_node"] * nodes + terms["per_node_squared"] * nodes * nodes,
        "left_out_one_hot_macs": SPREAD * nodes * pixels,
    }
