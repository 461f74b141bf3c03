"""FusionGCN as published (Ouyang et al., Expert Systems With Applications 262, 2025), in plain torch.

Read from top to bottom: the graph layers, the graph network, the blocks of the convolutional network, the whole.
Attribute names are those of the authors' checkpoint, so that it loads strictly.

Shapes in comments: P pairs in the batch, H x W pixels, M superpixels (nodes) of all pairs together.
A batch of pairs is laid out as ``[a_1 .. a_P, b_1 .. b_P]``, so that layers with shared weights see one batch of 2P.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusiongcn_edge.model.layers import MultiplierConv2d

SLOPE_GAT = 0.2  # LeakyReLU slope inside the attention (Velickovic et al., 2018)


class GCNConv(nn.Module):
    """Graph convolution of Kipf & Welling (2017): ``adjacency @ (x W^T) + b``.

    ``adjacency`` is the dense normalised matrix of :func:`fusiongcn_edge.runtime.networks.region_graph.region_graph`,
    row = target node, column = source node.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.lin = nn.Linear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        return adjacency @ self.lin(x) + self.bias


class GATConv(nn.Module):
    """Graph attention of Velickovic et al. (2018), heads concatenated, with a dense additive attention mask."""

    def __init__(self, inputs: int, outputs: int, heads: int) -> None:
        super().__init__()
        self.heads, self.outputs = heads, outputs
        self.lin = nn.Linear(inputs, heads * outputs, bias=False)
        self.att_src = nn.Parameter(torch.empty(1, heads, outputs))
        self.att_dst = nn.Parameter(torch.empty(1, heads, outputs))
        self.bias = nn.Parameter(torch.zeros(heads * outputs))
        nn.init.xavier_uniform_(self.att_src)
        nn.init.xavier_uniform_(self.att_dst)

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        two, nodes = x.shape[0], x.shape[1]
        h = self.lin(x).reshape(two, nodes, self.heads, self.outputs)  # 2, M, heads, C
        source = (h * self.att_src).sum(-1).permute(0, 2, 1).unsqueeze(2)  # 2, heads, 1, M
        target = (h * self.att_dst).sum(-1).permute(0, 2, 1).unsqueeze(3)  # 2, heads, M, 1
        logits = F.leaky_relu(source + target, SLOPE_GAT) + attention_mask  # 2, heads, M, M
        attention = torch.softmax(logits, dim=-1)
        mixed = attention @ h.permute(0, 2, 1, 3)  # 2, heads, M, C
        return mixed.permute(0, 2, 1, 3).reshape(two, nodes, self.heads * self.outputs) + self.bias


class GraphLayerNorm(nn.Module):
    """Normalises over all nodes and channels of one graph, then scales and shifts each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=(1, 2), keepdim=True)
        deviation = (centred * centred).mean(dim=(1, 2), keepdim=True).sqrt()
        return centred / (deviation + 1e-5) * self.weight + self.bias


class GraphEncoder(nn.Module):
    """The GCN subgraph: node features of both photographs to shallow (18) and deep (36) embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.GConv1 = GCNConv(3, 18)
        self.ln1 = GraphLayerNorm(18)
        self.GATConv = GATConv(18, 36, heads=3)
        self.ln2 = GraphLayerNorm(108)
        self.GConv2 = GCNConv(108, 36)
        self.mish = nn.Mish()

    def forward(self, features: Tensor, adjacency: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """``features`` 2 x N x 3; ``adjacency`` and ``attention_mask`` N x N. Gives 2 x N x 18 and 2 x N x 36."""
        shallow = self.mish(self.ln1(self.GConv1(features, adjacency)))
        deep = self.mish(self.ln2(self.GATConv(shallow, attention_mask)))
        return shallow, self.GConv2(deep, adjacency)


class SimAM(nn.Module):
    """Parameter-free attention (Yang et al., ICML 2021), one energy per pixel from statistics over the image."""

    def forward(self, x: Tensor) -> Tensor:
        squares = (x - x.mean(dim=(2, 3), keepdim=True)).square()
        variance = squares.sum(dim=(2, 3), keepdim=True) / (x.shape[2] * x.shape[3] - 1)
        return x * torch.sigmoid(squares / (4 * (variance + 1e-5)) + 0.5)


class Stem(nn.Module):
    """First look at each photograph with three kernel sizes: 3 -> 18 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv5_5 = nn.Conv2d(3, 6, 5, padding=4, dilation=2)
        self.conv7_7 = nn.Conv2d(3, 6, 7, padding=3)
        self.conv9_9 = nn.Conv2d(3, 6, 9, padding=4)
        self.bn = nn.BatchNorm2d(18)
        self.mish = nn.Mish()

    def forward(self, x: Tensor) -> Tensor:
        return self.mish(self.bn(torch.cat([self.conv5_5(x), self.conv7_7(x), self.conv9_9(x)], dim=1)))


class AttentionBlock(nn.Module):
    """Widen to 4C, weigh with SimAM, return to C, add the input; then a 3x3 convolution to ``outputs`` channels."""

    def __init__(self, channels: int, outputs: int, kernel: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.block1 = nn.Sequential(
            nn.Conv2d(channels, wide, kernel, padding=kernel // 2), nn.BatchNorm2d(wide), nn.LeakyReLU(0.01)
        )
        self.block2 = nn.Sequential(MultiplierConv2d(wide, 5, dilation=2), nn.BatchNorm2d(2 * wide), nn.ReLU())
        self.simam = SimAM()
        self.block3 = nn.Sequential(nn.Conv2d(2 * wide, channels, 1, groups=channels), nn.Mish())
        self.block4 = nn.Conv2d(channels, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.block4(x + self.block3(self.simam(self.block2(self.block1(x)))))


class FeatureMix(nn.Module):
    """Joins both photographs' 36 channels into 48; one set of weights for pixels and for graph embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.simam = SimAM()
        self.conv3x3 = nn.Sequential(nn.Conv2d(72, 48, 3, padding=1), nn.BatchNorm2d(48), nn.Mish())

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3x3(self.simam(x))


class SqueezeExcitation(nn.Module):
    """Channel attention (Hu et al., 2018) without biases: 288 -> 4 -> 288."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Sequential(nn.Linear(channels, hidden, bias=False), nn.Mish())
        self.linear2 = nn.Sequential(nn.Linear(hidden, channels, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        weight = self.linear2(self.linear1(x.mean(dim=(2, 3))))  # P, C
        return x * weight.unsqueeze(-1).unsqueeze(-1)


class GraphDecoder(nn.Module):
    """Joins the graph's 48 channels with the decoder's 24 and returns to 24."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(
            MultiplierConv2d(72, 3),
            nn.LeakyReLU(0.01),
            MultiplierConv2d(144, 5, dilation=2),
            nn.ReLU(),
        )
        self.se = SqueezeExcitation(288, 4)
        self.shuffled_conv = nn.Sequential(nn.Conv2d(288, 24, 3, padding=1, groups=24), nn.BatchNorm2d(24), nn.Mish())

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffled_conv(self.se(self.block(x)))


