from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusiongcn_edge.runtime import BundleError, EngineError, Fuser, FusionError
from fusiongcn_edge.runtime.bundle.manifest import FORMAT, Bundle
from fusiongcn_edge.runtime.bundle.reader import load_bundle, manifest_checksum
from helpers.profiles import examples

Key = tuple[str, ...]


def sentence(error: FusionError) -> str:
    """The message of an error, which is one line that ends."""
    text = str(error)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def refusal(path: Path) -> str:
    """The sentence with which a bundle is refused."""
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    return sentence(caught.value)


def manifest_of(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "bundle.json").read_text("utf-8"))


def write_manifest(bundle: Path, manifest: Any) -> None:
    """Replace the manifest by one that only its content can give away: the checksum, if it has one, is right."""
    if isinstance(manifest, dict) and "checksum" in manifest:
        manifest = {**manifest, "checksum": manifest_checksum(manifest)}
    (bundle / "bundle.json").write_text(json.dumps(manifest), "utf-8")


def keys_of(tree: dict[str, Any], above: Key = ()) -> Iterator[Key]:
    for key, value in tree.items():
        yield (*above, key)
        if isinstance(value, dict) and key != "origin":  # what stands in origin is for people
            yield from keys_of(value, (*above, key))


def with_value(manifest: dict[str, Any], key: Key, *value: Any) -> dict[str, Any]:
    """A copy with another value at ``key``, or without it."""
    copy = json.loads(json.dumps(manifest))
    place = copy
    for part in key[:-1]:
        place = place[part]
    if value:
        place[key[-1]] = value[0]
    else:
        del place[key[-1]]
    return copy


def test_a_whole_bundle_opens(random_bundle: Path) -> None:
    bundle = load_bundle(random_bundle)
    assert (bundle.name, bundle.precision, bundle.engine) == ("fusiongcn", "fp32", "onnx")
    assert set(bundle.graphs) == {"gcn", *(stage.graph for stage in bundle.stages)}
    assert load_bundle(str(random_bundle)).params == 137_174


@pytest.mark.parametrize("file", ["gcn.onnx", "join.onnx"])
@pytest.mark.parametrize("length", [0, 1, -1])
def test_a_truncated_graph_is_refused(file: str, length: int, bundle_copy: Path) -> None:
    data = (bundle_copy / file).read_bytes()
    (bundle_copy / file).write_bytes(data[:length])
    assert f"bytes instead of {len(data)}, so it is truncated" in refusal(bundle_copy)


@pytest.mark.parametrize("file", ["gcn.onnx", "join.onnx"])
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_graph_with_one_bit_changed_is_refused(file: str, place: float, bundle_copy: Path) -> None:
    data = bytearray((bundle_copy / file).read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    (bundle_copy / file).write_bytes(data)
    assert "SHA-256 differs" in refusal(bundle_copy)


def test_a_graph_with_bytes_added_is_refused(bundle_copy: Path) -> None:
    with (bundle_copy / "join.onnx").open("ab") as file:
        file.write(b"\0")
    assert "altered" in refusal(bundle_copy)


@pytest.mark.parametrize("file", ["gcn.onnx", "join.onnx"])
def test_a_missing_graph_is_named(file: str, bundle_copy: Path) -> None:
    (bundle_copy / file).unlink()
    assert f"{file} is missing" in refusal(bundle_copy)


def test_a_folder_without_manifest_is_no_bundle(bundle_copy: Path) -> None:
    (bundle_copy / "bundle.json").unlink()
    assert "holds no bundle.json" in refusal(bundle_copy)


@pytest.mark.parametrize("model", ["no-such-model", "no/such/folder", "", "bundle.json", "name\0"])
def test_an_unknown_model_is_refused_with_what_to_give_instead(
    model: str, bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle_copy.parent)
    (bundle_copy.parent / "bundle.json").write_text("{}")
    with pytest.raises(BundleError, match=r"fusiongcn export|export the model again") as caught:
        load_bundle(model)
    sentence(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "no json at all",
        "[]",
        "null",
        "3",
        '"format"',
        f'{{"format": {FORMAT}}}',
        "[" * 100_000,
        "\ufeff{}",
        "1" * 5000,
    ],
    ids=lambda text: text[:12],
)
def test_a_manifest_that_is_no_manifest_is_refused(text: str, bundle_copy: Path) -> None:
    (bundle_copy / "bundle.json").write_text(text, "utf-8")
    assert "damaged" in refusal(bundle_copy)


