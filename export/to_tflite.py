"""Torch subgraphs to TFLite, through litert-torch.

A TFLite file holds several graphs, each under a name ("signature"); those that run together share a file. Sizes are
fixed: a graph is there once for each size that is asked for, and the runtime serves others through tiles and padding.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fusiongcn_edge.calibration.backends.tflite_format import slim
from fusiongcn_edge.export.dummy_inputs import example_inputs, lite_inputs
from fusiongcn_edge.export.stages_onnx import Stage
from fusiongcn_edge.export.stages_tflite import WholeCnn, litert_stages_of
from fusiongcn_edge.export.subgraphs import PaddedGcnSubgraph
from fusiongcn_edge.export.subgraphs_lite import LiteCnnSubgraph, LiteGcnSubgraph
from fusiongcn_edge.model.fusiongcn import FusionGCN
from fusiongcn_edge.model.fusiongcn_lite import FusionGCNLite
from fusiongcn_edge.runtime.bundle.manifest import Graph


@contextmanager
def _without_library_output() -> Iterator[None]:
    """Keep what the exporter and its libraries tell of their own doings off the terminal; errors are raised."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


with _without_library_output():
    import litert_torch

SIZES = ((40, 104),)  # of tiles: small enough for any memory; divides 520x520 and 4056x3040 without a remainder
LITE_SIZES = ((520, 520), (648, 648))  # of windows: at 4056x3040 they compute 1.6 times its pixels
LITE_SUPERPIXELS = (296, 1280, 2560, 6144)  # a pair of 520x520 has 289, one of 4056x3040 2160
SUPERPIXELS = (320, 1280, 4096)  # enough for longer sides of about 600, 2500 and 8000 pixels
PATTERNS = 1024  # that the tables are made for at once
CHANNELS = {  # photographs and channels of the images between stages
    "images": (2, 3), "injected": (1, 36), "x": (2, 18), "wide": (2, 36), "pixels": (2, 36), "mixed": (1, 48),
    "decoder_wide": (1, 96), "cnn": (1, 24), "graph": (1, 48), "inside": (1, 1),
}  # fmt: skip
STATISTICS = {"encoder": (2, 72), "pixels": (2, 36), "decoder": (1, 192), "join": (1, 288)}


@dataclass(frozen=True)
class _Entry:
    """A module under a name in a file, with what it is called with (images channels last) and what it gives."""

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]


def gcn_to_litert(network: FusionGCN, superpixels: Sequence[int]) -> dict[str, Graph]:
    """The GCN for each of these numbers of superpixels at most."""
    module = PaddedGcnSubgraph(network)
    entries = []
    for nodes in superpixels:
        inputs = example_inputs(16, 16, nodes)["gcn"]
        entries.append(_Entry(f"gcn@{nodes}", module, inputs, ["shallow", "deep"]))
    return _graphs("gcn.tflite", entries)


def cnn_to_litert(network: FusionGCN, sizes: Sequence[tuple[int, int]], superpixels: Sequence[int]) -> dict[str, Graph]:
    """The CNN as one graph for photographs of each of these sizes, with at most so many superpixels each."""
    module, graphs = WholeCnn(network), dict[str, Graph]()
    for (height, width), nodes in zip(sizes, superpixels, strict=True):
        inputs = {
            "images": torch.rand(2, height, width, 3),
            "labels": torch.zeros(height, width, dtype=torch.int32),
            "shallow": torch.rand(2, nodes, 18),
            "deep": torch.rand(2, nodes, 36),
        }
        size = f"{height}x{width}"
        graphs |= _graphs(f"cnn-{size}.tflite", [_Entry(f"cnn@{size}", module, inputs, ["probability"])])
    return graphs


