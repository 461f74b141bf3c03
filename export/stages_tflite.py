"""The CNN's stages as LiteRT runs them well: the chain of ``export/stages_onnx.py`` with fewer cuts, written channels
last.

What differs from the stages for ONNX Runtime: only what is worth keeping lies between two stages, since TFLite copies
all that goes in and comes out; images are n x R x W x C, as LiteRT's kernels want them; a table is
spread to pixels before the graph, since gathering has no fast kernel; and because a graph has one size, a tile may
reach beyond the image: ``inside`` (1 x R x W x 1) is 1 in the image and 0 outside, and what must not count is
multiplied by it. In shapes, R x W is a tile and r the reach that a stage states for an input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusiongcn_edge.export.stages_onnx import (
    AttentionWeights,
    JoinWeights,
    Multiplier,
    Stage,
    convolution,
    merged_stem,
    weights,
)
from fusiongcn_edge.export.subgraphs import OneExponentialMish, TableNorm, folded
from fusiongcn_edge.model.fusiongcn import AttentionBlock, FusionGCN


def litert_stages_of(network: FusionGCN) -> list[Stage]:
    """The chain for a network, in order; tables first."""
    net = folded(network)
    encoder, decoder = Block(net.cnn_encoder1), Block(net.cnn_decoder)
    attend = ["wide", "x", "encoder_mean", "encoder_variance", "inside"]
    decoder_attend = ["decoder_wide", "mixed", "decoder_mean", "decoder_variance", "inside"]
    pixels = ["pixels", "pixels_sum", "pixels_squares"]
    graph = {"graph": "places"}
    return [
        Stage("tables", Tables(network, net), ["shallow", "deep", "counts", "patterns"], ["injected", "graph"]),
        Stage("stem", StemStage(net), ["images", "injected"], ["x"], {"images": 4}, gather={"injected": "labels"}),
        Stage("encoder_widen", encoder.widen, ["x"], ["wide"], {"x": 2}),
        Stage("encoder_weigh", encoder.weigh, ["wide", "inside"], ["encoder_sum", "encoder_squares"], {"wide": 4}),
        Stage("encoder_attend", Pixels(encoder.attend), attend, pixels, {"wide": 5, "x": 1, "inside": 1}),
        Stage("mix", Mix(net), ["pixels", "pixels_mean", "pixels_variance"], ["mixed"], {"pixels": 1}),
        Stage("decoder_widen", decoder.widen, ["mixed"], ["decoder_wide"], {"mixed": 1}),
        Stage(
            "decoder_weigh",
            decoder.weigh,
            ["decoder_wide", "inside"],
            ["decoder_sum", "decoder_squares"],
            {"decoder_wide": 4},
        ),
        Stage("decoder_attend", decoder.attend, decoder_attend, ["cnn"], {"decoder_wide": 5, "mixed": 1, "inside": 1}),
        Stage(
            "join_weigh",
            JoinWeigh(net),
            ["cnn", "graph", "inside"],
            ["join_sum"],
            {"cnn": 5, "graph": 5, "inside": 4},
            gather=graph,
        ),
        Stage(
            "join",
            Join(net),
            ["cnn", "graph", "join_mean", "inside"],
            ["probability"],
            {"cnn": 7, "graph": 7, "inside": 6},
            gather=graph,
        ),
    ]


class ChannelsLast(nn.Module):
    """A convolution of n x R x W x C; the exporter drops the transpositions."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        assert isinstance(conv, nn.Conv2d)
        self.conv = convolution(*weights(conv), dilation=conv.dilation[0], groups=conv.groups)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x.permute(0, 3, 1, 2))
        return y.permute(0, 2, 3, 1)


class Spread(nn.Module):
    """The even and odd outputs of a :class:`Multiplier`."""

    def __init__(self, multiplier: Multiplier) -> None:
        super().__init__()
        self.parts = nn.ModuleList(ChannelsLast(part) for part in multiplier.parts)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [part(x) for part in self.parts]


