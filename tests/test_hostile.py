"""Files, folders, arrays and arguments that nobody means well with: one sentence each, or a right answer.

Each reader that is fuzzed (``tests/fuzz``) gets its seeds and a few hundred changed ones here; what fuzzing has found
follows by hand.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fuzz.reader import Finding, unclear
from fuzz.readers import READERS

from fusiongcn_edge.benchmarks.cost import cost_of_file
from fusiongcn_edge.benchmarks.cost_rule import peak_bytes
from fusiongcn_edge.benchmarks.saved import read_saved
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import EngineError, Fuser, FusionError, ImageError, OutputError, align_frames
from fusiongcn_edge.runtime import headers as headers_module
from fusiongcn_edge.runtime.batch import is_made, record_path
from fusiongcn_edge.runtime.bundle import MANIFEST, SHIPPED, load_bundle, manifest_checksum
from fusiongcn_edge.runtime.errors import LONGEST
from fusiongcn_edge.runtime.files import check_folder, read_file
from fusiongcn_edge.runtime.headers import Declared, declared
from fusiongcn_edge.runtime.images import read_image, write_image
from fusiongcn_edge.runtime.pairs import find_pairs, made_pair

# how many changed inputs each reader gets; those that may end the process itself (see COMPATIBILITY.md) get none
CHANGED = dict.fromkeys(READERS, 200) | {
    "onnx": 0, "tflite": 0, "arguments": 60, "training-state": 15, "manifest": 80, "folders": 100, "cost": 100,
    "quantizable": 40, "checkpoint": 100,
}  # fmt: skip
LIBRARIES = {"heic": "pillow_heif", "raw": "rawpy"}


@pytest.mark.parametrize("name", READERS)
def test_seeds_and_changed_ones_are_read_or_refused_in_one_sentence(name: str) -> None:
    pytest.importorskip(LIBRARIES.get(name, "numpy"))
    reader, rng = READERS[name], random.Random(7)
    seeds = list(reader.seeds())
    inputs = [*seeds, *(reader.change(rng.choice(seeds), rng) for _ in range(CHANGED[name]))]
    found: list[Finding] = [wrong for data in inputs if (wrong := reader.finding(data[: reader.longest]))]
    assert [wrong.text for wrong in found] == []


def refusal(function: Callable[..., object], *arguments: object, **named: object) -> str:
    with pytest.raises(FusionError) as caught:
        function(*arguments, **named)
    assert unclear(str(caught.value)) is None
    return str(caught.value)


# pictures that are not what they say


def png(width: int, height: int, depth: int = 8, length: int | None = None) -> bytes:
    def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
        stated = len(content) if length is None else length
        return struct.pack(">I", stated) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99)), length)


def jpeg(width: int, height: int, progressive: int = 0) -> bytes:
    data = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1]
    plain = data.tobytes()
    at = plain.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return plain[: at + 5] + struct.pack(">HH", height, width) + plain[at + 9 :]


def tiff(width: int, height: int, order: str = "<") -> bytes:
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 4, 1, 8), (259, 4, 1, 1), (262, 4, 1, 1), (273, 4, 1, 8)]
    block = b"".join(struct.pack(order + "HHII", *tag) for tag in tags)
    lead = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return lead + block + bytes(200)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp", ".webp"])
@pytest.mark.parametrize("shape", [(5, 9, 3), (5, 9), (300, 1, 3)])
def test_a_picture_says_how_large_it_is(suffix: str, shape: tuple[int, ...]) -> None:
    picture = declared(cv2.imencode(suffix, np.full(shape, 7, np.uint8))[1].tobytes())
    assert picture is not None
    assert (picture.height, picture.width) == shape[:2]
    assert picture.bytes >= np.prod(shape)


def test_lossless_webp_with_alpha_says_how_large_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 255, (21, 34, 4), np.uint8)
    for quality in (50, 101):
        data = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
        picture = declared(data)
        assert picture is not None
        assert (picture.width, picture.height) == (34, 21)


def test_a_big_tiff_says_how_large_it_is() -> None:
    import io

    import tifffile

    for byteorder in "<>":
        file = io.BytesIO()
        tifffile.imwrite(file, np.zeros((5, 9, 3), np.uint8), bigtiff=True, byteorder=byteorder)
        assert declared(file.getvalue()) == Declared(9, 5, 8)


@pytest.mark.parametrize("data", [png(60_000, 60_000), jpeg(65_535, 65_535), tiff(60_000, 60_000), tiff(2**31, 9, ">")])
def test_a_picture_of_more_pixels_than_can_be_read_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(data)
    told = refusal(read_image, tmp_path / "bomb")
    # a JPEG of so few bytes cannot have so many pixels
    assert "1,073,741,824 can be read" in told or "is damaged" in told


@pytest.mark.parametrize(
    "data",
    [
        png(7, 9, length=0xFF000110),  # OpenCV 5.0 takes 4 GB and 17 s for it
        png(7, 9, length=2**31),
        jpeg(32_000, 32_000),  # 6 GB and 47 s
        jpeg(30_000, 30_000, progressive=1),  # minutes
        jpeg(2000, 2000)[:400] + b"\xff\xda" * 3000 + bytes(20_000),  # each scan takes time
        b"RIFF\x1e\0\0\0WEBPVP8L",
        b"RIFF\x1e\0\0\0WAVE" + bytes(40),
        b"BM" + bytes(20),
        b"II+\0" + bytes(30),
        b"\xff\xd8" + b"\xff" * 5000,
        b"GIF89a" + bytes(40),  # nothing but what is documented is handed to a decoder
        b"P6 9999999 9999999 255 " + bytes(40),
    ],
)
def test_a_picture_that_lies_is_refused_before_it_is_decoded(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cv2, "imdecode")
    (tmp_path / "bomb").write_bytes(data)
    assert "is damaged" in refusal(read_image, tmp_path / "bomb")


def test_a_picture_larger_than_the_free_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "large.png", np.zeros((100, 200, 3), np.uint8))
    monkeypatch.setattr(headers_module, "free_memory", lambda: 100_000)
    told = refusal(read_image, tmp_path / "large.png")
    assert "200x100 pixels, which take 0 MB" in told
    monkeypatch.setattr(headers_module, "free_memory", lambda: 160_000)
    assert read_image(tmp_path / "large.png").shape == (100, 200, 3)


# what is no file


@pytest.fixture
def no_files(tmp_path: Path) -> list[Path]:
    """A pipe that nobody writes to, an endless device, one behind a link, and a file that only says it is large."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 42)
    return [tmp_path / "pipe", Path("/dev/zero"), tmp_path / "link", tmp_path / "sparse"]


