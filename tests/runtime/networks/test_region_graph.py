from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fusiongcn_edge.runtime.networks.fusiongcn_inputs import network_input
from fusiongcn_edge.runtime.networks.region_graph import MASKED_LOGIT, node_features, region_graph
from helpers.common import Stage
from helpers.profiles import examples

Labels = NDArray[np.int32]


def normalised_by_loops(labels: Labels) -> tuple[NDArray[np.float64], set[tuple[int, int]]]:
    """GCN normalisation written out: edges (source, target) left to right and top to bottom, and a loop per node."""
    height, width = labels.shape
    nodes = int(labels.max()) + 1
    edges = {(node, node) for node in range(nodes)}
    for y in range(height):
        for x in range(width):
            if x + 1 < width:
                edges.add((int(labels[y, x]), int(labels[y, x + 1])))
            if y + 1 < height:
                edges.add((int(labels[y, x]), int(labels[y + 1, x])))
    degree = [sum(target == node for _, target in edges) for node in range(nodes)]
    adjacency = np.zeros((nodes, nodes))
    for source, target in edges:
        adjacency[target, source] = 1 / np.sqrt(degree[source] * degree[target])
    return adjacency, edges


def random_labels(height: int, width: int, nodes: int, seed: int) -> Labels:
    labels = np.random.default_rng(seed).integers(0, nodes, (height, width), dtype=np.int32)
    return np.unique(labels, return_inverse=True)[1].reshape(height, width).astype(np.int32)


@settings(max_examples=examples(60))
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_adjacency_and_mask_are_those_of_plain_loops(height: int, width: int, nodes: int, seed: int) -> None:
    labels = random_labels(height, width, nodes, seed)
    expected, edges = normalised_by_loops(labels)
    adjacency, mask = region_graph(labels)
    assert adjacency.dtype == mask.dtype == np.float32
    np.testing.assert_allclose(adjacency, expected, rtol=1e-6)
    assert {(int(s), int(t)) for t, s in np.argwhere(mask == 0)} == edges
    assert set(np.unique(mask)) <= {0, MASKED_LOGIT}


def test_edges_point_right_and_down_only() -> None:
    adjacency, mask = region_graph(np.array([[0, 1], [2, 3]], np.int32))
    half, root = 1 / np.sqrt(2), 1 / np.sqrt(6)
    expected = [[1, 0, 0, 0], [half, 0.5, 0, 0], [half, 0, 0.5, 0], [0, root, root, 1 / 3]]
    np.testing.assert_allclose(adjacency, expected, rtol=1e-6)
    np.testing.assert_array_equal(mask == 0, np.array(expected) > 0)


def test_a_blocked_edge_gets_no_attention_even_in_half_precision() -> None:
    assert np.isfinite(np.float16(MASKED_LOGIT))
    assert np.exp(np.float32(MASKED_LOGIT)) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (8, 1), (2, 2), (23, 31)])
def test_node_features_are_summed_scharr_magnitudes_with_zeros_outside(size: tuple[int, int]) -> None:
    images = np.random.default_rng(4).uniform(-1, 1, (2, 3, *size)).astype(np.float32)
    labels = random_labels(*size, nodes=7, seed=0)
    horizontal = torch.tensor([[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]], dtype=torch.float64)
    vertical = torch.tensor([[3, 10, 3], [0, 0, 0], [-3, -10, -3]], dtype=torch.float64)
    planes = torch.from_numpy(images).double().reshape(6, 1, *size)
    gx, gy = (
        torch.nn.functional.conv2d(planes, kernel[None, None], padding=1).numpy() for kernel in (horizontal, vertical)
    )
    magnitude = np.sqrt(gx**2 + gy**2).reshape(2, 3, *size)
    expected = [
        [[plane[labels == node].sum() for plane in image] for node in range(labels.max() + 1)] for image in magnitude
    ]
    features = node_features(images, labels)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=1e-5)


def test_edges_are_those_of_the_authors_code(stage: Stage) -> None:
    _, mask = region_graph(stage.dump["labels"].astype(np.int32))
    dumped = {(int(source), int(target)) for source, target in stage.dump["edge_index"].T}
    assert {(int(s), int(t)) for t, s in np.argwhere(mask == 0)} == dumped


def test_node_features_are_those_of_the_authors_code(stage: Stage) -> None:
    features = node_features(network_input(stage.first, stage.second), stage.dump["labels"].astype(np.int32))
    np.testing.assert_allclose(features, stage.both("features"), rtol=1e-5)
