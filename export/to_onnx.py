"""Torch subgraphs to ONNX."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import onnxscript  # noqa: F401  torch's exporter needs it: better missed here than half-way
import torch
from torch import Tensor, nn
from torch.export import Dim

from fusiongcn_edge.export.dummy_inputs import example_inputs, lite_inputs
from fusiongcn_edge.export.stages_onnx import stages_of
from fusiongcn_edge.export.subgraphs import CnnSubgraph, GcnSubgraph
from fusiongcn_edge.export.subgraphs_lite import LiteCnnSubgraph, LiteGcnSubgraph
from fusiongcn_edge.model.fusiongcn import FusionGCN
from fusiongcn_edge.model.fusiongcn_lite import FusionGCNLite
from fusiongcn_edge.runtime.bundle.manifest import Graph

OPSET = 18
ONNX_TYPES: dict[int, str] = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.INT32: "int32"}


def gcn_to_onnx(network: FusionGCN) -> Graph:
    """The GCN as a checked ONNX graph with a free number of superpixels."""
    nodes = Dim("nodes")
    free = {"features": {1: nodes}, "adjacency": {0: nodes, 1: nodes}, "attention_mask": {0: nodes, 1: nodes}}
    example = example_inputs(48, 64, 12)["gcn"]
    return _graph("gcn.onnx", GcnSubgraph(network), example, free, ["shallow", "deep"])


def cnn_to_onnx(network: FusionGCN) -> Graph:
    """The CNN as one checked ONNX graph with free height, width and number of superpixels."""
    nodes, height, width = Dim("nodes"), Dim("height", min=2), Dim("width", min=2)
    free = {
        "images": {2: height, 3: width},
        "labels": {0: height, 1: width},
        "shallow": {1: nodes},
        "deep": {1: nodes},
    }
    return _graph("cnn.onnx", CnnSubgraph(network), example_inputs(48, 64, 12)["cnn"], free, ["probability"])


def lite_to_onnx(network: FusionGCNLite) -> dict[str, Graph]:
    """Lite's subgraphs, with a free number of superpixels, height and width (multiples of 8)."""
    nodes, rows, columns = Dim("nodes"), Dim("rows", min=2), Dim("columns", min=2)
    examples = lite_inputs(48, 64, 12)
    free_gcn: dict[str, dict[int, Any]] = {"features": {1: nodes}, "affinity": {0: nodes, 1: nodes}}
    free_cnn: dict[str, dict[int, Any]] = {
        "luminance": {2: 8 * rows, 3: 8 * columns},
        "context": {2: 2 * rows, 3: 2 * columns},
    }
    return {
        "gcn": _graph("gcn.onnx", LiteGcnSubgraph(network), examples["gcn"], free_gcn, ["context"]),
        "cnn": _graph("cnn.onnx", LiteCnnSubgraph(network), examples["cnn"], free_cnn, ["probability"]),
    }


def stages_to_onnx(network: FusionGCN) -> tuple[dict[str, Graph], list[dict[str, Any]]]:
    """The CNN as ONNX graphs of its stages, and what the manifest says of each stage."""
    rows, columns, nodes, patterns = Dim("rows", min=2), Dim("columns", min=2), Dim("nodes"), Dim("patterns")
    whole: dict[str, tuple[tuple[int, ...], dict[int, Any]]] = {
        "shallow": ((2, 12, 18), {1: nodes}),
        "deep": ((2, 12, 36), {1: nodes}),
        "counts": ((12,), {0: nodes}),
        "patterns": ((30, 9), {0: patterns}),
        "injected": ((12, 36), {0: nodes}),
        "graph": ((31, 48), {0: patterns}),
        **{
            f"{name}_{statistic}": ((n, channels, 1, 1), {})
            for name, n, channels in (("encoder", 2, 72), ("pixels", 2, 36), ("decoder", 1, 192), ("join", 1, 288))
            for statistic in ("mean", "variance")
        },
    }
    images: dict[str, tuple[int, ...]] = {
        "images": (2, 3), "labels": (), "places": (), "x": (2, 18), "wide": (2, 36), "attended": (2, 18),
        "pixels": (2, 36), "mixed": (1, 48), "decoder_wide": (1, 96), "decoder_attended": (1, 48), "cnn": (1, 24),
        "joined_even": (1, 72), "joined_odd": (1, 72), "joined": (1, 24),
    }  # fmt: skip
    graphs, entries = {}, []
    for stage in stages_of(network):
        example, free = {}, {}
        for name in stage.inputs:
            if name in whole:
                shape, free[name] = whole[name]
            else:
                more, first = 2 * stage.halo.get(name, 0), len(images[name])
                shape = (*images[name], 24 + more, 40 + more)
                free[name] = {first: rows + more, first + 1: columns + more}
            integers = name in ("labels", "places", "patterns")
            example[name] = torch.zeros(shape, dtype=torch.int32) if integers else torch.rand(shape)
        graphs[stage.name] = _graph(f"{stage.name}.onnx", stage.module, example, free, stage.outputs)
        entries.append({"graph": stage.name, "halo": stage.halo, "valid_crop": stage.valid_crop})
    return graphs, entries


def _graph(
    file: str,
    module: nn.Module,
    example: dict[str, Tensor],
    free: dict[str, dict[int, Any]],
    outputs: list[str],
) -> Graph:
    model = exported(
        module.eval(),
        list(example.values()),
        input_names=list(example),
        output_names=outputs,
        dynamic_shapes=tuple(free[name] for name in example),
    )
    return Graph(file, model.SerializeToString(), _signature(model.graph.input), _signature(model.graph.output))


def exported(module: nn.Module, example: list[Tensor], **options: Any) -> onnx.ModelProto:
    """A module as a checked ONNX model without traces of this machine; options are those of torch's exporter."""
    with _without_exporter_logs(), torch.no_grad():
        program = torch.onnx.export(
            module, tuple(example), dynamo=True, opset_version=OPSET, external_data=False, verbose=False, **options
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:  # the exporter's notes for debugging hold source lines and paths of this machine
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        del value.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def _signature(values: list[onnx.ValueInfoProto]) -> dict[str, tuple[str, tuple[int | str, ...]]]:
    return {
        value.name: (
            ONNX_TYPES[value.type.tensor_type.elem_type],
            tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim),
        )
        for value in values
    }


@contextmanager
def _without_exporter_logs() -> Iterator[None]:
    """The exporter logs and warns about its own doings; what matters to the user it raises."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
