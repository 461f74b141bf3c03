"""FusionGCN-Lite: the published network's idea for small devices, in plain torch. Read from top to bottom.

Everything is computed twice with the same weights, once for (A, B) and once for (B, A): the first half of a batch holds
what speaks for A, the second half what speaks for B. The decision is an odd function of their difference, so exchanging
the photographs flips it, and identical photographs give exactly one half.

Shapes in comments: P pairs in the batch, H x W pixels (multiples of 8), M superpixels of all pairs together. "2P" is
laid out as ``[ab_1 .. ab_P, ba_1 .. ba_P]``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusiongcn_edge.model.fusiongcn import spread
from fusiongcn_edge.runtime.networks.lite_inputs import NODE_FEATURES

HALF, QUARTER, EIGHTH = 12, 24, 32  # channels at half, quarter and an eighth of the resolution
NODES, MESSAGE, HOPS = 24, 12, 4  # channels, those sent to neighbours, and layers of the graph network


def both_orders(x: Tensor, dim: int) -> Tensor:
    """[a_1..a_P, b_1..b_P] of 2P x C to [ab.., ba..]: each with the other one's channels behind its own, 2P x 2C."""
    a, b = x.chunk(2, dim=0)
    return torch.cat([torch.cat([a, b], dim=dim), torch.cat([b, a], dim=dim)], dim=0)


class ContextLayer(nn.Module):
    """What a superpixel knows, corrected by what its neighbours tell: ``relu6(x + W [x, affinity V x])``."""

    def __init__(self) -> None:
        super().__init__()
        self.tell = nn.Linear(NODES, MESSAGE, bias=False)
        self.mix = nn.Linear(NODES + MESSAGE, NODES)

    def forward(self, x: Tensor, affinity: Tensor) -> Tensor:
        return F.relu6(x + self.mix(torch.cat([x, affinity @ self.tell(x)], dim=-1)))


class ContextGraph(nn.Module):
    """The GCN subgraph: ``features`` 2 x M x 5 and ``affinity`` M x M to the context 2 x M x QUARTER."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(2 * NODE_FEATURES, NODES)
        self.layers = nn.ModuleList(ContextLayer() for _ in range(HOPS))
        self.out = nn.Linear(NODES, QUARTER)

    def forward(self, features: Tensor, affinity: Tensor) -> Tensor:
        x = F.relu6(self.embed(both_orders(features, dim=-1)))
        for layer in self.layers:
            x = layer(x, affinity)
        return self.out(x)


def separable(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution as a depthwise and a pointwise one; no activation at the end."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, kernel, stride, padding=kernel // 2, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU6(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Block(nn.Module):
    """``relu6(x + separable(x))``."""

    def __init__(self, channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.correct = separable(channels, channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(x + self.correct(x))


class PixelNetwork(nn.Module):
    """The CNN subgraph: down to an eighth of the resolution and up again, the graph's context joining at a quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, HALF, 4, 2, padding=1, bias=False), nn.BatchNorm2d(HALF), nn.ReLU6())
        self.to_quarter = separable(HALF, QUARTER, stride=2)
        self.quarter_down = Block(QUARTER)
        self.to_eighth = separable(QUARTER, EIGHTH, stride=2)
        self.eighth = nn.Sequential(Block(EIGHTH, 5), Block(EIGHTH, 5))
        self.from_eighth = nn.Sequential(nn.Conv2d(EIGHTH, QUARTER, 1, bias=False), nn.BatchNorm2d(QUARTER))
        self.quarter_up = Block(QUARTER)
        self.from_quarter = nn.Sequential(nn.Conv2d(QUARTER, HALF, 1, bias=False), nn.BatchNorm2d(HALF))
        self.half_up = Block(HALF)
        self.out = nn.Conv2d(HALF, 4, 3, padding=1, bias=False)

    def forward(self, luminance: Tensor, context: Tensor) -> Tensor:
        """``luminance`` 2P x 1 x H x W and ``context`` 2P x QUARTER x H/4 x W/4 to the probability P x 1 x H x W."""
        return F.pixel_shuffle(self.quads(both_orders(luminance, dim=1), context), 2)

    def quads(self, luminance: Tensor, context: Tensor) -> Tensor:
        """The same for ``luminance`` in both orders, 2P x 2 x H x W; 2 x 2 pixels as channels, P x 4 x H/2 x W/2."""
        half = self.stem(luminance)  # 2P, HALF, H/2, W/2
        quarter = self.quarter_down(F.relu6(self.to_quarter(half) + context))  # 2P, QUARTER, H/4, W/4
        eighth = self.eighth(F.relu6(self.to_eighth(quarter)))  # 2P, EIGHTH, H/8, W/8
        quarter = self.quarter_up(F.relu6(quarter + _doubled(self.from_eighth(eighth))))
        half = self.half_up(F.relu6(half + _doubled(self.from_quarter(quarter))))
        for_a, for_b = half.chunk(2, dim=0)
        return torch.sigmoid(self.out(for_a - for_b))  # no bias, so that it stays odd


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class FusionGCNLite(nn.Module):
    """Two photographs' luminance, their superpixels and graph to the probability that the first is in focus."""

    def __init__(self) -> None:
        super().__init__()
        self.gcn = ContextGraph()
        self.cnn = PixelNetwork()

    def embed(self, features: Tensor, affinity: Tensor) -> tuple[Tensor]:
        """The GCN subgraph, see :class:`ContextGraph`."""
        return (self.gcn(features, affinity),)

    def classify(self, luminance: Tensor, labels: Tensor, context: Tensor) -> Tensor:
        """The CNN subgraph, with ``labels`` P x H/4 x W/4 int64, rows of ``context`` 2 x M x QUARTER."""
        probability: Tensor = self.cnn(luminance, spread(context, labels))
        return probability