def lite_to_litert(
    network: FusionGCNLite, sizes: Sequence[tuple[int, int]], superpixels: Sequence[int]
) -> dict[str, Graph]:
    """Lite's GCN for each of these numbers of superpixels at most, and its CNN for windows of each of these sizes."""
    gcn, cnn = LiteGcnSubgraph(network), LiteCnnSubgraph(network, channels_last=True)
    of_gcn = [_Entry(f"gcn@{nodes}", gcn, lite_inputs(8, 8, nodes)["gcn"], ["context"]) for nodes in superpixels]
    of_cnn = []
    for height, width in sizes:
        inputs = {name: image.permute(0, 2, 3, 1) for name, image in lite_inputs(height, width, 1)["cnn"].items()}
        of_cnn.append(_Entry(f"cnn@{height}x{width}", cnn, inputs, ["probability"]))
    return _graphs("gcn.tflite", of_gcn) | _graphs("cnn.tflite", of_cnn)


def stages_to_litert(
    network: FusionGCN, sizes: Sequence[tuple[int, int]], superpixels: Sequence[int]
) -> tuple[dict[str, Graph], list[dict[str, Any]]]:
    """The CNN as TFLite graphs of its stages for tiles of these sizes, and what the manifest says of each stage."""
    tables, *stages = litert_stages_of(network)
    entries = []
    for nodes in superpixels:
        inputs = {
            "shallow": torch.rand(2, nodes, 18),
            "deep": torch.rand(2, nodes, 36),
            "counts": torch.ones(nodes),
            "patterns": torch.zeros(PATTERNS, 9, dtype=torch.int32),
        }
        entries.append(_Entry(f"{tables.name}@{nodes}", tables.module, inputs, tables.outputs))
    graphs = _graphs("tables.tflite", entries)
    for height, width in sizes:
        size = f"{height}x{width}"
        entries = [_stage_entry(stage, height, width) for stage in stages]
        graphs |= _graphs(f"tiles-{size}.tflite", entries)
    chain = [
        {"graph": stage.name, "halo": stage.halo, "valid_crop": 0, "gather": stage.gather}
        for stage in (tables, *stages)
    ]
    return graphs, chain


def _stage_entry(stage: Stage, height: int, width: int) -> _Entry:
    """A stage for tiles of a size."""
    inputs = {}
    for name in stage.inputs:
        base = name.removesuffix("_mean").removesuffix("_variance")
        if base != name:
            photographs, channels = STATISTICS[base]
            inputs[name] = torch.rand(photographs, 1, 1, channels)
        else:
            photographs, channels = CHANNELS[name]
            more = 2 * stage.halo.get(name, 0)
            inputs[name] = torch.rand(photographs, height + more, width + more, channels)
    return _Entry(f"{stage.name}@{height}x{width}", stage.module, inputs, stage.outputs)


def _graphs(file: str, entries: Sequence[_Entry]) -> dict[str, Graph]:
    """One TFLite file."""
    with _without_library_output(), torch.no_grad():
        converter: Any = litert_torch
        for entry in entries:
            module = _Named(entry.module, entry.outputs).eval()
            converter = converter.signature(entry.name, module, sample_kwargs=entry.inputs)
        data = slim(converter.convert().model_content())
        outputs = [_Named(entry.module, entry.outputs)(**entry.inputs) for entry in entries]
    return {
        entry.name: Graph(file, data, _signature(entry.inputs), _signature(given), entry.name)
        for entry, given in zip(entries, outputs, strict=True)
    }


class _Named(nn.Module):
    """A module whose inputs and outputs have names, which the exporter takes over."""

    def __init__(self, module: nn.Module, outputs: list[str]) -> None:
        super().__init__()
        self.module, self.outputs = module, outputs

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        found = self.module(*inputs.values())
        return dict(zip(self.outputs, [found] if len(self.outputs) == 1 else found, strict=True))


def _signature(tensors: dict[str, Tensor]) -> dict[str, tuple[str, tuple[int | str, ...]]]:
    """As the runtime hands arrays over: channels first."""
    signature: dict[str, tuple[str, tuple[int | str, ...]]] = {}
    for name, tensor in tensors.items():
        shape = tuple(tensor.shape)
        if len(shape) == 4:
            shape = (shape[0], shape[3], shape[1], shape[2])
        signature[name] = (str(tensor.dtype).removeprefix("torch."), shape)
    return signature
