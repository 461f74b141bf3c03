"""What the subgraphs are exported, counted and compared with: tensors of the right shapes, the same every time."""

from __future__ import annotations

import torch
from torch import Tensor

from fusiongcn_edge.model.fusiongcn_lite import QUARTER
from fusiongcn_edge.runtime.networks.lite_inputs import NODE_FEATURES


def example_inputs(height: int, width: int, nodes: int) -> dict[str, dict[str, Tensor]]:
    """Tensors of the right shapes for both subgraphs, by graph and name."""
    generator = torch.Generator().manual_seed(0)
    eye = torch.eye(nodes)
    return {
        "gcn": {
            "features": torch.rand(2, nodes, 3, generator=generator) * 1000,
            "adjacency": eye,
            "attention_mask": (1 - eye) * -1e4,
        },
        "cnn": {
            "images": torch.rand(2, 3, height, width, generator=generator) * 2 - 1,
            "labels": torch.randint(0, nodes, (height, width), generator=generator, dtype=torch.int32),
            "shallow": torch.rand(2, nodes, 18, generator=generator),
            "deep": torch.rand(2, nodes, 36, generator=generator),
        },
    }


def lite_inputs(height: int, width: int, nodes: int) -> dict[str, dict[str, Tensor]]:
    """The same for Lite's subgraphs."""
    generator = torch.Generator().manual_seed(0)
    return {
        "gcn": {"features": torch.rand(2, nodes, NODE_FEATURES, generator=generator), "affinity": torch.eye(nodes)},
        "cnn": {
            "luminance": torch.rand(2, 2, height, width, generator=generator),
            "context": torch.rand(2, QUARTER, height // 4, width // 4, generator=generator),
        },
    }
