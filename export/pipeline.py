"""Checkpoint to bundle."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fusiongcn_edge import __version__
from fusiongcn_edge.calibration.layers import FP16, FP32, with_precisions
from fusiongcn_edge.calibration.recipes import RECIPES
from fusiongcn_edge.export.dummy_inputs import example_inputs
from fusiongcn_edge.export.formats import FORMATS, MINIMUM_SIZE, TOLERANCES, ExportError, check_options
from fusiongcn_edge.export.macs import macs_terms
from fusiongcn_edge.export.stages_onnx import KEEP
from fusiongcn_edge.export.subgraphs_lite import MARGIN
from fusiongcn_edge.export.to_onnx import cnn_to_onnx, gcn_to_onnx, lite_to_onnx, stages_to_onnx
from fusiongcn_edge.model.checkpoint import load_network, superpixel_settings
from fusiongcn_edge.model.fusiongcn import FusionGCN
from fusiongcn_edge.model.fusiongcn_lite import FusionGCNLite
from fusiongcn_edge.runtime.bundle.manifest import LITE, PUBLISHED, SEQUENTIAL, SIMULTANEOUS, Bundle, Graph
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.bundle.writer import check_target, write_bundle
from fusiongcn_edge.runtime.engines.base import get_engine
from fusiongcn_edge.runtime.fusion.decision_map import SMALLEST_REGION, THRESHOLD
from fusiongcn_edge.runtime.io.pixels import luminance
from fusiongcn_edge.runtime.networks.fusiongcn import GCN_INPUTS, open_cnn
from fusiongcn_edge.runtime.networks.gcn import Gcn
from fusiongcn_edge.runtime.networks.registry import open_network
from fusiongcn_edge.runtime.segmentation.settings import GRID
from fusiongcn_edge.runtime.text import install_hint


def export_bundle(
    checkpoint: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    format: str = "onnx",
    precision: str = FP32,
    whole_cnn: bool = False,
    sizes: Sequence[tuple[int, int]] = (),
    superpixels: Sequence[int] = (),
) -> float:
    """Export a checkpoint to a bundle, checked against torch.

    Parameters
    ----------
    checkpoint, output : path
    format : str
        One of ``FORMATS``.
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
    check_options([format], whole_cnn, sizes, superpixels)
    check_target(output)
    network, facts = load_network(checkpoint)
    facts_of_model = manifest(network, facts, FORMATS[format], precision)
    if isinstance(network, FusionGCNLite):
        graphs = _lite(network, format, whole_cnn, sizes, superpixels)
    else:
        assert isinstance(network, FusionGCN)
        graphs, chain = _published(network, format, facts, whole_cnn, sizes, superpixels)
        facts_of_model |= {"stages": chain, "cached_tensors": KEEP if chain else []}
    with tempfile.TemporaryDirectory(prefix="fusiongcn-") as folder:
        write_bundle(Path(folder) / "bundle", facts_of_model, graphs)
        bundle = load_bundle(Path(folder) / "bundle")
        if precision == FP16:
            bundle = in_half(bundle)
        graphs = bundle.graphs
        difference = compare(network, bundle)
    if not difference <= TOLERANCES[precision]:
        raise ExportError(
            "The exported graphs differ too much from the network, so nothing was written",
            found=f"{difference:.2g}",
            allowed=f"at most {TOLERANCES[precision]}",
            fix=f"check the weights; values of great magnitude do not survive {precision}",
        )
    write_bundle(output, facts_of_model, graphs)
    return difference


def in_half(bundle: Bundle) -> Bundle:
    """A bundle in memory with the weights of dense convolutions in float16."""
    return with_precisions(bundle, RECIPES[FP16].first_choice(bundle), {})


def _lite(
    network: FusionGCNLite, format: str, whole_cnn: bool, sizes: Sequence[tuple[int, int]], superpixels: Sequence[int]
) -> dict[str, Graph]:
    if whole_cnn:
        raise ExportError("The CNN of this network is one graph as it is", fix="leave --whole-cnn out")
    if format == "onnx":
        return lite_to_onnx(network)
    odd = next((size for size in sizes if size[0] % GRID or size[1] % GRID or min(size) <= 2 * MARGIN), None)
    if odd is not None:
        raise ExportError(
            "Windows of this --size do not suit the network",
            found=f"{odd[0]}x{odd[1]}",
            allowed=f"multiples of {GRID} above {2 * MARGIN}",
        )
    to_tflite = _litert_exporter()
    rooms = sorted(set(superpixels or to_tflite.LITE_SUPERPIXELS))
    graphs: dict[str, Graph] = to_tflite.lite_to_litert(
        network, list(dict.fromkeys(sizes)) or to_tflite.LITE_SIZES, rooms
    )
    return graphs


def _published(
    network: FusionGCN,
    format: str,
    facts: dict[str, Any],
    whole_cnn: bool,
    sizes: Sequence[tuple[int, int]],
    superpixels: Sequence[int],
) -> tuple[dict[str, Graph], list[dict[str, Any]]]:
    if format == "tflite":
        return _to_tflite(network, facts["superpixels"]["segments_per_side"], whole_cnn, sizes, superpixels)
    if whole_cnn:
        return {"gcn": gcn_to_onnx(network), "cnn": cnn_to_onnx(network)}, []
    graphs, chain = stages_to_onnx(network)
    return {"gcn": gcn_to_onnx(network), **graphs}, chain


def _litert_exporter() -> Any:
    try:
        from fusiongcn_edge.export import to_tflite
    except ImportError as error:
        raise ExportError(
            f"The TFLite exporter cannot be loaded ({error}), for its libraries only go together in certain versions",
            fix=f"make an environment of its own, and there {install_hint('export-tflite')}",
        ) from None
    return to_tflite


