"""What can be exported, and how: known without torch, so that the command can explain itself without it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from fusiongcn_edge.calibration.layers import FP16, FP32
from fusiongcn_edge.runtime.bundle.validation import LARGEST_SIZE, MOST_SUPERPIXELS
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.text import install_hint

FORMATS = {"onnx": "onnx", "tflite": "litert"}  # format to the engine that runs it
MINIMUM_SIZE = 16  # pixels: a few superpixels, and more than the largest kernel
TOLERANCES = {FP32: 1e-3, FP16: 2e-2}  # of the probability, between torch and the exported graphs, by precision


class ExportError(FusionError):
    """An export whose graphs do not compute what the network computes."""


def check_options(
    formats: Sequence[str], whole_cnn: bool, sizes: Sequence[tuple[int, int]], superpixels: Sequence[int]
) -> None:
    """Refuse, with an ExportError, formats that cannot be exported so, or not here."""
    tflite = "tflite" in formats
    if not tflite and (sizes or superpixels):
        raise ExportError("ONNX graphs take photographs of any size", fix="leave --size and --superpixels to TFLite")
    if tflite and any(importlib.util.find_spec(name) is None for name in ("litert_torch", "ai_edge_quantizer")):
        raise ExportError(
            "Exporting to TFLite needs litert-torch and ai-edge-quantizer, which are not installed",
            fix=f"{install_hint('export-tflite')}",
        )
    if tflite and whole_cnn and not sizes:
        raise ExportError("A CNN in one TFLite graph has a fixed size", fix="give it with --size, 520x520 for example")
    for height, width in sizes:
        if min(height, width) < MINIMUM_SIZE or height * width > LARGEST_SIZE:
            raise ExportError(
                "Graphs of this --size cannot be made",
                found=f"{height}x{width}",
                allowed=f"at least 16x16 and {LARGEST_SIZE / 1e6:g} megapixels at most",
            )
    for nodes in superpixels:
        if not 1 <= nodes <= MOST_SUPERPIXELS:
            raise ExportError("--superpixels is out of range", found=nodes, allowed=f"1 to {MOST_SUPERPIXELS}")