def test_a_manifest_that_is_no_text_is_refused(bundle_copy: Path) -> None:
    (bundle_copy / "bundle.json").write_bytes(bytes(range(256)))
    assert "damaged" in refusal(bundle_copy)


def test_a_truncated_manifest_is_refused(bundle_copy: Path) -> None:
    data = (bundle_copy / "bundle.json").read_bytes()
    for length in range(0, len(data) - 2, 997):
        (bundle_copy / "bundle.json").write_bytes(data[:length])
        assert "damaged" in refusal(bundle_copy)


def test_a_bundle_of_a_newer_format_asks_for_an_upgrade(bundle_copy: Path) -> None:
    write_manifest(bundle_copy, {**manifest_of(bundle_copy), "format": FORMAT + 1})
    assert "upgrade fusiongcn-edge" in refusal(bundle_copy)
    write_manifest(bundle_copy, {"format": 99, "whatever": "comes then"})
    assert "upgrade fusiongcn-edge" in refusal(bundle_copy)


def test_a_bundle_of_an_older_format_asks_for_another_export(bundle_copy: Path) -> None:
    write_manifest(bundle_copy, {**manifest_of(bundle_copy), "format": FORMAT - 1})
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle_copy)
    assert (caught.value.found, caught.value.allowed) == (FORMAT - 1, FORMAT)
    assert "export" in caught.value.fix


@pytest.mark.parametrize("version", [0, -1, "1", None, 1.5])
def test_a_bundle_of_no_known_format_is_refused(version: Any, bundle_copy: Path) -> None:
    write_manifest(bundle_copy, {**manifest_of(bundle_copy), "format": version})
    assert "format is" in refusal(bundle_copy)


@pytest.mark.parametrize("file", ["../join.onnx", "..", ".", "", "sub/join.onnx", "/etc/passwd", "cnn\0.onnx"])
def test_a_graph_lies_in_the_bundle_itself(file: str, bundle_copy: Path) -> None:
    (bundle_copy.parent / "join.onnx").write_bytes((bundle_copy / "join.onnx").read_bytes())
    write_manifest(bundle_copy, with_value(manifest_of(bundle_copy), ("graphs", "join", "file"), file))
    refusal(bundle_copy)


def test_a_number_altered_within_its_range_is_noticed(bundle_copy: Path) -> None:
    manifest = manifest_of(bundle_copy)
    manifest["preprocessing"]["superpixels"]["compactness"] *= 2
    (bundle_copy / "bundle.json").write_text(json.dumps(manifest), "utf-8")
    assert "checksum differs" in refusal(bundle_copy)


@pytest.mark.parametrize(
    ("graph", "tensor", "shape"),
    [
        ("gcn", "features", [2, 26_992, 3]),
        ("tables", "shallow", [2, 10**9, 18]),
        ("join", "cnn", [1, 24, 10**5, 10**5]),
    ],
)
def test_graphs_for_more_than_any_photograph_are_refused(
    graph: str, tensor: str, shape: list[int], bundle_copy: Path
) -> None:
    manifest = manifest_of(bundle_copy)
    assert tensor in manifest["graphs"][graph]["inputs"]
    write_manifest(bundle_copy, with_value(manifest, ("graphs", graph, "inputs", tensor, 1), shape))
    assert f"{tensor} of {graph}.onnx has" in refusal(bundle_copy)


def test_a_manifest_may_be_laid_out_anew(bundle_copy: Path) -> None:
    manifest = manifest_of(bundle_copy)
    (bundle_copy / "bundle.json").write_text(json.dumps(dict(reversed(manifest.items()))), "utf-8")
    load_bundle(bundle_copy)


def test_no_key_of_the_manifest_can_be_missed(bundle_copy: Path) -> None:
    manifest = manifest_of(bundle_copy)
    keys = list(keys_of(manifest))
    assert ("preprocessing", "superpixels", "compactness") in keys
    assert ("graphs", "join", "inputs", "cnn") in keys
    for key in keys:
        write_manifest(bundle_copy, with_value(manifest, key))
        with pytest.raises(FusionError) as caught:
            Fuser.open(bundle_copy)
        # a tensor missing from a signature may be found out only when the engine compares it with the graph
        in_signature = key[0] == "graphs" and len(key) == 4
        assert isinstance(caught.value, BundleError | EngineError if in_signature else BundleError), key
        sentence(caught.value)


