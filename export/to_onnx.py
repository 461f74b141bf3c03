"""Torch subgraphs to ONNX."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import onnxscript  # noqa: F401  torch's exporter needs it: better missed here than half-way
import torch
from torch import Tensor, nn
from torch.export import Dim

from fusiongcn_edge.export.subgraphs import CnnSubgraph, GcnSubgraph
from fusiongcn_edge.model.network import FusionGCN
from fusiongcn_edge.runtime.bundle import Graph

OPSET = 18
ONNX_TYPES: dict[int, str] = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.INT32: "int32"}


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


def to_onnx(network: FusionGCN) -> dict[str, Graph]:
    """The GCN and the CNN of a network as checked ONNX graphs with free height, width and number of superpixels."""
    nodes, height, width = Dim("nodes"), Dim("height", min=2), Dim("width", min=2)
    examples = example_inputs(48, 64, 12)
    return {
        "gcn": _graph(
            "gcn.onnx",
            GcnSubgraph(network),
            examples["gcn"],
            {
                "features": {1: nodes},
                "adjacency": {0: nodes, 1: nodes},
                "attention_mask": {0: nodes, 1: nodes},
            },
            ["shallow", "deep"],
        ),
        "cnn": _graph(
            "cnn.onnx",
            CnnSubgraph(network),
            examples["cnn"],
            {
                "images": {2: height, 3: width},
                "labels": {0: height, 1: width},
                "shallow": {1: nodes},
                "deep": {1: nodes},
            },
            ["probability"],
        ),
    }


def _graph(
    file: str, module: nn.Module, example: dict[str, Tensor], free: dict[str, dict[int, Dim]], outputs: list[str]
) -> Graph:
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            kwargs=example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(example),
            output_names=outputs,
            dynamic_shapes=free,
            external_data=False,
            verbose=False,
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
    return Graph(file, model.SerializeToString(), _signature(model.graph.input), _signature(model.graph.output))


def _signature(values: list[onnx.ValueInfoProto]) -> dict[str, tuple[str, tuple[int | str, ...]]]:
    return {
        value.name: (
            ONNX_TYPES[value.type.tensor_type.elem_type],
            tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim),
        )
        for value in values
    }


@contextmanager
def _quiet() -> Iterator[None]:
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
