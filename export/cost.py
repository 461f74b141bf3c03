"""Multiply-accumulates of a network as a formula in image size and superpixel count, written into the bundle."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch.utils.flop_counter import FlopCounterMode

from fusiongcn_edge.export.subgraphs import CnnSubgraph, GcnSubgraph
from fusiongcn_edge.export.to_onnx import example_inputs
from fusiongcn_edge.model.network import FusionGCN


def macs_terms(network: FusionGCN) -> dict[str, int]:
    """MACs = per_pair + per_pixel H W + per_node N + per_node_squared N^2.

    Counted by torch (convolutions, linear layers and matrix products; two operations are one MAC; biases, activations,
    normalisation and gathers are left out) at a few sizes, from which the terms follow exactly.
    """

    def count(height: int, width: int, nodes: int) -> tuple[int, int]:
        examples = example_inputs(height, width, nodes)
        counts = []
        for module, graph in ((GcnSubgraph(network), "gcn"), (CnnSubgraph(network), "cnn")):
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                module(**examples[graph])
            counts.append(counter.get_total_flops() // 2)
        return counts[0], counts[1]

    (g1, small), (g2, large), (g3, _) = count(16, 16, 1), count(16, 32, 2), count(16, 16, 3)
    squared = Fraction(g3 - 2 * g2 + g1, 2)
    linear = Fraction(g2 - g1) - 3 * squared
    per_pixel = Fraction(large - small, 256)
    terms = {
        "per_pair": g1 - linear - squared + small - 256 * per_pixel,
        "per_pixel": per_pixel,
        "per_node": linear,
        "per_node_squared": squared,
    }
    if any(term.denominator != 1 for term in terms.values()):
        raise AssertionError(f"the cost is not a formula of this form: {terms}")
    return {name: int(term) for name, term in terms.items()}