@pytest.mark.parametrize("value", [None, "many", [], {}, math.nan, math.inf, -math.inf])
def test_no_number_of_the_manifest_can_be_something_else(value: Any, bundle_copy: Path) -> None:
    manifest = manifest_of(bundle_copy)
    numbers = [
        *(("preprocessing", "superpixels", n) for n in manifest["preprocessing"]["superpixels"]),
        *(("preprocessing", n) for n in ("minimum_size", "guide")),
        *(("preprocessing", "guide", n) for n in ("kernel", "bias")),
        *(("decision", n) for n in manifest["decision"]),
        *(("macs", n) for n in manifest["macs"]),
        ("params",),
        ("graphs", "join", "bytes"),
    ]
    for key in numbers:
        write_manifest(bundle_copy, with_value(manifest, key, value))
        refusal(bundle_copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("preprocessing", "minimum_size"), 0),
        (("preprocessing", "superpixels", "compactness"), 0),
        (("preprocessing", "superpixels", "compactness"), -10),
        (("preprocessing", "superpixels", "segments_per_side"), 0),
        (("preprocessing", "superpixels", "sigma"), -1),
        (("preprocessing", "superpixels", "sigma"), 10**400),
        (("preprocessing", "superpixels", "iterations"), 0),
        (("preprocessing", "superpixels", "sigma"), 1024),
        (("decision", "threshold"), -0.5),
        (("decision", "smallest_component"), -0.001),
        (("preprocessing", "guide", "kernel"), [[[0.0]]] * 5),
        (("preprocessing", "guide", "kernel"), [[0.0]] * 6),
        (("preprocessing", "guide", "kernel"), [[[]]] * 6),
        (("preprocessing", "guide", "kernel"), [[[0.0, 0.0]]] * 6),
        (("preprocessing", "guide", "kernel"), [[[0.0], [0.0, 1.0]]] * 6),
        (("preprocessing", "guide", "kernel"), [[[0.0]]] * 5 + [[[math.nan]]]),
        (("preprocessing", "guide", "kernel"), [[[0.0]]] * 5 + [[[1e39]]]),
    ],
)
def test_a_number_out_of_range_is_refused(key: Key, value: Any, bundle_copy: Path) -> None:
    write_manifest(bundle_copy, with_value(manifest_of(bundle_copy), key, value))
    assert "damaged" in refusal(bundle_copy)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_manifest_opens_or_is_refused_in_one_sentence(data: st.DataObject, bundle_copy: Path) -> None:
    if not (bundle_copy / "original").exists():
        (bundle_copy / "bundle.json").rename(bundle_copy / "original")
    manifest = json.loads((bundle_copy / "original").read_text("utf-8"))
    key = data.draw(st.sampled_from(list(keys_of(manifest))))
    write_manifest(bundle_copy, with_value(manifest, key, data.draw(json_values)))
    try:
        assert isinstance(load_bundle(bundle_copy), Bundle)
    except BundleError as error:
        sentence(error)


def test_a_bundle_for_an_unknown_engine_is_refused(bundle_copy: Path) -> None:
    write_manifest(bundle_copy, {**manifest_of(bundle_copy), "engine": "abacus"})
    with pytest.raises(EngineError, match="no engine 'abacus'") as caught:
        Fuser.open(bundle_copy)
    sentence(caught.value)


def test_a_bundle_for_another_engine_than_asked_for_is_refused(random_bundle: Path) -> None:
    with pytest.raises(BundleError, match="made for the engine 'onnx', not 'litert'") as caught:
        Fuser.open(random_bundle, engine="litert")
    sentence(caught.value)


def test_costs_grow_with_the_image(random_bundle: Path) -> None:
    bundle = load_bundle(random_bundle)
    assert bundle.macs(520, 1040) > 1.9 * bundle.macs(520, 520)
    assert bundle.macs(520, 1040) == bundle.macs(1040, 520)
