"""Bundles whose hashes are right, whatever is in them: the manifest, ONNX graphs, TFLite graphs."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fusiongcn_edge.runtime import Fuser, FusionResult
from fusiongcn_edge.runtime.bundle.manifest import MANIFEST
from fusiongcn_edge.runtime.bundle.reader import SHIPPED, load_bundle, manifest_checksum
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fuzz.reader import Apart, Reader, changed_bytes, changed_json, scratch

SIDE = 40


@cache
def pair() -> tuple[Any, Any]:
    """What is fused."""
    return synthetic_pair(SIDE, SIDE + 9)


@cache
def copied(engine: str, model: str) -> Path:
    """A copy of a shipped bundle, to be altered."""
    return Path(shutil.copytree(SHIPPED / engine / model, scratch() / engine / model))


def check(result: FusionResult) -> None:
    """What a fusion promises."""
    first = pair()[0]
    assert result.image.shape == first.shape
    assert result.image.dtype == first.dtype
    assert result.decision.shape == result.probability.shape == first.shape[:2]
    assert result.decision.dtype == bool
    assert result.probability.dtype == np.float32
    assert (result.probability >= 0).all(), "probabilities below 0, or not numbers"
    assert (result.probability <= 1).all(), "probabilities above 1"


def with_manifest(folder: Path, data: bytes) -> None:
    """Write the manifest, its checksum made right if it has one."""
    try:
        manifest = json.loads(data)
        if isinstance(manifest, dict) and "checksum" in manifest:
            manifest["checksum"] = manifest_checksum(manifest)
            data = json.dumps(manifest).encode()
    except (ValueError, RecursionError):
        pass
    (folder / MANIFEST).write_bytes(data)


MODELS = [("onnx", "fusiongcn-lite"), ("onnx", "fusiongcn"), ("litert", "fusiongcn-lite"), ("litert", "fusiongcn")]


def _manifests() -> list[bytes]:
    """A digit that says which model, and its manifest."""
    return [b"%d" % number + (SHIPPED.joinpath(*own) / MANIFEST).read_bytes() for number, own in enumerate(MODELS)]


def read_manifest(data: bytes) -> None:
    """Open the bundle and fuse with it."""
    folder = copied(*MODELS[data[0] % len(MODELS)] if data else MODELS[0])
    with_manifest(folder, data[1:])
    fuser = Fuser.open(folder, threads=1)
    if fuser.bundle.minimum_size <= SIDE and _quick(fuser):
        check(fuser.fuse(*pair()))


def _quick(fuser: Fuser) -> bool:
    """Whether the numbers say no more work than fuzzing has time for."""
    return fuser.bundle.superpixels.iterations < 50 and fuser.bundle.superpixels.segments_per_side < 2


def _changed_manifest(data: bytes, rng: random.Random) -> bytes:
    return data[:1] + changed_json(data[1:], rng)


def _graphs(engine: str, suffix: str) -> list[bytes]:
    """Graph files of Lite, the letter before them says which."""
    folder = SHIPPED / engine / "fusiongcn-lite"
    return [name[:1].encode() + (folder / f"{name}.{suffix}").read_bytes() for name in ("cnn", "gcn")]


def with_graph(engine: str, data: bytes) -> Path:
    """A bundle that holds this graph, its hash and length made right."""
    folder = copied(engine, "fusiongcn-lite")
    manifest = json.loads((SHIPPED / engine / "fusiongcn-lite" / MANIFEST).read_bytes())
    changed = "gcn" if data[:1] == b"g" else "cnn"
    for key, graph in manifest["graphs"].items():
        content = (SHIPPED / engine / "fusiongcn-lite" / graph["file"]).read_bytes()
        if key.partition("@")[0] == changed:
            content = data[1:]
        (folder / graph["file"]).write_bytes(content)
        graph |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    with_manifest(folder, json.dumps(manifest).encode())
    return folder


def read_graph(engine: str, data: bytes) -> None:
    """Open a bundle with this graph and fuse with it."""
    check(Fuser.open(with_graph(engine, data), threads=1).fuse(*pair()))


def read_onnx(data: bytes) -> None:
    """The same on ONNX Runtime."""
    read_graph("onnx", data)


def read_tflite(data: bytes) -> None:
    """The same on LiteRT."""
    read_graph("litert", data)


def changed_onnx(data: bytes, rng: random.Random) -> bytes:
    """A graph that is one still, but another: shapes, types, operators, constants, names."""
    import onnx

    if rng.random() < 0.2:
        return data[:1] + changed_bytes(data[1:], rng)
    try:
        model = onnx.load_from_string(data[1:])
    except Exception:
        return data[:1] + changed_bytes(data[1:], rng)
    graph = model.graph
    for _ in range(rng.choice([1, 1, 2, 4])):
        what = rng.randrange(7)
        if what == 0 and graph.node:
            node = rng.choice(graph.node)
            node.op_type = rng.choice([rng.choice(graph.node).op_type, "Loop", "If", "Reshape", "Expand", "Pad"])
        elif what == 1 and graph.node:
            node, other = rng.choice(graph.node), rng.choice(graph.node)
            if node.input and other.output:
                node.input[rng.randrange(len(node.input))] = rng.choice([*other.output, *other.input, "", "x"])
        elif what == 2 and graph.initializer:
            tensor = rng.choice(graph.initializer)
            if tensor.dims:
                tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice([0, -1, 1, 7, 2**31, 2**62])
        elif what == 3 and graph.initializer:
            tensor = rng.choice(graph.initializer)
            tensor.raw_data = changed_bytes(tensor.raw_data, rng)
        elif what == 4 and graph.node:
            attributes = [a for node in graph.node for a in node.attribute]
            if attributes:
                attribute = rng.choice(attributes)
                attribute.i = rng.choice([-1, 0, 1, 2, 100, 2**31, 2**62])
                if attribute.ints:
                    attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice([-1, 0, 1, 3, 1000, 2**40])
        elif what == 5:
            value = rng.choice([*graph.input, *graph.output])
            shape = value.type.tensor_type.shape
            if rng.random() < 0.3:
                value.type.tensor_type.elem_type = rng.randrange(18)
            elif shape.dim:
                shape.dim[rng.randrange(len(shape.dim))].dim_value = rng.choice([0, 1, 2, 9, 2**31])
        elif graph.node:
            del graph.node[rng.randrange(len(graph.node))]
    return data[:1] + model.SerializeToString()


_whole = set[int]()  # of TFLite files that can be parsed: of others, that may take for ever


def changed_tflite(data: bytes, rng: random.Random) -> bytes:
    """A graph that is one still, but another: shapes, types, operators, constants, connections."""
    from ai_edge_litert.tools import flatbuffer_utils

    if not _whole:
        _whole.update(hash(seed[1:]) for seed in _graphs("litert", "tflite"))
    if rng.random() < 0.4 or hash(data[1:]) not in _whole:
        return data[:1] + changed_bytes(data[1:], rng)
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data[1:]))
    graph = rng.choice(model.subgraphs)
    what, tensor = rng.randrange(6), rng.choice(graph.tensors)
    operator = rng.choice(graph.operators)
    if what == 0 and tensor.shape is not None:
        tensor.shape = [rng.choice([0, -1, 1, 2, 9, 2**31 - 1, int(side)]) for side in tensor.shape]
    elif what == 1:
        tensor.type = rng.randrange(18)
    elif what == 2 and len(operator.inputs):
        operator.inputs = [int(index) for index in operator.inputs]
        operator.inputs[rng.randrange(len(operator.inputs))] = rng.choice([-1, 0, 1, len(graph.tensors), 2**31 - 1])
    elif what == 3:
        operator.opcodeIndex = rng.randrange(len(model.operatorCodes) + 1)
    elif what == 4:
        tensor.buffer = rng.choice([0, 1, len(model.buffers), rng.randrange(len(model.buffers))])
    else:
        code = rng.choice(model.operatorCodes)
        code.builtinCode = code.deprecatedBuiltinCode = rng.randrange(127)
    changed = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    _whole.add(hash(changed))
    return data[:1] + changed


def read_for_quantizing(data: bytes) -> None:
    """What ``fusiongcn quantize`` reads of a bundle's graphs; the first letter says which format."""
    from fusiongcn_edge.calibration.layers import format_of

    bundle = load_bundle(with_graph("onnx" if data[:1] == b"o" else "litert", data[1:]))
    layers = format_of(bundle).layers_of(bundle)
    assert all(layer.weights > 0 for layer in layers)
    format_of(bundle).float_only(bundle)


def _both() -> list[bytes]:
    return [b"o" + seed for seed in _graphs("onnx", "onnx")] + [b"t" + seed for seed in _graphs("litert", "tflite")]


def _changed_either(data: bytes, rng: random.Random) -> bytes:
    return data[:1] + (changed_onnx if data[:1] == b"o" else changed_tflite)(data[1:], rng)


READERS = [
    Reader("manifest", _manifests, read_manifest, _changed_manifest),
    Reader("onnx", lambda: _graphs("onnx", "onnx"), Apart(__name__, "read_onnx"), changed_onnx, 1 << 17),
    Reader("tflite", lambda: _graphs("litert", "tflite"), Apart(__name__, "read_tflite"), changed_tflite, 1 << 17),
    Reader(
        "quantizable",
        _both,
        read_for_quantizing,
        _changed_either,
        1 << 17,
        ("calibration.onnx_format", "calibration.litert_format"),
    ),
]
