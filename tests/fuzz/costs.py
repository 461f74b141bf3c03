"""ONNX and TFLite files of anybody's, whose cost is counted."""

from __future__ import annotations

import random

from fusiongcn_edge.runtime.bundle.reader import SHIPPED
from fuzz.bundles import changed_onnx, changed_tflite
from fuzz.reader import Reader, written


def _seeds() -> list[bytes]:
    onnx = [(SHIPPED / "onnx" / model / "gcn.onnx").read_bytes() for model in ("fusiongcn-lite", "fusiongcn-lite-int8")]
    tflite = [(SHIPPED / "litert" / "fusiongcn-lite" / name).read_bytes() for name in ("gcn.tflite", "cnn.tflite")]
    out = (SHIPPED / "onnx" / "fusiongcn" / "out.onnx").read_bytes()
    return [b"o" + data for data in (*onnx, out)] + [b"t" + data for data in tflite]


def read_graph(data: bytes) -> None:
    """Count what its graphs cost; the first letter says which format."""
    from fusiongcn_edge.benchmarks.cost.count import cost_of_file

    cost = cost_of_file(written(data[1:], "graph.onnx" if data[:1] == b"o" else "graph.tflite"))
    assert cost.params >= 0
    assert cost.activation_bytes >= 0
    assert all(layer.macs >= 0 for layer in cost.layers)


def _changed(data: bytes, rng: random.Random) -> bytes:
    return (changed_onnx if data[:1] == b"o" else changed_tflite)(data, rng)


READERS = [
    Reader(
        "cost",
        _seeds,
        read_graph,
        _changed,
        1 << 17,
        ("benchmarks.cost.count", "benchmarks.cost.onnx_graph", "benchmarks.cost.tflite_graph"),
    )
]