def _to_tflite(
    network: FusionGCN,
    segments_per_side: float,
    whole_cnn: bool,
    sizes: Sequence[tuple[int, int]],
    superpixels: Sequence[int],
) -> tuple[dict[str, Graph], list[dict[str, Any]]]:
    to_tflite = _litert_exporter()
    rooms = sorted(set(superpixels or to_tflite.SUPERPIXELS))
    gcn = to_tflite.gcn_to_litert(network, rooms)
    if whole_cnn:
        sizes = list(dict.fromkeys(sizes))
        # SLIC may give some more than asked for, and windows of a larger photograph cut some at their edges
        held = [max(int(1.25 * segments_per_side * max(size)) + 32, *superpixels, 0) for size in sizes]
        return {**gcn, **to_tflite.cnn_to_litert(network, sizes, held)}, []
    graphs, chain = to_tflite.stages_to_litert(network, list(dict.fromkeys(sizes)) or to_tflite.SIZES, rooms)
    return {**gcn, **graphs}, chain


def manifest(network: nn.Module, facts: dict[str, Any], engine: str = "onnx", precision: str = FP32) -> dict[str, Any]:
    """Everything the bundle says about a model except its graphs."""
    preprocessing: dict[str, Any] = {"minimum_size": MINIMUM_SIZE, "superpixels": facts["superpixels"]}
    if isinstance(network, FusionGCN):
        settings = superpixel_settings(network, facts["superpixels"])
        preprocessing["guide"] = {"kernel": settings.guide_kernel.tolist(), "bias": settings.guide_bias}
        own: dict[str, Any] = {"name": "fusiongcn", "network": PUBLISHED}
    else:
        own = {"name": "fusiongcn-lite", "network": LITE, "margin": MARGIN, "stages": [], "cached_tensors": []}
    return {
        **own,
        "precision": precision,
        "engine": engine,
        "preprocessing": preprocessing,
        "decision": {
            "threshold": THRESHOLD,
            "smallest_component": SMALLEST_REGION,
            "component_removal": SEQUENTIAL if isinstance(network, FusionGCN) else SIMULTANEOUS,
            "blend": facts.get("blend", "hard"),
        },
        "params": sum(parameter.numel() for parameter in network.parameters()),
        "macs": macs_terms(network),
        "origin": {
            **facts.get("origin", {}),
            "exported_by": f"fusiongcn-edge {__version__}, torch {torch.__version__}",
        },
    }


def compare(network: nn.Module, bundle: Bundle) -> float:
    """Greatest difference of the probability between torch and the engine on a random pair."""
    return _compare_lite(network, bundle) if isinstance(network, FusionGCNLite) else _compare_published(network, bundle)


def _compare_lite(network: FusionGCNLite, bundle: Bundle) -> float:
    """At a size that the export did not see, or at each that it is for: there, no edge is filled up."""
    return max(_compare_window(network, bundle.at_size(size)) for size in bundle.sizes)


def _compare_window(network: FusionGCNLite, bundle: Bundle) -> float:
    rows, columns = next(iter(bundle.variants("cnn").values())).inputs["luminance"][1][-2:]
    height, width = (rows, columns) if isinstance(rows, int) and isinstance(columns, int) else (40, 112)
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    opened = open_network(bundle, get_engine(bundle.engine), 2)
    seen = opened.preprocess(first, second)
    rooms = [graph.inputs["features"][1][1] for graph in bundle.variants("gcn").values()]
    most = max((room for room in rooms if isinstance(room, int)), default=height * width)
    labels = np.minimum(opened.superpixels(seen), most - 1)
    graph = opened.graph(seen, labels)
    found = opened.classify(opened.pixels(seen), labels, opened.embed(graph))
    with torch.no_grad():
        tables = network.embed(torch.from_numpy(graph["features"]), torch.from_numpy(graph["affinity"]))
        planes, pixels = torch.from_numpy(luminance(seen.gray)[:, None]), torch.from_numpy(labels.astype(np.int64))
        expected = network.classify(planes, pixels[None], *tables)[0, 0].numpy()
    return float(np.abs(found - expected).max())


def _compare_published(network: nn.Module, bundle: Bundle) -> float:
    """At a size that the export did not see; a CNN that is one graph of fixed size, at that size."""
    size = (43, 109)  # one pixel or a few more than the usual tile has
    if "cnn" in {key.partition("@")[0] for key in bundle.graphs}:
        height, width = next(iter(bundle.variants("cnn").values())).inputs["labels"][1]
        size = (height, width) if isinstance(height, int) and isinstance(width, int) else size
    rooms = [graph.inputs["features"][1][1] for graph in bundle.variants("gcn").values()]
    examples = example_inputs(*size, min(20, max((room for room in rooms if isinstance(room, int)), default=20)))
    engine = get_engine(bundle.engine)
    gcn = Gcn(bundle, lambda graph: engine.load(graph, 1), GCN_INPUTS)
    tables = gcn.run({name: tensor.numpy() for name, tensor in examples["gcn"].items()})
    images, labels = examples["cnn"]["images"], examples["cnn"]["labels"]
    found = open_cnn(bundle, engine, 2).run({"images": images.numpy(), "labels": labels.numpy(), **tables})[
        "probability"
    ]
    with torch.no_grad():
        expected = network(images, labels.unsqueeze(0), *examples["gcn"].values())[0, 0].numpy()
    return float(np.abs(found - expected).max())