def cut(x: Tensor, pixels: int) -> Tensor:
    """n x R x W x C without so many pixels at each edge."""
    return x[:, pixels : x.shape[1] - pixels, pixels : x.shape[2] - pixels]


class Tables(nn.Module):
    """As :class:`fusiongcn_edge.export.stages_onnx.Tables`, for tables with rows that no pixel has (``counts`` 0)."""

    def __init__(self, network: FusionGCN, net: FusionGCN) -> None:
        super().__init__()
        self.norm_shallow, self.norm_deep = TableNorm(network.gcn_bn1), TableNorm(network.gcn_bn2)
        weight, self.bias = weights(net.fea_mix.conv3x3[0])
        self.taps = nn.Parameter(weight.permute(1, 2, 3, 0).reshape(72, 9 * 48).clone())
        self.mish = OneExponentialMish()

    def forward(self, shallow: Tensor, deep: Tensor, counts: Tensor, patterns: Tensor) -> tuple[Tensor, Tensor]:
        injected, nodes = self.rows(shallow, deep)
        share, number = counts.unsqueeze(1), counts.sum()
        mean = (nodes * share).sum(0) / number
        variance = ((nodes - mean).square() * share).sum(0) / (number - 1)
        return injected, F.pad(self.around(nodes, mean, variance, patterns), (0, 0, 0, 1))

    def rows(self, shallow: Tensor, deep: Tensor) -> tuple[Tensor, Tensor]:
        """``injected`` N x 36, and N x 72 for the graph branch."""
        shallow, deep = self.norm_shallow(shallow), self.norm_deep(deep)
        return torch.cat([shallow[1], shallow[0]], dim=1), torch.cat([deep[0], deep[1]], dim=1)

    def around(self, nodes: Tensor, mean: Tensor, variance: Tensor, patterns: Tensor) -> Tensor:
        """The graph branch, P x 48, for P patterns."""
        weighed = F.pad(simam(nodes, mean, variance), (0, 0, 0, 1))  # N + 1, 72
        rows = (weighed @ self.taps).reshape(-1, 48)  # nine for each node
        tapped = F.embedding((patterns * 9 + torch.arange(9, dtype=torch.int32)).reshape(-1), rows)
        found: Tensor = self.mish(tapped.reshape(-1, 9, 48).sum(1) + self.bias)
        return found


class StemStage(nn.Module):
    """``images`` 2 x (R+2r) x (W+2r) x 3 and ``injected`` 1 x R x W x 36 to ``x`` 2 x R x W x 18."""

    def __init__(self, net: FusionGCN) -> None:
        super().__init__()
        self.conv = ChannelsLast(merged_stem(net.feature_extraction))
        self.mish = OneExponentialMish()

    def forward(self, images: Tensor, injected: Tensor) -> Tensor:
        x: Tensor = self.mish(self.conv(images)) + torch.cat([injected[..., :18], injected[..., 18:]], dim=0)
        return x


class Block:
    """The stages of an :class:`AttentionBlock`."""

    def __init__(self, block: AttentionBlock) -> None:
        own = AttentionWeights(block)
        self.widen = nn.Sequential(ChannelsLast(convolution(*own.widen)), nn.LeakyReLU(0.01))
        spread = Spread(own.spread)
        self.weigh = Weigh(spread)
        self.attend = Attend(spread, own.shares, own.bias, ChannelsLast(block.block4))


