"""The light network: what holds by construction, and its superpixels."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from fusiongcn_edge.model import training
from fusiongcn_edge.model.checkpoint import CheckpointError, load_checkpoint, load_network
from fusiongcn_edge.model.lite import FusionGCNLite
from fusiongcn_edge.model.recipe import LITE
from fusiongcn_edge.model.scenes import Photographs
from fusiongcn_edge.model.training import Run
from fusiongcn_edge.runtime.regions import (
    RegionSettings,
    grid_slic,
    luminance_input,
    region_affinity,
    region_features,
    regions,
)

SETTINGS = RegionSettings(segments_per_side=0.5, compactness=0.1, iterations=3)
HALO = 51  # pixels around a tile on the grid of 8 that its probability depends on, beside the context


@pytest.fixture
def network() -> FusionGCNLite:
    torch.manual_seed(0)
    return FusionGCNLite().eval()


def random_pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return tuple(rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(2))  # type: ignore[return-value]


def decide(network: FusionGCNLite, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    luminance = luminance_input(first, second)
    labels = regions(luminance, SETTINGS)
    graph = region_features(luminance, labels), region_affinity(luminance, labels)
    with torch.no_grad():
        tables = network.embed(*map(torch.from_numpy, graph))
        pixels = torch.from_numpy(labels.astype(np.int64))[None]
        return network.classify(torch.from_numpy(luminance[:, None]), pixels, *tables)[0, 0].numpy()


def test_exchanging_the_photographs_flips_the_decision(network: FusionGCNLite) -> None:
    first, second = random_pair(72, 104)
    forth, back = decide(network, first, second), decide(network, second, first)
    assert forth.std() > 1e-4
    np.testing.assert_allclose(forth, 1 - back, atol=1e-6)


def test_identical_photographs_give_one_half(network: FusionGCNLite) -> None:
    first, _ = random_pair(72, 104)
    assert (decide(network, first, first) == 0.5).all()


def test_it_is_small(network: FusionGCNLite) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) <= 20_000


def test_a_tile_depends_on_no_luminance_beyond_the_halo(network: FusionGCNLite) -> None:
    luminance = torch.randn(2, 1, 256, 256, requires_grad=True)
    context = torch.zeros(2, 24, 64, 64)
    network.cnn(luminance, context)[0, 0, 128:136, 128:136].sum().backward()
    assert luminance.grad is not None
    seen = luminance.grad.abs().sum(dim=(0, 1)).nonzero()
    assert int(seen.min()) == 128 - HALO
    assert int(seen.max()) <= 135 + HALO


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
    affinity = region_affinity(np.zeros((2, 32, 32), np.float32), labels)
    np.testing.assert_allclose(affinity, [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def test_the_sharper_photograph_has_more_detail_in_every_feature() -> None:
    first, _ = random_pair(64, 64)
    flat = np.full_like(first, 128)
    luminance = luminance_input(first, flat)
    features = region_features(luminance, regions(luminance, SETTINGS))
    assert (features[0, :, :4] > features[1, :, :4]).all()


def test_sizes_are_filled_up_with_the_edge() -> None:
    first, second = random_pair(61, 70)
    luminance = luminance_input(first, second)
    assert luminance.shape == (2, 64, 72)
    assert (luminance[:, 61:] == luminance[:, 60:61]).all()


def test_it_trains_and_its_checkpoint_says_what_it_is(photo_folder: Path, tmp_path: Path) -> None:
    recipe = replace(LITE, steps=12, batch=2, crop=48, warm_up=2)
    run = Run(recipe, tmp_path, Photographs(photo_folder), Photographs(photo_folder))
    losses = list(islice(run.steps(), 12))
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    run.save()
    network, facts = load_network(tmp_path / training.WEIGHTS)
    assert isinstance(network, FusionGCNLite)
    assert facts["network"] == "lite"
    with pytest.raises(CheckpointError, match="'lite', not 'fusiongcn'"):
        load_checkpoint(tmp_path / training.WEIGHTS)