def test_pipes_devices_and_what_does_not_fit_are_not_read(no_files: list[Path]) -> None:
    for path in no_files:
        assert "cannot be read" in refusal(read_image, path)
        assert "cannot be read" in refusal(read_saved, path)
        assert "cannot be read" in refusal(cost_of_file, path)
        with pytest.raises(OSError, match=r"device|large"):
            read_file(path)


@pytest.mark.parametrize("file", [MANIFEST, "cnn.onnx"])
def test_a_bundle_of_pipes_and_devices_is_refused(file: str, no_files: list[Path], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(SHIPPED / "onnx" / "fusiongcn-lite", bundle)
    for path in [*no_files, tmp_path]:
        (bundle / file).unlink(missing_ok=True)
        (bundle / file).symlink_to(path)
        assert "cannot be read" in refusal(load_bundle, bundle)


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png"])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    assert "no file" in refusal(read_image, name)


def test_a_device_or_pipe_is_not_replaced_by_a_result(no_files: list[Path]) -> None:
    for path in no_files[:3]:
        with pytest.raises(OutputError, match="device or a pipe"):
            check_folder(path)


def test_a_record_that_nests_for_ever_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"result")
    record_path(tmp_path / "a.png").write_bytes(b"[" * 60_000)
    assert not is_made(tmp_path / "a.png", "mark")


# names


def test_an_error_is_one_line_that_a_terminal_shows(tmp_path: Path) -> None:
    told = refusal(read_image, tmp_path / "new\nline\x1b[31m\u2028\udcff.png")
    assert r"new\nline\x1b[31m\u2028\udcff.png" in told
    assert len(str(FusionError("x" * 5000 + "."))) < LONGEST + 5


@pytest.mark.parametrize("name", ["new\nline.png", "\udcff.png", "\x1b[31m.png"])
def test_a_result_of_any_name_is_told_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for path, picture in zip((name, "b.png"), made_pair(32, 40), strict=True):
        write_image(path, picture)
    for arguments in (["fuse", name, "b.png", "-o", f"out-{name}"], ["stack", name, "b.png", "-o", f"out-{name}"]):
        assert main(arguments) == 0
        out, err = capfd.readouterr()
        assert out.isascii()
        assert out.count("\n") == 1
        assert "\x1b" not in out
        assert err == ""


def test_names_with_patterns_in_them_are_names(tmp_path: Path) -> None:
    for side in "ab":
        (tmp_path / side).mkdir()
        for name in ("[1]", "*", "1", "1.b"):
            (tmp_path / side / f"{name}.png").write_bytes(b"")
    assert {pair.name: pair.b.name for pair in find_pairs(tmp_path)} == {
        name: f"{name}.png" for name in ("[1]", "*", "1", "1.b")
    }


# graphs that are not those that the manifest describes


