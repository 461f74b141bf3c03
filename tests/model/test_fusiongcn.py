from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import thop.vision.basic_hooks
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fusiongcn_edge.model.config import PUBLISHED_SUPERPIXELS
from fusiongcn_edge.model.fusiongcn import FusionGCN, GATConv, GCNConv, GraphLayerNorm, SimAM, spread
from fusiongcn_edge.model.layers import MultiplierConv2d
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.networks.fusiongcn_inputs import network_input
from fusiongcn_edge.runtime.networks.region_graph import node_features, region_graph
from fusiongcn_edge.runtime.segmentation.slic import slic
from helpers.common import Stage
from helpers.published_cost import (
    PER_NODE,
    PER_NODE_SQUARED,
    PER_PIXEL,
    SQUEEZE_EXCITATION,
)

PUBLISHED_OPERATIONS = 50.76e9  # multiply-accumulates at 520 x 520


NetworkInputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def inputs_of(first: NDArray[np.uint8], second: NDArray[np.uint8], labels: NDArray[np.int32]) -> NetworkInputs:
    images = network_input(first, second)
    arrays = (images, labels[None].astype(np.int64), node_features(images, labels), *region_graph(labels))
    return tuple(torch.from_numpy(array) for array in arrays)  # type: ignore[return-value]


class AsTheAuthorsRunIt(nn.Module):
    """The guide filter belongs to the authors' forward pass; ours is computed outside the network."""

    def __init__(self, network: FusionGCN) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, *others: Tensor) -> Tensor:
        self.network.mix(images.reshape(1, 6, *images.shape[2:]))
        return self.network(images, *others)


def test_the_network_has_the_published_number_of_parameters() -> None:
    assert sum(parameter.numel() for parameter in FusionGCN().parameters()) == 137_174


@pytest.mark.slow
def test_thop_counts_the_published_operations_at_520() -> None:
    with torch.device("meta"):  # shapes alone: thop needs no numbers
        network = AsTheAuthorsRunIt(FusionGCN())
        inputs = (
            torch.empty(2, 3, 520, 520),
            torch.empty(1, 520, 520, dtype=torch.int64),
            torch.empty(2, 256, 3),
            torch.empty(256, 256),
            torch.empty(256, 256),
        )
    convolution = {MultiplierConv2d: thop.vision.basic_hooks.count_convNd}  # thop knows a layer by its exact class
    operations, _ = thop.profile(network, inputs, custom_ops=convolution, verbose=False)
    assert operations == pytest.approx(PUBLISHED_OPERATIONS, rel=0.005)


def test_the_bundle_counts_every_layer(random_bundle: Path) -> None:
    terms = load_bundle(random_bundle).macs_terms
    assert terms == {
        "per_pair": SQUEEZE_EXCITATION,
        "per_pixel": PER_PIXEL,
        "per_node": PER_NODE,
        "per_node_squared": PER_NODE_SQUARED,
    }


def test_the_count_at_520_is_pinned(random_bundle: Path) -> None:
    bundle = load_bundle(random_bundle)
    published = dataclasses.replace(bundle.superpixels, **PUBLISHED_SUPERPIXELS)
    bundle = dataclasses.replace(bundle, superpixels=published)
    by_hand = 520 * 520 * PER_PIXEL + 256 * PER_NODE + 256 * 256 * PER_NODE_SQUARED + SQUEEZE_EXCITATION
    assert bundle.macs(520, 520) == by_hand == 49_705_382_400


def test_graph_convolution_sums_over_sources() -> None:
    layer = GCNConv(2, 3)
    nn.init.normal_(layer.bias)
    adjacency, x = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[[1.0, 2.0], [5.0, 7.0]]])
    expected = layer.lin(torch.tensor([[1.0, 2.0], [3.0, 4.5]])) + layer.bias
    torch.testing.assert_close(layer(x, adjacency)[0], expected)


def test_attention_is_that_of_plain_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = GATConv(5, 4, heads=3)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 6, 5, generator=generator)
    edges = (torch.rand(6, 6, generator=generator) < 0.4) | torch.eye(6, dtype=torch.bool)
    with torch.no_grad():
        found = layer(x, torch.where(edges, 0.0, -1e4))
        for image in range(2):
            h = layer.lin(x[image]).reshape(6, 3, 4)
            for target in range(6):
                sources = [source for source in range(6) if edges[target, source]]
                for head in range(3):
                    logits = torch.stack(
                        [
                            h[source, head] @ layer.att_src[0, head] + h[target, head] @ layer.att_dst[0, head]
                            for source in sources
                        ]
                    )
                    weights = torch.softmax(torch.where(logits > 0, logits, 0.2 * logits), 0)
                    part = slice(4 * head, 4 * head + 4)
                    torch.testing.assert_close(
                        found[image, target, part], weights @ h[sources, head] + layer.bias[part], rtol=1e-4, atol=1e-5
                    )


