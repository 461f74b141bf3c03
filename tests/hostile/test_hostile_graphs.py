"""Graphs that nobody means well with: run, counted or quantized with a right answer, or refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusiongcn_edge.benchmarks.cost.conventions import peak_bytes
from fusiongcn_edge.benchmarks.cost.count import cost_of_file
from fusiongcn_edge.runtime import EngineError, Fuser
from fusiongcn_edge.runtime.bundle.manifest import MANIFEST
from fusiongcn_edge.runtime.bundle.reader import SHIPPED, load_bundle, manifest_checksum
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fuzz.reader import unclear
from helpers.graphs import with_graph
from helpers.refusals import refusal

# graphs that are not those that the manifest describes


def after_the_last(model: Any, operator: str, *inputs: Any, **attributes: Any) -> None:
    """One operator more before the result."""
    from onnx import helper

    (last,) = (node for node in model.graph.node if "probability" in node.output)
    last.output[list(last.output).index("probability")] = "before"
    for tensor in inputs:
        model.graph.initializer.append(tensor)
    names = [tensor.name for tensor in inputs]
    model.graph.node.append(helper.make_node(operator, ["before", *names], ["probability"], **attributes))


def constant(name: str, values: list[Any], kind: type) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(values, kind), name)


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        ("Mul", [("factor", [np.nan], np.float32)], "no probabilities"),
        ("Mul", [("factor", [3.0], np.float32)], "no probabilities"),
        ("Tile", [("times", [1, 1, 2, 1], np.int64)], "instead of 1 x 4"),
        ("Tile", [("times", [2, 1, 1, 1], np.int64)], "instead of"),
        ("Slice", [("from", [0], np.int64), ("to", [3], np.int64), ("axes", [3], np.int64)], "instead of 1 x 4"),
        ("Squeeze", [("axes", [0], np.int64)], "instead of"),
        ("Not", [], "cannot open"),
    ],
)
def test_a_graph_that_gives_something_else_is_refused(
    operator: str, inputs: list[tuple[str, list[Any], type]], message: str, tmp_path: Path
) -> None:
    def change(model: Any) -> None:
        after_the_last(model, operator, *(constant(*own) for own in inputs))
        model.graph.output[0].type.tensor_type.ClearField("shape")

    bundle = with_graph(tmp_path / "bundle", change)
    with pytest.raises(EngineError, match=message) as caught:
        Fuser.open(bundle, threads=1).fuse(*synthetic_pair(40, 48))
    assert unclear(str(caught.value)) is None


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize(("operator", "value"), [("Max", 1.0009), ("Min", -0.0009)])
def test_rounding_beyond_a_probability_is_cut(operator: str, value: float, depth: type, tmp_path: Path) -> None:
    def change(model: Any) -> None:
        after_the_last(model, operator, constant("bound", [value], np.float32))

    fuser = Fuser.open(with_graph(tmp_path / "bundle", change), threads=1)
    white, black = (np.full((40, 48), level, depth) for level in (np.iinfo(depth).max, 0))
    for first, second in ((white, black), (black, white)):
        result = fuser.fuse(first, second)
        assert (result.probability == round(value)).all()
        np.testing.assert_array_equal(result.image, first if round(value) else second)


def test_a_graph_reads_no_file_outside_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(48))

    def change(model: Any) -> None:
        from onnx import TensorProto

        tensor = constant("factor", [1.0], np.float32)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", str(tmp_path / "secret")), ("offset", "0"), ("length", "4")):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        after_the_last(model, "Mul", tensor)

    assert "cannot open" in refusal(Fuser.open, with_graph(tmp_path / "bundle", change), threads=1)


# graphs that are counted


def test_a_graph_that_goes_round_in_circles_is_counted() -> None:
    assert peak_bytes([(["a"], ["b"])], {"a": 4, "b": 4}, {"a": "b", "b": "a"}, ["b"]) >= 0


@pytest.mark.parametrize("broken", ["operator", "tensor", "buffer", "length", "nothing", "inputs"])
def test_a_tflite_file_that_refers_to_what_is_not_there_is_refused(broken: str, tmp_path: Path) -> None:
    flatbuffer_utils = pytest.importorskip("ai_edge_litert.tools.flatbuffer_utils")
    from fusiongcn_edge.calibration.backends.tflite_format import layers_of
    from fusiongcn_edge.calibration.layers import CalibrationError

    bundle = shutil.copytree(SHIPPED / "litert" / "fusiongcn-lite", tmp_path / "bundle")
    model = flatbuffer_utils.read_model_from_bytearray(bytearray((bundle / "cnn.tflite").read_bytes()))
    graph = model.subgraphs[0]
    convolution = next(own for own in graph.operators if len(own.inputs) == 3)
    if broken == "operator":
        convolution.opcodeIndex = 99
    elif broken == "tensor":
        convolution.inputs = [2**30, 2**30, 2**30]
    elif broken == "buffer":
        graph.tensors[convolution.inputs[1]].buffer = 2**31
    elif broken == "length":
        graph.tensors[convolution.inputs[1]].shape = [-3, 5, 1, 7]
    elif broken == "nothing":
        convolution.outputs = []
    else:
        convolution.inputs = convolution.inputs[:1]
    data = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    (tmp_path / "cnn.tflite").write_bytes(data)
    assert "damaged" in refusal(cost_of_file, tmp_path / "cnn.tflite")
    manifest = json.loads((bundle / MANIFEST).read_bytes())
    for graph in manifest["graphs"].values():
        if graph["file"] == "cnn.tflite":
            graph |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["checksum"] = manifest_checksum(manifest)
    (bundle / "cnn.tflite").write_bytes(data)
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    with contextlib.suppress(CalibrationError):  # it need not look at all of it
        layers_of(load_bundle(bundle))


@pytest.mark.parametrize("broken", ["constant", "bytes", "length", "constant's length"])
def test_an_onnx_graph_that_is_damaged_is_not_counted(broken: str, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(SHIPPED / "onnx" / "fusiongcn-lite" / "cnn.onnx")
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    if broken == "constant":
        largest.raw_data = largest.raw_data[:-1]
    elif broken == "constant's length":
        largest.dims[0] = -1
    elif broken == "length":
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -2
    data = model.SerializeToString()
    (tmp_path / "graph.onnx").write_bytes(data[:-7] if broken == "bytes" else data)
    refusal(cost_of_file, tmp_path / "graph.onnx")
