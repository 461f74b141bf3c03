"""Checkpoint to bundle."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusiongcn_edge import __version__
from fusiongcn_edge.export.cost import macs_terms
from fusiongcn_edge.export.stages import KEEP
from fusiongcn_edge.export.to_onnx import cnn_to_onnx, example_inputs, gcn_to_onnx, stages_to_onnx
from fusiongcn_edge.model.checkpoint import load_checkpoint, superpixel_settings
from fusiongcn_edge.model.network import FusionGCN
from fusiongcn_edge.runtime.bundle import Bundle, check_target, load_bundle, write_bundle
from fusiongcn_edge.runtime.decision import SMALLEST_REGION, THRESHOLD
from fusiongcn_edge.runtime.engines.base import get_engine
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.fuser import open_cnn

MINIMUM_SIZE = 16  # pixels: a few superpixels, and more than the largest kernel
TOLERANCE = 1e-3  # of the probability, between torch and the exported graphs


class ExportError(FusionError):
    """An export whose graphs do not compute what the network computes."""


def export_onnx(
    checkpoint: str | os.PathLike[str], output: str | os.PathLike[str], *, whole_cnn: bool = False
) -> float:
    """Export a checkpoint to a float32 ONNX bundle, checked against torch.

    Parameters
    ----------
    checkpoint, output : path
    whole_cnn : bool
        The CNN as one graph for other programs, instead of the stages that the runtime is fast and lean with.

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
    facts_of_model = manifest(network, facts)
    graphs = {"gcn": gcn_to_onnx(network)}
    if whole_cnn:
        graphs["cnn"] = cnn_to_onnx(network)
        facts_of_model |= {"stages": [], "keep": []}
    else:
        stages, chain = stages_to_onnx(network)
        graphs |= stages
        facts_of_model |= {"stages": chain, "keep": KEEP}
    with tempfile.TemporaryDirectory() as folder:
        write_bundle(Path(folder) / "bundle", facts_of_model, graphs)
        difference = compare(network, load_bundle(Path(folder) / "bundle"))
    if not difference <= TOLERANCE:
        raise ExportError(
            f"The exported graphs differ from the network by {difference:.2g} (allowed: {TOLERANCE}); nothing was "
            "written. Check the weights: values of great magnitude do not survive float32."
        )
    write_bundle(output, facts_of_model, graphs)
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


def compare(network: FusionGCN, bundle: Bundle) -> float:
    """Greatest difference of the probability between torch and the engine, at a size the export did not see."""
    examples = example_inputs(40, 72, 20)
    engine = get_engine("onnx")
    tables = engine.open(bundle.graphs["gcn"], 1).run({k: v.numpy() for k, v in examples["gcn"].items()})
    images, labels = examples["cnn"]["images"], examples["cnn"]["labels"]
    found = open_cnn(bundle, engine, 2).run({"images": images.numpy(), "labels": labels.numpy(), **tables})[
        "probability"
    ]
    with torch.no_grad():
        expected = network(images, labels.unsqueeze(0), *examples["gcn"].values())[0, 0].numpy()
    return float(np.abs(found - expected).max())
