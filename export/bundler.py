"""Checkpoint to bundle."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from fusiongcn_edge import __version__
from fusiongcn_edge.export.cost import macs_terms
from fusiongcn_edge.export.to_onnx import example_inputs, to_onnx
from fusiongcn_edge.model.checkpoint import load_checkpoint, superpixel_settings
from fusiongcn_edge.model.network import FusionGCN
from fusiongcn_edge.runtime.bundle import Graph, check_target, write_bundle
from fusiongcn_edge.runtime.decision import SMALLEST_REGION, THRESHOLD
from fusiongcn_edge.runtime.engines.base import get_engine
from fusiongcn_edge.runtime.errors import FusionError

MINIMUM_SIZE = 16  # pixels: a few superpixels, and more than the largest kernel
TOLERANCE = 1e-3  # of the probability, between torch and the exported graphs


class ExportError(FusionError):
    """An export whose graphs do not compute what the network computes."""


def export_onnx(checkpoint: str | os.PathLike[str], output: str | os.PathLike[str]) -> float:
    """Export a checkpoint to a float32 ONNX bundle, checked against torch.

    Returns
    -------
    float
        Greatest difference of the probability between torch and ONNX Runtime on a random input.

    Raises
    ------
    CheckpointError, BundleError, OutputError, ExportError
    """
    check_target(output)
    network, facts = load_checkpoint(checkpoint)
    graphs = to_onnx(network)
    difference = compare(network, graphs)
    if not difference <= TOLERANCE:
        raise ExportError(
            f"The exported graphs differ from the network by {difference:.2g} (allowed: {TOLERANCE}); nothing was "
            "written. Check the weights: values of great magnitude do not survive float32."
        )
    write_bundle(output, manifest(network, facts), graphs)
    return difference


def manifest(network: FusionGCN, facts: dict[str, Any]) -> dict[str, Any]:
    """Everything the bundle says about a float32 ONNX model except its graphs."""
    settings = superpixel_settings(network, facts["superpixels"])
    return {
        "name": "fusiongcn",
        "precision": "fp32",
        "engine": "onnx",
        "preprocessing": {
            "minimum_size": MINIMUM_SIZE,
            "guide": {"kernel": settings.guide_kernel.tolist(), "bias": settings.guide_bias},
            "superpixels": {
                "segments_per_side": settings.segments_per_side,
                "compactness": settings.compactness,
                "sigma": settings.sigma,
                "iterations": settings.iterations,
            },
        },
        "decision": {"threshold": THRESHOLD, "smallest_region": SMALLEST_REGION, "blend": facts.get("blend", "hard")},
        "params": sum(parameter.numel() for parameter in network.parameters()),
        "macs": macs_terms(network),
        "origin": {
            **facts.get("origin", {}),
            "exported_by": f"fusiongcn-edge {__version__}, torch {torch.__version__}",
        },
    }


def compare(network: FusionGCN, graphs: dict[str, Graph]) -> float:
    """Greatest difference of the probability between torch and the engine, at a size the export did not see."""
    examples = example_inputs(40, 72, 20)
    engine = get_engine("onnx")
    tables = engine.open(graphs["gcn"], None).run({k: v.numpy() for k, v in examples["gcn"].items()})
    cnn = {k: v.numpy() for k, v in examples["cnn"].items() if k not in tables}
    found = engine.open(graphs["cnn"], None).run({**cnn, **tables})["probability"]
    with torch.no_grad():
        images, labels = examples["cnn"]["images"], examples["cnn"]["labels"]
        expected = network(images, labels.unsqueeze(0), *examples["gcn"].values())[0, 0].numpy()
    return float(np.abs(found - expected).max())