class Weigh(nn.Module):
    """``wide`` n x (R+2r) x (W+2r) x 2C to sums over the tile of what SimAM looks at, n x 4C, and of its squares."""

    def __init__(self, spread: Spread) -> None:
        super().__init__()
        self.spread = spread

    def forward(self, x: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        parts = [F.relu(part) * inside for part in self.spread(x)]
        return torch.cat([sums(part) for part in parts], 1), torch.cat([sums(part * part) for part in parts], 1)


class Attend(nn.Module):
    """``wide`` n x (R+2r) x (W+2r) x 2C and the block's input, C channels, to SimAM, joined, added to the input; then
    to the block's output n x R x W x C'.
    """

    def __init__(self, spread: Spread, shares: list[Tensor], bias: Tensor, narrow: ChannelsLast) -> None:
        super().__init__()
        self.spread = spread
        self.shares = nn.ParameterList([nn.Parameter(part.clone()) for part in shares])
        self.bias = nn.Parameter(bias.clone())
        self.mish = OneExponentialMish()
        self.narrow = narrow

    def forward(self, wide: Tensor, x: Tensor, mean: Tensor, variance: Tensor, inside: Tensor) -> Tensor:
        channels = wide.shape[3]
        joined = []
        for part, (weighed, share) in enumerate(zip(self.spread(wide), self.shares, strict=True)):
            own = slice(part * channels, (part + 1) * channels)
            joined.append(simam(F.relu(weighed), mean[..., own], variance[..., own]) * share)
        both, half = joined[0] + joined[1], channels // 2
        y = x + self.mish(both[..., :half] + both[..., half:] + self.bias)
        narrowed: Tensor = self.narrow(y * inside)
        return narrowed


class Pixels(nn.Module):
    """The encoder's output ``pixels`` 2 x R x W x 36, and its sums over the tile."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend = attend

    def forward(
        self, wide: Tensor, x: Tensor, mean: Tensor, variance: Tensor, inside: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        y = self.attend(wide, x, mean, variance, inside)
        counted = y * cut(inside, 1)
        return y, sums(counted), sums(counted * counted)


class Mix(nn.Module):
    """``pixels`` 2 x (R+2r) x (W+2r) x 36 to ``mixed`` 1 x R x W x 48."""

    def __init__(self, net: FusionGCN) -> None:
        super().__init__()
        self.conv = ChannelsLast(net.fea_mix.conv3x3[0])
        self.mish = OneExponentialMish()

    def forward(self, pixels: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        weighed = simam(pixels, mean, variance)
        mixed: Tensor = self.mish(self.conv(torch.cat([weighed[:1], weighed[1:]], dim=3)))
        return mixed


class Widen(nn.Module):
    """``cnn`` 1 x (R+2r) x (W+2r) x 24 and ``graph``, x 48, to what the squeeze-and-excitation weighs: four parts of 72
    channels. Both multipliers are needed on more pixels than the tile has; ``inside`` has one pixel less around it.
    """

    def __init__(self, net: FusionGCN, join: JoinWeights) -> None:
        super().__init__()
        self.first = Spread(Multiplier(net.gcn_decoder.block[0], torch.arange(72), dilation=1))
        self.second = nn.ModuleList(Spread(multiplier) for multiplier in join.spread)

    def forward(self, cnn: Tensor, graph: Tensor, inside: Tensor) -> list[Tensor]:
        parts = [F.leaky_relu(part, 0.01) * inside for part in self.first(torch.cat([graph, cnn], dim=3))]
        return [F.relu(y) for spread, part in zip(self.second, parts, strict=True) for y in spread(part)]


class JoinWeigh(nn.Module):
    """``cnn`` and ``graph`` to the sums over the tile of what the squeeze-and-excitation looks at, 1 x 288."""

    def __init__(self, net: FusionGCN) -> None:
        super().__init__()
        self.widen = Widen(net, JoinWeights(net))

    def forward(self, cnn: Tensor, graph: Tensor, inside: Tensor) -> Tensor:
        own = cut(inside, 4)
        return torch.cat([sums(part * own) for part in self.widen(cnn, graph, inside)], 1)


class Join(nn.Module):
    """``cnn``, ``graph`` and the mean 1 x 1 x 1 x 288 to the probability R x W."""

    def __init__(self, net: FusionGCN) -> None:
        super().__init__()
        join = JoinWeights(net)
        self.widen = Widen(net, join)
        self.smooth = nn.ModuleList(ChannelsLast(convolution(part, torch.zeros(72), groups=72)) for part in join.smooth)
        members = join.members.T[:, :, None, None]  # 24 x 288 x 1 x 1
        biases = [join.bias, *[torch.zeros(24)] * 3]
        self.collect = nn.ModuleList(
            ChannelsLast(convolution(*part)) for part in zip(members.chunk(4, dim=1), biases, strict=True)
        )
        self.squeeze, self.excite = nn.Parameter(join.squeeze), nn.Parameter(join.excite)
        self.mish = OneExponentialMish()
        self.out = ChannelsLast(net.out[0])

    def forward(self, cnn: Tensor, graph: Tensor, mean: Tensor, inside: Tensor) -> Tensor:
        squeezed = self.mish(F.linear(mean.reshape(1, 288), self.squeeze))
        importance = torch.sigmoid(F.linear(squeezed, self.excite)).reshape(1, 1, 1, 288).chunk(4, dim=3)
        near = cut(inside, 4)
        terms = [
            collect(smooth(part * near) * share)
            for part, share, smooth, collect in zip(
                self.widen(cnn, graph, inside), importance, self.smooth, self.collect, strict=True
            )
        ]
        joined = self.mish(terms[0] + terms[1] + terms[2] + terms[3]) + cut(cnn, 6)
        return torch.sigmoid(self.out(joined * cut(inside, 5)))[0, :, :, 0]


class WholeCnn(nn.Module):
    """The chain in one graph: ``images`` 2 x H x W x 3, ``labels`` int32 H x W and the GCN's tables to ``probability``
    H x W.
    """

    def __init__(self, network: FusionGCN) -> None:
        super().__init__()
        tables, *self.chain = litert_stages_of(network)
        assert isinstance(tables.module, Tables)
        self.tables = tables.module
        self.stages = nn.ModuleList(stage.module for stage in self.chain)

    def forward(self, images: Tensor, labels: Tensor, shallow: Tensor, deep: Tensor) -> Tensor:
        inside = (labels >= 0).float()[None, :, :, None]  # everywhere, but no constant of the photograph's size
        known = {"images": images, "inside": inside, **self.spread(labels, shallow, deep)}
        pixels = labels.shape[0] * labels.shape[1]
        for stage in self.chain:
            inputs = [F.pad(known[name], (0, 0, *[stage.halo.get(name, 0)] * 4)) for name in stage.inputs]
            outputs = stage.module(*inputs)
            known.update(zip(stage.outputs, [outputs] if len(stage.outputs) == 1 else outputs, strict=True))
            for name in stage.outputs:
                if name.endswith("_sum"):
                    base, mean = name.removesuffix("_sum"), known[name] / pixels
                    known[f"{base}_mean"] = mean[:, None, None, :]
                    if f"{base}_squares" in known:
                        variance = F.relu(known[f"{base}_squares"] / pixels - mean * mean) * (pixels / (pixels - 1))
                        known[f"{base}_variance"] = variance[:, None, None, :]
        return known["probability"]

    def spread(self, labels: Tensor, shallow: Tensor, deep: Tensor) -> dict[str, Tensor]:
        """``injected`` 1 x H x W x 36 and ``graph`` 1 x H x W x 48, one pixel at a time."""
        height, width = labels.shape
        injected, nodes = self.tables.rows(shallow, deep)
        # one look-up for both: litert-torch 0.10 takes two with the same indices for the same
        own = F.embedding(labels.reshape(-1), torch.cat([nodes, injected], dim=1))
        mean = own[:, :72].mean(0)
        variance = (own[:, :72] - mean).square().mean(0) * (len(own) / (len(own) - 1))
        framed = F.pad(labels, (1, 1, 1, 1), value=len(nodes))
        patterns = [framed[tap // 3 : tap // 3 + height, tap % 3 : tap % 3 + width].reshape(-1, 1) for tap in range(9)]
        return {
            "injected": own[:, 72:].reshape(1, height, width, 36),
            "graph": self.tables.around(nodes, mean, variance, torch.cat(patterns, 1)).reshape(1, height, width, 48),
        }


def simam(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """SimAM with given statistics; channels last."""
    return x * torch.sigmoid((x - mean).square() * (1 / (4 * (variance + 1e-5))) + 0.5)


def sums(x: Tensor) -> Tensor:
    """n x R x W x C to n x C; a mean is what XNNPACK has a kernel for."""
    return x.mean((1, 2)) * (x.shape[1] * x.shape[2])
