"""What the light network is given: luminance and details, its superpixels and their graph."""

from __future__ import annotations

import numpy as np
import pytest

from fusiongcn_edge.runtime.networks.lite_inputs import (
    NODE_FEATURES,
    LiteInputs,
    grid_superpixels,
    preprocess,
    region_affinity,
    region_features,
)
from fusiongcn_edge.runtime.segmentation.grid_slic import grid_slic
from helpers.lite import SETTINGS, random_pair


def test_superpixels_follow_an_edge() -> None:
    guide = np.zeros((48, 64), np.float32)
    guide[:, 29:] = 1
    labels = grid_slic(guide, cell=8, compactness=0.2, iterations=3)
    assert not set(labels[:, :29].ravel()) & set(labels[:, 29:].ravel())


def test_superpixels_of_a_flat_image_are_the_grid() -> None:
    labels = grid_slic(np.zeros((16, 24), np.float32), cell=8, compactness=0.2, iterations=3)
    np.testing.assert_array_equal(labels, np.repeat(np.repeat([[0, 1, 2], [3, 4, 5]], 8, axis=0), 8, axis=1))


def test_the_affinity_is_the_share_of_the_border() -> None:
    labels = np.repeat(np.repeat([[0, 1], [0, 2]], 4, axis=0), 4, axis=1).astype(np.int32)
    flat = LiteInputs(np.zeros((2, 32, 32), np.uint8), np.zeros((2, NODE_FEATURES, 8, 8), np.float32))
    affinity = region_affinity(flat, labels)
    np.testing.assert_allclose(affinity, [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def test_the_sharper_photograph_has_more_detail_in_every_feature() -> None:
    first, _ = random_pair(64, 64)
    flat = np.full_like(first, 128)
    seen = preprocess(first, flat)
    features = region_features(seen, grid_superpixels(seen, SETTINGS))
    assert (features[0, :, :4] > features[1, :, :4]).all()


def test_sizes_are_filled_up_with_the_edge() -> None:
    first, second = random_pair(61, 70)
    gray = preprocess(first, second).gray
    assert gray.shape == (2, 64, 72)
    assert (gray[:, 61:] == gray[:, 60:61]).all()


def test_details_are_the_same_in_bands_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = random_pair(200, 64)
    at_once = preprocess(first, second).details
    monkeypatch.setattr("fusiongcn_edge.runtime.networks.lite_inputs.BAND", 64 * 20)
    np.testing.assert_array_equal(preprocess(first, second).details, at_once)