def with_graph(bundle: Path, change: Callable[[Any], None]) -> Path:
    """A copy of Lite whose CNN is changed, hash and all."""
    import onnx

    shutil.copytree(SHIPPED / "onnx" / "fusiongcn-lite", bundle)
    model = onnx.load(bundle / "cnn.onnx")
    change(model)
    data = model.SerializeToString()
    (bundle / "cnn.onnx").write_bytes(data)
    manifest = json.loads((bundle / MANIFEST).read_bytes())
    manifest["graphs"]["cnn"] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["checksum"] = manifest_checksum(manifest)
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    return bundle


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
        Fuser.open(bundle, threads=1).fuse(*made_pair(40, 48))
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


# arrays


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (7, 7), (1, 300, 3)])
@pytest.mark.parametrize("model", ["shift", "similarity", "affine", "homography"])
def test_frames_too_small_to_be_aligned_are_refused(shape: tuple[int, ...], model: str) -> None:
    frames = [np.random.default_rng(n).integers(0, 255, shape, np.uint8) for n in range(2)]
    assert "at least 16 on each side" in refusal(align_frames, frames, model)
    assert len(align_frames(frames, "none", match_exposure=True)) == 2


# numbers and graphs that are counted


def test_a_size_that_no_photograph_has_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    for size in ("9" * 4000 + "x1", "99999999x99999999", "0x5"):
        with pytest.raises(SystemExit):
            main(["info", "--model", "fusiongcn-lite", "--size", size])
        assert "is no size: give height x width" in capfd.readouterr().err


def test_a_graph_that_goes_round_in_circles_is_counted() -> None:
    assert peak_bytes([(["a"], ["b"])], {"a": 4, "b": 4}, {"a": "b", "b": "a"}, ["b"]) >= 0


def test_room_is_checked_with_a_name() -> None:
    with pytest.raises(ImageError, match=r"photo\.heic says that it has 40000x40000"):
        headers_module.check_room("photo.heic", Declared(40_000, 40_000, 8))


@pytest.mark.parametrize("broken", ["operator", "tensor", "buffer", "length", "nothing", "inputs"])
def test_a_tflite_file_that_refers_to_what_is_not_there_is_refused(broken: str, tmp_path: Path) -> None:
    flatbuffer_utils = pytest.importorskip("ai_edge_litert.tools.flatbuffer_utils")
    from fusiongcn_edge.calibration.layers import CalibrationError
    from fusiongcn_edge.calibration.litert_format import layers_of

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


# what training goes on from


def test_a_training_run_does_not_go_on_from_what_is_damaged(tmp_path: Path) -> None:
    import io

    import torch

    from fusiongcn_edge.model.photographs import Photographs
    from fusiongcn_edge.model.recipe import RECIPES, TrainingError
    from fusiongcn_edge.model.training import LOG_FIELDS, Run, _Log

    photographs = tmp_path / "photographs" / "images"
    photographs.mkdir(parents=True)
    write_image(photographs / "one.png", made_pair(96, 100)[0])
    run = Run(RECIPES["lite"], tmp_path, Photographs(photographs), Photographs(photographs))
    run.save()
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    wrong: list[dict[str, Any]] = [{"step": -1}, {"step": "x"}, {"seconds": float("nan")}, {"origin": 3}, {"model": {}}]
    wrong += [{"optimizer": {"state": {}, "param_groups": []}}, {"average": []}, {"recipe": {"cell_sizes": []}}]
    for change in wrong:
        file = io.BytesIO()
        torch.save({**state, **change}, file)
        (tmp_path / "state.pt").write_bytes(file.getvalue())
        with pytest.raises(TrainingError, match="is damaged: remove it") as caught:
            run._resume()
        assert unclear(str(caught.value)) is None
    for text in ("step\nmany\n", "steps\n1\n", "step\n1\n", "step,\n", ",".join(LOG_FIELDS) + "\n\0,\n"):
        (tmp_path / "log.csv").write_text(text)
        assert _Log(tmp_path / "log.csv", 5).rows == []
        assert (tmp_path / "log.csv").read_text().splitlines() == [",".join(LOG_FIELDS)]


def test_a_segmentation_belongs_to_its_photograph(tmp_path: Path) -> None:
    from fusiongcn_edge.model.photographs import Photographs

    for folder, name, side in (("images", "[1].png", 80), ("segments", "[1]_0.png", 70), ("segments", "1_0.png", 80)):
        (tmp_path / folder).mkdir(exist_ok=True)
        write_image(tmp_path / folder / name, np.zeros((side, 80), np.uint8))
    photographs = Photographs(tmp_path / "images")
    assert "is not of the size of" in refusal(photographs.crop, np.random.default_rng(0), 32)
