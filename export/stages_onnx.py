"""The CNN as a chain of stages, each of which sees only a little more of the image than it gives.

SimAM and the squeeze-and-excitation look at the whole image, but only through sums over it. Between those sums the
network is local, so each stage runs on tiles, and the sums are collected on the way. A stage's convolution reads pixels
around its own ("valid": the caller adds them, zeros outside the image), so that hardly any pixel is computed twice.

What engines like is done here, and changes no result: batch normalisation folded, a channel multiplier of two written
as two depthwise convolutions, input channels split into blocks of sixteen and a rest, the stem's kernels laid into one.
In shapes, R x W is a tile and r the reach that a stage states for an input.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusiongcn_edge.export.subgraphs import OneExponentialMish, TableNorm, folded
from fusiongcn_edge.model.fusiongcn import AttentionBlock, FusionGCN, Stem

# images between stages that are worth their memory; where it is short, the first is given up first
KEEP = ("decoder_wide", "wide", "x", "mixed", "pixels", "cnn")
BLOCK = 16  # channels that ONNX Runtime's convolutions handle at once, with AVX-512


@dataclass(frozen=True)
class Stage:
    """A stage: its graph, and how much more than its own tile it reads.

    Attributes
    ----------
    name : str
    module : nn.Module
        Called with ``inputs``, gives ``outputs``.
    inputs, outputs : list of str
    halo : dict
        Input to the number of pixels around the tile that it comes with, zeros outside the image.
    valid_crop : int
        Pixels around the tile, where the image has them, that all images come with and that are cut off the outputs.
    gather : dict
        Input that is a table to the image that says which of its rows each pixel gets; it is handed over as an image.
    """

    name: str
    module: nn.Module
    inputs: list[str]
    outputs: list[str]
    halo: dict[str, int] = field(default_factory=dict)
    valid_crop: int = 0
    gather: dict[str, str] = field(default_factory=dict)


def stages_of(network: FusionGCN) -> list[Stage]:
    """The chain for a network, in order; tables first."""
    net = folded(network)
    encoder, decoder = Block(net.cnn_encoder1), Block(net.cnn_decoder)
    join = JoinWeights(net)
    attend = ["wide", "x", "encoder_mean", "encoder_variance"]
    decoder_attend = ["decoder_wide", "mixed", "decoder_mean", "decoder_variance"]
    even_and_odd = ["joined_even", "joined_odd"]
    far = dict.fromkeys(even_and_odd, 4)
    return [
        Stage("tables", Tables(network, net), ["shallow", "deep", "counts", "patterns"], ["injected", "graph"]),
        Stage("stem", StemStage(net.feature_extraction), ["images", "labels", "injected"], ["x"], {"images": 4}),
        Stage("encoder_widen", encoder.widen, ["x"], ["wide"], {"x": 2}),
        Stage("encoder_weigh", encoder.weigh, ["wide"], ["encoder_sum", "encoder_squares"], {"wide": 4}),
        Stage("encoder_attend", encoder.attend, attend, ["attended"], {"wide": 4}),
        Stage(
            "encoder_narrow", Narrow(encoder), ["attended"], ["pixels", "pixels_sum", "pixels_squares"], {"attended": 1}
        ),
        Stage("mix", Mix(net), ["pixels", "pixels_mean", "pixels_variance"], ["mixed"], {"pixels": 1}),
        Stage("decoder_widen", decoder.widen, ["mixed"], ["decoder_wide"], {"mixed": 1}),
        Stage(
            "decoder_weigh", decoder.weigh, ["decoder_wide"], ["decoder_sum", "decoder_squares"], {"decoder_wide": 4}
        ),
        Stage("decoder_attend", decoder.attend, decoder_attend, ["decoder_attended"], {"decoder_wide": 4}),
        Stage("decoder_narrow", decoder.narrow, ["decoder_attended"], ["cnn"], {"decoder_attended": 1}),
        Stage("join_widen", JoinWiden(net), ["cnn", "places", "graph"], even_and_odd, {"cnn": 1, "places": 1}),
        Stage("join_weigh", JoinWeigh(join.spread), even_and_odd, ["join_sum"], far),
        Stage("join", Join(join), [*even_and_odd, "cnn", "join_mean"], ["joined"], far, valid_crop=1),
        Stage("out", Out(net), ["joined"], ["probability"], {"joined": 1}),
    ]


class Tables(nn.Module):
    """Everything that is the same for all pixels of a superpixel, or of a pattern of superpixels.

    ``shallow`` 2 x N x 18, ``deep`` 2 x N x 36, ``counts`` N (pixels of each superpixel), ``patterns`` int32 P x 9
    (superpixels around a pixel, row by row; N outside the image) to ``injected`` N x 36 (what each photograph's
    stem gets from the other's embedding) and ``graph`` (P + 1) x 48 (the graph branch of ``fea_mix``; last row zeros).
    """

    def __init__(self, network: FusionGCN, net: FusionGCN) -> None:
        super().__init__()
        self.norm_shallow, self.norm_deep = TableNorm(network.gcn_bn1), TableNorm(network.gcn_bn2)
        weight, self.bias = weights(net.fea_mix.conv3x3[0])
        self.taps = nn.Parameter(weight.permute(2, 3, 1, 0).reshape(9, 72, 48).clone())
        self.mish = OneExponentialMish()

    def forward(self, shallow: Tensor, deep: Tensor, counts: Tensor, patterns: Tensor) -> tuple[Tensor, Tensor]:
        normed = self.norm_shallow(shallow)
        injected = torch.cat([normed[1], normed[0]], dim=1)
        normed = self.norm_deep(deep)
        nodes = torch.cat([normed[0], normed[1]], dim=1)  # N, 72
        share = counts.unsqueeze(1)
        number = counts.sum()
        squares = (nodes - (nodes * share).sum(0) / number).square()
        variance = (squares * share).sum(0) / (number - 1)
        weighed = F.pad(nodes * torch.sigmoid(squares / (4 * (variance + 1e-5)) + 0.5), (0, 0, 0, 1))  # N + 1, 72
        around = self.bias
        for tap in range(9):
            around = around + (weighed @ self.taps[tap]).index_select(0, patterns[:, tap])
        return injected, F.pad(self.mish(around), (0, 0, 0, 1))


class StemStage(nn.Module):
    """``images`` 2 x 3 x (R+2r) x (W+2r), ``labels`` int32 R x W, ``injected`` to ``x`` 2 x 18 x R x W."""

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        self.conv = merged_stem(stem)
        self.mish = OneExponentialMish()

    def forward(self, images: Tensor, labels: Tensor, injected: Tensor) -> Tensor:
        rows, width = labels.shape
        other = injected.index_select(0, labels.reshape(-1)).transpose(0, 1).reshape(2, 18, rows, width)
        x: Tensor = self.mish(self.conv(images)) + other
        return x


def merged_stem(stem: Stem) -> nn.Conv2d:
    """The stem's three convolutions as one of 9 x 9."""
    weight, bias = torch.zeros(18, 3, 9, 9), torch.zeros(18)
    for i, conv in enumerate((stem.conv5_5, stem.conv7_7, stem.conv9_9)):
        own, step = slice(6 * i, 6 * i + 6), conv.dilation[0]
        part, bias[own] = weights(conv)
        edge = 4 - step * (part.shape[3] // 2)
        weight[own, :, edge : 9 - edge : step, edge : 9 - edge : step] = part
    return convolution(weight, bias)


class Multiplier(nn.Module):
    """A depthwise convolution with two outputs a channel, as two depthwise convolutions: even and odd outputs.

    ``order`` says which channel of the original each input channel is.
    """

    def __init__(self, original: nn.Module, order: Tensor, *, dilation: int) -> None:
        super().__init__()
        weight, bias = weights(original)
        self.parts = nn.ModuleList(
            convolution(weight[2 * order + part], bias[2 * order + part], dilation=dilation, groups=len(order))
            for part in (0, 1)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        return [part(x) for part in self.parts]


class SplitConv(nn.Module):
    """A convolution with input channels in whole blocks, plus one of the rest: engines compute in blocks of sixteen."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.whole = weight.shape[1] // BLOCK * BLOCK
        self.conv = convolution(weight[:, : self.whole], bias)
        self.rest = None
        if self.whole < weight.shape[1]:
            self.rest = convolution(weight[:, self.whole :], torch.zeros_like(bias))

    def forward(self, x: Tensor) -> Tensor:
        if self.rest is None:
            return self.conv(x)  # type: ignore[no-any-return]
        return self.conv(x[:, : self.whole]) + self.rest(x[:, self.whole :])  # type: ignore[no-any-return]


class Block:
    """The stages of an :class:`AttentionBlock`."""

    def __init__(self, block: AttentionBlock) -> None:
        own = AttentionWeights(block)
        self.widen = nn.Sequential(SplitConv(*own.widen), nn.LeakyReLU(0.01))
        self.weigh = Weigh(own.spread)
        self.attend = Attend(own.spread, own.shares, own.bias)
        self.narrow = SplitConv(*weights(block.block4))


class AttentionWeights:
    """Weights of an :class:`AttentionBlock` for a :class:`Multiplier`, in the order that joins its outputs.

    Each group joins four channels, that is two of the first convolution's: first come the first ones of all groups.
    """

    def __init__(self, block: AttentionBlock) -> None:
        weight, bias = weights(block.block1[0])
        order = torch.cat([torch.arange(0, len(bias), 2), torch.arange(1, len(bias), 2)])
        self.widen = weight[order], bias[order]
        self.spread = Multiplier(block.block2[0], order, dilation=2)
        shares, self.bias = weights(block.block3[0])
        # its even outputs are the first and third of each four, its odd ones the others
        self.shares = [shares[:, (part, part + 2), 0, 0].T.reshape(-1) for part in (0, 1)]


class Weigh(nn.Module):
    """``wide`` n x 2C x (R+2r) x (W+2r) to sums over the tile of what SimAM looks at, n x 4C, and of its squares."""

    def __init__(self, spread: Multiplier) -> None:
        super().__init__()
        self.spread = spread

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parts = [F.relu(part) for part in self.spread(x)]
        return torch.cat([sums(part) for part in parts], 1), torch.cat([sums(part * part) for part in parts], 1)


class Attend(nn.Module):
    """``wide`` n x 2C x (R+2r) x (W+2r) and the block's input n x C x R x W to SimAM, joined, added to the input."""

    def __init__(self, spread: Multiplier, shares: list[Tensor], bias: Tensor) -> None:
        super().__init__()
        self.spread = spread
        self.shares = nn.ParameterList([nn.Parameter(part.reshape(1, -1, 1, 1).clone()) for part in shares])
        self.bias = nn.Parameter(bias[None, :, None, None].clone())
        self.mish = OneExponentialMish()

    def forward(self, wide: Tensor, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        channels = wide.shape[1]
        joined = None
        for part, (weighed, share) in enumerate(zip(self.spread(wide), self.shares, strict=True)):
            own = slice(part * channels, (part + 1) * channels)
            term = simam(F.relu(weighed), mean[:, own], variance[:, own]) * share
            joined = term if joined is None else joined + term
        assert joined is not None
        half = channels // 2
        y: Tensor = self.mish(joined[:, :half] + joined[:, half:] + self.bias)
        return x + y


class Narrow(nn.Module):
    """``attended`` 2 x C x (R+2r) x (W+2r) to ``pixels`` 2 x 36 x R x W and their sums over the tile."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.narrow = block.narrow

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = self.narrow(x)
        return y, sums(y), sums(y * y)


class Mix(nn.Module):
    """``pixels`` 2 x 36 x (R+2r) x (W+2r) to ``mixed`` 1 x 48 x R x W."""

    def __init__(self, net: FusionGCN) -> None:
        super().__init__()
        self.conv = convolution(*weights(net.fea_mix.conv3x3[0]))
        self.mish = OneExponentialMish()

    def forward(self, pixels: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        both = simam(pixels, mean, variance).reshape(1, 72, pixels.shape[2], pixels.shape[3])
        mixed: Tensor = self.mish(self.conv(both))
        return mixed


class JoinWiden(nn.Module):
    """``cnn`` 1 x 24 x (R+2r) x (W+2r) and ``places`` int32 (R+2r) x (W+2r), rows of ``graph``, to the even and odd
    outputs of the first multiplier, 1 x 72 x R x W each.
    """

    def __init__(self, net: FusionGCN) -> None:
        super().__init__()
        self.spread = Multiplier(net.gcn_decoder.block[0], torch.arange(72), dilation=1)

    def forward(self, cnn: Tensor, places: Tensor, graph: Tensor) -> list[Tensor]:
        rows, width = places.shape
        pixels = graph.index_select(0, places.reshape(-1)).transpose(0, 1).reshape(1, 48, rows, width)
        return [F.leaky_relu(part, 0.01) for part in self.spread(torch.cat([pixels, cnn], dim=1))]


class JoinWeigh(nn.Module):
    """Those two, (R+2r) x (W+2r), to the sums over the tile of what the squeeze-and-excitation looks at, 1 x 288."""

    def __init__(self, join: list[Multiplier]) -> None:
        super().__init__()
        self.join = nn.ModuleList(join)

    def forward(self, even: Tensor, odd: Tensor) -> Tensor:
        parts = [F.relu(y) for spread, part in zip(self.join, (even, odd), strict=True) for y in spread(part)]
        return torch.cat([sums(part) for part in parts], 1)


class JoinWeights:
    """Weights of the graph decoder after its first multiplier, whose even and odd outputs are 72 channels each.

    ``spread``: the second multiplier for either. It gives the 288 channels in four parts of 72, in which the other
    weights follow: channels 0, 4, 8 …, then 1, 5, 9 …, and so on.
    """

    def __init__(self, net: FusionGCN) -> None:
        decoder = net.gcn_decoder
        self.spread = [Multiplier(decoder.block[2], 2 * torch.arange(72) + part, dilation=2) for part in (0, 1)]
        order = torch.cat([4 * torch.arange(72) + i for i in range(4)])
        weight, self.bias = weights(decoder.shuffled_conv[0])  # its group g joins channels 12g to 12g + 11
        self.smooth = weight.reshape(288, 1, 3, 3)[order].chunk(4)
        self.members = (order[:, None] // 12 == torch.arange(24)).float()  # 288 x 24
        (squeeze,), (excite,) = (list(part.parameters()) for part in (decoder.se.linear1, decoder.se.linear2))
        self.squeeze, self.excite = squeeze[:, order].clone(), excite[order].clone()


class Join(nn.Module):
    """The same two, ``cnn`` 1 x 24 x R x W and the mean 1 x 288 x 1 x 1 to ``joined`` 1 x 24 x R x W."""

    def __init__(self, join: JoinWeights) -> None:
        super().__init__()
        self.join = nn.ModuleList(join.spread)
        self.bias = join.bias
        self.smooth = nn.ModuleList(convolution(part, torch.zeros(72), padding=1, groups=72) for part in join.smooth)
        self.members = nn.Parameter(join.members)
        self.squeeze, self.excite = nn.Parameter(join.squeeze), nn.Parameter(join.excite)
        self.mish = OneExponentialMish()

    def forward(self, even: Tensor, odd: Tensor, cnn: Tensor, mean: Tensor) -> Tensor:
        importance = torch.sigmoid(self.excite @ self.mish(self.squeeze @ mean.reshape(288, 1)))  # 288, 1
        shares = (self.members * importance).chunk(4)
        rows, width = cnn.shape[2:]
        joined = self.bias
        parts = [F.relu(y) for spread, part in zip(self.join, (even, odd), strict=True) for y in spread(part)]
        for part, smooth, share in zip(parts, self.smooth, shares, strict=True):
            joined = joined + smooth(part).permute(0, 2, 3, 1).reshape(rows * width, 72) @ share
        y: Tensor = self.mish(joined).T.reshape(1, 24, rows, width) + cnn
        return y


class Out(nn.Module):
    """``joined`` 1 x 24 x (R+2r) x (W+2r) to the probability R x W."""

    def __init__(self, net: FusionGCN) -> None:
        super().__init__()
        self.conv = convolution(*weights(net.out[0]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.conv(x))[0, 0]


def simam(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """SimAM with given statistics n x C x 1 x 1: batch normalisation has the same form, and is one operator."""
    flat = x.reshape(1, -1, x.shape[2], x.shape[3])
    energy = F.batch_norm(flat, mean.reshape(-1), 4 * variance.reshape(-1), eps=4e-5)
    return (flat * torch.sigmoid(energy * energy + 0.5)).reshape(x.shape)


def sums(x: Tensor) -> Tensor:
    """n x C x R x W to n x C: by eights through a convolution first, which engines do without leaving their layout."""
    eights = F.conv2d(x, torch.ones(x.shape[1], 1, 1, 8), None, (1, 8), (0, 7), groups=x.shape[1])
    return eights.sum((2, 3))


def weights(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution."""
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    return conv.weight, conv.bias


def convolution(weight: Tensor, bias: Tensor, *, padding: int = 0, dilation: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution with given weights."""
    height, width = weight.shape[2:]
    inputs = weight.shape[1] * groups
    conv = nn.Conv2d(inputs, len(weight), (height, width), padding=padding, dilation=dilation, groups=groups)
    conv.weight, conv.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return conv