def test_layer_norm_takes_its_statistics_over_the_whole_graph() -> None:
    layer = GraphLayerNorm(3)
    nn.init.uniform_(layer.weight), nn.init.uniform_(layer.bias)
    x = np.random.default_rng(0).normal(3, 2, (2, 7, 3))
    expected = [(graph - graph.mean()) / (graph.std() + 1e-5) for graph in x]
    found = layer(torch.from_numpy(x).float()).detach().numpy()
    np.testing.assert_allclose(
        found, np.stack(expected) * layer.weight.detach().numpy() + layer.bias.detach().numpy(), rtol=1e-4, atol=1e-5
    )


def test_simam_weighs_each_pixel_by_its_distance_from_the_mean() -> None:
    x = np.random.default_rng(0).normal(1, 2, (2, 3, 8, 9))
    expected = np.empty_like(x)
    for image in range(2):
        for channel in range(3):
            plane = x[image, channel]
            energy = (plane - plane.mean()) ** 2 / (4 * (plane.var(ddof=1) + 1e-5)) + 0.5
            expected[image, channel] = plane / (1 + np.exp(-energy))
    np.testing.assert_allclose(SimAM()(torch.from_numpy(x)).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("kernel", "dilation", "size"), [(3, 1, (11, 8)), (5, 2, (12, 17)), (5, 2, (3, 2))])
def test_depthwise_convolution_and_its_gradients_are_those_of_the_plain_layer(
    kernel: int, dilation: int, size: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = MultiplierConv2d(4, kernel, dilation)
    x = torch.randn(2, 4, *size, generator=generator)
    towards = torch.randn(2, 8, *size, generator=generator)
    found, expected = [], []
    for results, function in ((found, layer), (expected, super(MultiplierConv2d, layer).forward)):
        leaf = x.clone().requires_grad_()
        y = function(leaf)
        results += [y, *torch.autograd.grad(y, (leaf, layer.weight, layer.bias), towards)]
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


def test_spreading_gives_each_pixel_the_row_of_its_superpixel() -> None:
    table = np.random.default_rng(0).random((2, 5, 3))
    labels = np.random.default_rng(1).integers(0, 5, (2, 4, 6))
    found = spread(torch.from_numpy(table), torch.from_numpy(labels)).numpy()
    expected = np.concatenate([table[0][labels], table[1][labels]]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(found, expected)


def test_the_parts_are_joined_as_published(random_network: FusionGCN) -> None:
    net, rng = random_network, np.random.default_rng(5)
    first, second = rng.integers(0, 256, (2, 32, 45, 3), dtype=np.uint8)
    images, labels, *graph = inputs_of(first, second, slic(rng.random((32, 45), np.float32), 20))
    a, b = images.split(1)
    with torch.no_grad():
        shallow, deep = net.embed(*graph)
        shallow_a, shallow_b = net.gcn_bn1(shallow[:, labels[0]].permute(0, 3, 1, 2)).split(1)
        deep_a, deep_b = net.gcn_bn2(deep[:, labels[0]].permute(0, 3, 1, 2)).split(1)
        pixels_a = net.cnn_encoder1(net.feature_extraction(a) + shallow_b)  # each gets the other's
        pixels_b = net.cnn_encoder1(net.feature_extraction(b) + shallow_a)
        cnn = net.cnn_decoder(net.fea_mix(torch.cat([pixels_a, pixels_b], 1)))
        joined = net.gcn_decoder(torch.cat([net.fea_mix(torch.cat([deep_a, deep_b], 1)), cnn], 1)) + cnn
        expected = net.out(joined)
        found = net(images, labels, *graph)
    assert expected.max() - expected.min() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_batch_of_two_pairs_gives_what_each_gives_alone(random_network: FusionGCN) -> None:
    rng = np.random.default_rng(8)
    photographs = rng.integers(0, 256, (4, 40, 56, 3), dtype=np.uint8)
    grids = [slic(rng.random((40, 56), np.float32), n) for n in (12, 30)]
    pairs = [inputs_of(photographs[i], photographs[i + 2], grids[i]) for i in range(2)]
    with torch.no_grad():
        alone = torch.cat([random_network(*pair) for pair in pairs])
        tables = [random_network.embed(*pair[2:]) for pair in pairs]
        images = torch.stack([pair[0] for pair in pairs], dim=1).reshape(4, 3, 40, 56)  # a_1, a_2, b_1, b_2
        labels = torch.cat([pairs[0][1], pairs[1][1] + tables[0][0].shape[1]])
        shallow, deep = (torch.cat(parts, dim=1) for parts in zip(*tables, strict=True))
        together = random_network.classify(images, labels, shallow, deep)
    assert tables[0][0].shape != tables[1][0].shape
    assert (alone[0] - alone[1]).abs().max() > 1e-2
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_torch_network_gives_the_stages_of_the_authors_code(stage: Stage, official_network: FusionGCN) -> None:
    images, labels, *graph = inputs_of(stage.first, stage.second, stage.dump["labels"].astype(np.int32))
    with torch.no_grad():
        shallow, deep = official_network.embed(*graph)
        np.testing.assert_allclose(shallow.numpy(), stage.both("shallow"), rtol=0, atol=1e-4)
        np.testing.assert_allclose(deep.numpy(), stage.both("deep"), rtol=0, atol=1e-4)
        probability = official_network.classify(images, labels, shallow, deep)[0, 0].numpy()
    np.testing.assert_allclose(probability, stage.dump["probability"], rtol=0, atol=1e-3)