def spread(table: Tensor, labels: Tensor) -> Tensor:
    """Give each pixel its superpixel's row: ``table`` 2 x M x C, ``labels`` P x H x W -> 2P x C x H x W (a gather)."""
    pairs, height, width = labels.shape
    pixels = table.transpose(1, 2).index_select(2, labels.reshape(-1))  # 2, C, P*H*W
    pixels = pixels.reshape(2, table.shape[2], pairs, height, width)
    return pixels.transpose(1, 2).reshape(2 * pairs, table.shape[2], height, width)


def side_by_side(x: Tensor) -> Tensor:
    """[a_1..a_P, b_1..b_P] of 2P x C to pairs of P x 2C: ``cat([a, b], channels)``."""
    return torch.cat(x.chunk(2, dim=0), dim=1)


class FusionGCN(nn.Module):
    """Two photographs, their superpixels and their region graph to the probability that the first is in focus.

    The guide filter ``mix`` only feeds the superpixels, which are computed outside the network
    (:mod:`fusiongcn_edge.runtime.segmentation.slic`); it is kept here because the checkpoint carries it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(6, 1, 7, padding=3)
        self.gcn_encoder = GraphEncoder()
        self.gcn_bn1 = nn.BatchNorm2d(18)
        self.gcn_bn2 = nn.BatchNorm2d(36)
        self.feature_extraction = Stem()
        self.cnn_encoder1 = AttentionBlock(18, 36, kernel=5)
        self.fea_mix = FeatureMix()
        self.cnn_decoder = AttentionBlock(48, 24, kernel=3)
        self.gcn_decoder = GraphDecoder()
        self.out = nn.Sequential(nn.Conv2d(24, 1, 3, padding=1), nn.Sigmoid())

    def forward(
        self, images: Tensor, labels: Tensor, features: Tensor, adjacency: Tensor, attention_mask: Tensor
    ) -> Tensor:
        """Both subgraphs in turn; see :meth:`embed` and :meth:`classify` for the shapes."""
        shallow, deep = self.embed(features, adjacency, attention_mask)
        return self.classify(images, labels, shallow, deep)

    def embed(self, features: Tensor, adjacency: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The GCN subgraph of one pair: 2 x N x 3 node features to 2 x N x 18 and 2 x N x 36 embeddings."""
        return self.gcn_encoder(features, adjacency, attention_mask)

    def classify(self, images: Tensor, labels: Tensor, shallow: Tensor, deep: Tensor) -> Tensor:
        """The CNN subgraph.

        ``images`` 2P x 3 x H x W, RGB scaled to [-1, 1]; ``labels`` P x H x W int64, rows of the embedding tables
        ``shallow`` 2 x M x 18 and ``deep`` 2 x M x 36. Gives P x 1 x H x W in [0, 1].
        """
        shallow_pixels = self.gcn_bn1(spread(shallow, labels))  # 2P, 18, H, W
        deep_pixels = self.gcn_bn2(spread(deep, labels))  # 2P, 36, H, W
        shallow_of_other = torch.cat(shallow_pixels.chunk(2, dim=0)[::-1], dim=0)
        pixels = self.cnn_encoder1(self.feature_extraction(images) + shallow_of_other)  # 2P, 36, H, W
        cnn = self.cnn_decoder(self.fea_mix(side_by_side(pixels)))  # P, 24, H, W
        graph = self.fea_mix(side_by_side(deep_pixels))  # P, 48, H, W
        joined = self.gcn_decoder(torch.cat([graph, cnn], dim=1)) + cnn  # P, 24, H, W
        return self.out(joined)
