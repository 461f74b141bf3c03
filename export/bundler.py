"""Checkpoint to bundle."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusiongcn_edge import __version__
from fusiongcn_edge.calibration.layers import FP16, FP32, with_precisions
from fusiongcn_edge.calibration.recipes import RECIPES
from fusiongcn_edge.export.cost import macs_terms
from fusiongcn_edge.export.stages import KEEP
from fusiongcn_edge.export.to_onnx import cnn_to_onnx, example_inputs, gcn_to_onnx, stages_to_onnx
from fusiongcn_edge.model.checkpoint import load_checkpoint, superpixel_settings
from fusiongcn_edge.model.network import FusionGCN
from fusiongcn_edge.runtime.bundle import Bundle, Graph, check_target, load_bundle, write_bundle
from fusiongcn_edge.runtime.decision import SMALLEST_REGION, THRESHOLD
from fusiongcn_edge.runtime.engines.base import get_engine
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.fuser import open_cnn
from fusiongcn_edge.runtime.padding import Gcn

FORMS = {"onnx": "onnx", "tflite": "litert"}  # form to the engine that runs it
MINIMUM_SIZE = 16  # pixels: a few superpixels, and more than the largest kernel
LARGEST_SIZE = 2_000_000  # pixels that a TFLite graph is made for: the exporter computes it once, in torch
MOST_SUPERPIXELS = 8192  # likewise
TOLERANCES = {FP32: 1e-3, FP16: 2e-2}  # of the probability, between torch and the exported graphs, by precision


class ExportError(FusionError):
    """An export whose graphs do not compute what the network computes."""


def export_bundle(
    checkpoint: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    form: str = "onnx",
    precision: str = FP32,
    whole_cnn: bool = False,
    sizes: Sequence[tuple[int, int]] = (),
    superpixels: Sequence[int] = (),
) -> float:
    """Export a checkpoint to a bundle, checked against torch.

    Parameters
    ----------
    checkpoint, output : path
    form : str
        One of ``FORMS``.
    precision : str
        Of the weights, one of ``TOLERANCES``; in both, graphs are computed in float32.
    whole_cnn : bool
        The CNN as one graph for other programs, instead of the stages that the runtime is fast and lean with.
    sizes : sequence of (height, width), optional
        TFLite: what a graph computes at once, tiles or, with ``whole_cnn``, whole photographs.
    superpixels : sequence of int, optional
        TFLite: superpixels that the graphs over them take at most; a graph for each number.

    Returns
    -------
    float
        Greatest difference of the probability between torch and the engine on a random input.

    Raises
    ------
    CheckpointError, BundleError, OutputError, ExportError
    """
    check_options([form], whole_cnn, sizes, superpixels)
    check_target(output)
    network, facts = load_checkpoint(checkpoint)
    if form == "onnx":
        graphs, chain = _to_onnx(network, whole_cnn)
    else:
        per_side = facts["superpixels"]["segments_per_side"]
        graphs, chain = _to_tflite(network, per_side, whole_cnn, sizes, superpixels)
    facts_of_model = manifest(network, facts, FORMS[form], precision) | {"stages": chain, "keep": KEEP if chain else []}
    with tempfile.TemporaryDirectory() as folder:
        write_bundle(Path(folder) / "bundle", facts_of_model, graphs)
        bundle = load_bundle(Path(folder) / "bundle")
        if precision == FP16:
            bundle = in_half(bundle)
        graphs = bundle.graphs
        difference = compare(network, bundle)
    if not difference <= TOLERANCES[precision]:
        raise ExportError(
            f"The exported graphs differ from the network by {difference:.2g} (allowed: {TOLERANCES[precision]}); "
            f"nothing was written. Check the weights: values of great magnitude do not survive {precision}."
        )
    write_bundle(output, facts_of_model, graphs)
    return difference


def in_half(bundle: Bundle) -> Bundle:
    """A bundle in memory with the weights of dense convolutions in float16."""
    return with_precisions(bundle, RECIPES[FP16].first_choice(bundle), {})


def check_options(
    forms: Sequence[str], whole_cnn: bool, sizes: Sequence[tuple[int, int]], superpixels: Sequence[int]
) -> None:
    """An ExportError if these forms cannot be exported so, or not here."""
    tflite = "tflite" in forms
    if not tflite and (sizes or superpixels):
        raise ExportError("ONNX graphs take photographs of any size: leave --size and --superpixels to TFLite.")
    if tflite and any(importlib.util.find_spec(name) is None for name in ("litert_torch", "ai_edge_quantizer")):
        raise ExportError(
            "Exporting to TFLite needs litert-torch and ai-edge-quantizer, which are not installed: "
            "pip install 'fusiongcn-edge[export-tflite]', or '.[export-tflite]' in a checkout."
        )
    if tflite and whole_cnn and not sizes:
        raise ExportError("A CNN in one TFLite graph has a fixed size: give it with --size, 520x520 for example.")
    for height, width in sizes:
        if min(height, width) < MINIMUM_SIZE or height * width > LARGEST_SIZE:
            raise ExportError(
                f"Graphs for {height}x{width} cannot be made: give a --size of at least 16x16 and "
                f"{LARGEST_SIZE / 1e6:g} megapixels at most."
            )
    if any(not 1 <= nodes <= MOST_SUPERPIXELS for nodes in superpixels):
        raise ExportError(f"A graph holds 1 to {MOST_SUPERPIXELS} superpixels: give --superpixels such a number.")


def _to_onnx(network: FusionGCN, whole_cnn: bool) -> tuple[dict[str, Graph], list[dict[str, Any]]]:
    if whole_cnn:
        return {"gcn": gcn_to_onnx(network), "cnn": cnn_to_onnx(network)}, []
    graphs, chain = stages_to_onnx(network)
    return {"gcn": gcn_to_onnx(network), **graphs}, chain


def _to_tflite(
    network: FusionGCN,
    segments_per_side: float,
    whole_cnn: bool,
    sizes: Sequence[tuple[int, int]],
    superpixels: Sequence[int],
) -> tuple[dict[str, Graph], list[dict[str, Any]]]:
    try:
        from fusiongcn_edge.export import to_litert
    except ImportError as error:
        raise ExportError(
            f"The TFLite exporter cannot be loaded ({error}): its libraries only go together in certain versions, "
            "which pip install 'fusiongcn-edge[export-tflite]' brings into an environment of its own."
        ) from None

    rooms = sorted(set(superpixels or to_litert.SUPERPIXELS))
    gcn = to_litert.gcn_to_litert(network, rooms)
    if whole_cnn:
        sizes = list(dict.fromkeys(sizes))
        # SLIC may give some more than asked for, and windows of a larger photograph cut some at their edges
        held = [max(int(1.25 * segments_per_side * max(size)) + 32, *superpixels, 0) for size in sizes]
        return {**gcn, **to_litert.cnn_to_litert(network, sizes, held)}, []
    graphs, chain = to_litert.stages_to_litert(network, list(dict.fromkeys(sizes)) or to_litert.SIZES, rooms)
    return {**gcn, **graphs}, chain


def manifest(network: FusionGCN, facts: dict[str, Any], engine: str = "onnx", precision: str = FP32) -> dict[str, Any]:
    """Everything the bundle says about a model except its graphs."""
    settings = superpixel_settings(network, facts["superpixels"])
    return {
        "name": "fusiongcn",
        "precision": precision,
        "engine": engine,
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
    """Greatest difference of the probability between torch and the engine, at a size that the export did not see.

    A CNN that is one graph of fixed size is compared at that size.
    """
    size = (43, 109)  # one pixel or a few more than the usual tile has
    if "cnn" in {key.partition("@")[0] for key in bundle.graphs}:
        height, width = next(iter(bundle.variants("cnn").values())).inputs["labels"][1]
        size = (height, width) if isinstance(height, int) and isinstance(width, int) else size
    rooms = [graph.inputs["features"][1][1] for graph in bundle.variants("gcn").values()]
    examples = example_inputs(*size, min(20, max((room for room in rooms if isinstance(room, int)), default=20)))
    engine = get_engine(bundle.engine)
    gcn = Gcn(bundle, lambda graph: engine.open(graph, 1))
    tables = gcn.run({name: tensor.numpy() for name, tensor in examples["gcn"].items()})
    images, labels = examples["cnn"]["images"], examples["cnn"]["labels"]
    found = open_cnn(bundle, engine, 2).run({"images": images.numpy(), "labels": labels.numpy(), **tables})[
        "probability"
    ]
    with torch.no_grad():
        expected = network(images, labels.unsqueeze(0), *examples["gcn"].values())[0, 0].numpy()
    return float(np.abs(found - expected).max())
