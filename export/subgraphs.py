"""The two subgraphs as an engine runs them: same results as the network in evaluation mode, less work.

Batch normalisation is folded into the convolutions before it (and, where it follows a gather, into the gathered table),
and Mish is written with a single exponential, since no engine of ours has a kernel for it.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fusiongcn_edge.model.fusiongcn import FusionGCN, GraphLayerNorm, Stem

Network = TypeVar("Network", bound=nn.Module)


class OneExponentialMish(nn.Module):
    """``x tanh(log(1 + e^x))`` (Misra, 2019) as ``x u / (2 - u)``, ``u = p (2 - p)``, ``p = sigmoid(x)``.

    The same function: with q = 1 - p, tanh(softplus(x)) = (1 - q^2) / (1 + q^2). It never overflows, and it does not
    cancel for x far below zero.
    """

    def forward(self, x: Tensor) -> Tensor:
        p = torch.sigmoid(x)
        u = p * (2.0 - p)
        return x * (u / (2.0 - u))


class TableNorm(nn.Module):
    """Batch normalisation in evaluation mode, applied to table rows (... x C) instead of pixels."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.register_buffer("scale", scale.detach())
        self.register_buffer("shift", (norm.bias - norm.running_mean * scale).detach())

    def forward(self, table: Tensor) -> Tensor:
        return table * self.scale + self.shift


class GcnSubgraph(nn.Module):
    """Node features and region graph to embeddings: ``features`` 2 x N x 3, ``adjacency`` and ``attention_mask`` N x N
    to ``shallow`` 2 x N x 18 and ``deep`` 2 x N x 36.
    """

    def __init__(self, network: FusionGCN) -> None:
        super().__init__()
        self.gcn_encoder = folded(network).gcn_encoder

    def forward(self, features: Tensor, adjacency: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        shallow, deep = self.gcn_encoder(features, adjacency, attention_mask)
        return shallow, deep


class PaddedGcnSubgraph(nn.Module):
    """The same for a fixed number of nodes, of which the last may be there to fill it up: nodes without an edge, not
    even to themselves. They are kept out of the graph norms' statistics, so the others' values are as without them.
    """

    def __init__(self, network: FusionGCN) -> None:
        super().__init__()
        self.encoder = folded(network).gcn_encoder

    def forward(self, features: Tensor, adjacency: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        real = (adjacency.sum(dim=1, keepdim=True) * 1e4).clamp(
            max=1.0
        )  # N x 1: any row of a node sums to more than 1e-4
        encoder = self.encoder
        shallow = encoder.mish(_norm_of(real, encoder.GConv1(features, adjacency), encoder.ln1))
        deep = encoder.mish(_norm_of(real, encoder.GATConv(shallow, attention_mask), encoder.ln2))
        return shallow, encoder.GConv2(deep, adjacency)


def _norm_of(real: Tensor, x: Tensor, norm: GraphLayerNorm) -> Tensor:
    """:class:`GraphLayerNorm` over those nodes that are real."""
    number = real.sum() * x.shape[2]
    centred = (x - (x * real).sum(dim=(1, 2), keepdim=True) / number) * real
    deviation = ((centred * centred).sum(dim=(1, 2), keepdim=True) / number).sqrt()
    return centred / (deviation + 1e-5) * norm.weight + norm.bias


class CnnSubgraph(nn.Module):
    """``images`` 2 x 3 x H x W, ``labels`` int32 H x W and the GCN's tables to ``probability`` H x W."""

    def __init__(self, network: FusionGCN) -> None:
        super().__init__()
        self.network = folded(network)
        self.norm_shallow, self.norm_deep = TableNorm(network.gcn_bn1), TableNorm(network.gcn_bn2)
        self.network.gcn_bn1 = self.network.gcn_bn2 = nn.Identity()  # type: ignore[assignment]

    def forward(self, images: Tensor, labels: Tensor, shallow: Tensor, deep: Tensor) -> Tensor:
        probability: Tensor = self.network.classify(
            images, labels.unsqueeze(0), self.norm_shallow(shallow), self.norm_deep(deep)
        )
        return probability.squeeze(0).squeeze(0)


def folded(network: Network) -> Network:
    """A copy with every batch normalisation that follows a convolution folded into it, and Mish rewritten."""
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        if isinstance(module, Stem):
            _fold_stem(module)
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                conv, norm = module[i], module[i + 1]
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[i], module[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Mish):
                setattr(module, name, OneExponentialMish())
    return network


def _fold_stem(stem: Stem) -> None:
    """The stem normalises the concatenation of three convolutions: each takes its own channels' part."""
    first = 0
    norm = stem.bn
    for name in ("conv5_5", "conv7_7", "conv9_9"):
        conv: nn.Conv2d = getattr(stem, name)
        part = nn.BatchNorm2d(conv.out_channels, eps=norm.eps).eval()
        own = slice(first, first + conv.out_channels)
        part.load_state_dict({key: t if t.ndim == 0 else t[own] for key, t in norm.state_dict().items()})
        setattr(stem, name, fuse_conv_bn_eval(conv, part))
        first += conv.out_channels
    stem.bn = nn.Identity()  # type: ignore[assignment]
