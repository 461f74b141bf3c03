"""Multiply-accumulates of a network as a formula in image size and superpixel count, written into the bundle."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fusiongcn_edge.export.dummy_inputs import example_inputs, lite_inputs
from fusiongcn_edge.export.subgraphs import CnnSubgraph, GcnSubgraph
from fusiongcn_edge.export.subgraphs_lite import LiteCnnSubgraph, LiteGcnSubgraph
from fusiongcn_edge.model.fusiongcn import FusionGCN
from fusiongcn_edge.model.fusiongcn_lite import FusionGCNLite

SIDE = 64  # pixels of the smallest square that is counted


def macs_terms(network: nn.Module) -> dict[str, float]:
    """MACs = per_pair + per_pixel H W + per_node N + per_node_squared N^2.

    Counted by torch (convolutions, linear layers and matrix products; two operations are one MAC; biases, activations,
    normalisation and gathers are left out) at a few sizes, from which the terms follow exactly.
    """

    def count(width: int, nodes: int) -> tuple[int, int]:
        counts = []
        for module, inputs in _subgraphs(network, SIDE, width, nodes):
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                module(**inputs)
            counts.append(counter.get_total_flops() // 2)
        return counts[0], counts[1]

    (g1, small), (g2, large), (g3, _) = count(SIDE, 1), count(2 * SIDE, 2), count(SIDE, 3)
    squared = Fraction(g3 - 2 * g2 + g1, 2)
    linear = Fraction(g2 - g1) - 3 * squared
    per_pixel = Fraction(large - small, SIDE * SIDE)
    terms = {
        "per_pair": g1 - linear - squared + small - SIDE * SIDE * per_pixel,
        "per_pixel": per_pixel,
        "per_node": linear,
        "per_node_squared": squared,
    }
    if any(float(term) != term for term in terms.values()):
        raise AssertionError(f"the cost is not a formula of this form: {terms}")
    return {name: int(term) if term.denominator == 1 else float(term) for name, term in terms.items()}


def _subgraphs(network: nn.Module, height: int, width: int, nodes: int) -> list[tuple[nn.Module, dict[str, Tensor]]]:
    """GCN and CNN, each with what it is called with."""
    if isinstance(network, FusionGCNLite):
        examples = lite_inputs(height, width, nodes)
        return [(LiteGcnSubgraph(network), examples["gcn"]), (LiteCnnSubgraph(network), examples["cnn"])]
    assert isinstance(network, FusionGCN)
    examples = example_inputs(height, width, nodes)
    return [(GcnSubgraph(network), examples["gcn"]), (CnnSubgraph(network), examples["cnn"])]
