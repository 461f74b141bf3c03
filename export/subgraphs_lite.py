"""FusionGCN-Lite's two subgraphs as an engine runs them: the network's results, batch normalisation folded.

The runtime gives the CNN both orders of the photographs and takes the four pixels of each 2 x 2 block as channels, so
that no graph has to move data about: neither is anything that an int8 kernel computes.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from fusiongcn_edge.export.subgraphs import folded
from fusiongcn_edge.model.fusiongcn_lite import FusionGCNLite, PixelNetwork

REACH = 51  # pixels around a window on the grid of 8 that its probability depends on
MARGIN = 56  # the same in whole steps of the grid


class LiteGcnSubgraph(nn.Module):
    """``features`` 2 x N x 5 and ``affinity`` N x N to ``context`` 2 x N x 24.

    Superpixels that only fill a graph up have no neighbours, so they change no other's context.
    """

    def __init__(self, network: FusionGCNLite) -> None:
        super().__init__()
        self.gcn = copy.deepcopy(network.gcn).eval()

    def forward(self, features: Tensor, affinity: Tensor) -> Tensor:
        context: Tensor = self.gcn(features, affinity.unsqueeze(0))
        return context


class LiteCnnSubgraph(nn.Module):
    """``luminance`` 2 x 2 x H x W (A, B; B, A) and ``context`` 2 x 24 x H/4 x W/4 to ``probability`` 1 x 4 x H/2 x W/2.

    ``channels_last``: all of them n x H x W x C.
    """

    def __init__(self, network: FusionGCNLite, channels_last: bool = False) -> None:
        super().__init__()
        self.cnn: PixelNetwork = folded(network).cnn
        self.channels_last = channels_last

    def forward(self, luminance: Tensor, context: Tensor) -> Tensor:
        if not self.channels_last:
            return self.cnn.quads(luminance, context)
        return self.cnn.quads(luminance.permute(0, 3, 1, 2), context.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
