"""The bundle: everything a device needs for one model at one precision in one format.

A folder with ``bundle.json`` (the manifest) and the graph files it names. What each field means and what a format
version promises stands in FORMAT.md beside this file.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusiongcn_edge.runtime.bundle.manifest import (
    BLENDS,
    FORMAT,
    GRAPHS,
    LITE,
    MANIFEST,
    PUBLISHED,
    SEQUENTIAL,
    SIMULTANEOUS,
    Bundle,
    Graph,
    Stage,
    base_name,
)
from fusiongcn_edge.runtime.bundle.validation import (
    check_capacity,
    check_chain,
    check_lite,
    check_sizes,
    number_in_range,
    read_grid_slic_settings,
    read_slic_settings,
    small_pixel_count,
)
from fusiongcn_edge.runtime.errors import BundleError
from fusiongcn_edge.runtime.io.files import read_file

LARGEST_MANIFEST = 1 << 24  # bytes; those shipped have ten thousand
SHIPPED = Path(__file__).parents[1] / "bundles"


def shipped_bundles() -> list[str]:
    """Names of the models inside this package."""
    return sorted({path.parent.name for path in _shipped_manifests()})


def _shipped_manifests(name: str = "*") -> list[Path]:
    """``bundles/ENGINE/NAME/bundle.json``."""
    return sorted(SHIPPED.glob(f"*/{name}/{MANIFEST}"), reverse=True)


def load_bundle(model: str | os.PathLike[str], engines: Sequence[str] = ()) -> Bundle:
    """Open a shipped bundle by name or any bundle by path, and verify every byte of it.

    Parameters
    ----------
    model : str or path
        A string that is the name of a shipped model means that one; write ``./name`` or a Path for a folder so called.
    engines : sequence of str
        Engines that a shipped model may be for, the best first; where it is there for none of them, any.

    Raises
    ------
    BundleError
        If there is none, or it is truncated, altered, or of another format.
    """
    if not isinstance(model, str | os.PathLike):
        raise BundleError(f"{model!r} is no model", fix="give the name of a shipped one or the path of a bundle")
    path = Path(model)
    if isinstance(model, str) and model in shipped_bundles():
        by_engine = {manifest.parts[-3]: manifest.parent for manifest in _shipped_manifests(model)}
        path = next((by_engine[engine] for engine in engines if engine in by_engine), next(iter(by_engine.values())))
    if os.path.isfile(path):
        raise BundleError(
            f"{path} is a file, and a bundle is a folder", fix="give the folder that 'fusiongcn export' made"
        )
    if not str(model) or not os.path.isdir(path):
        shipped = shipped_bundles()
        near = difflib.get_close_matches(str(model), shipped, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise BundleError(
            f"No model {str(model)!r} was found{meant}",
            fix=(
                "give the path of a bundle made by 'fusiongcn export', "
                f"or the name of a shipped one ({', '.join(shipped) or 'none yet'})"
            ),
        )
    try:
        manifest = json.loads(read_file(path / MANIFEST, LARGEST_MANIFEST).decode("utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path} holds no {MANIFEST}, so it is no bundle", fix="export the model again") from None
    except (OSError, ValueError, RecursionError):
        raise BundleError(f"{path / MANIFEST} cannot be read or is damaged", fix="export the model again") from None
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(version, int) and not isinstance(version, bool) and 0 < version != FORMAT:
        raise BundleError(
            f"{path} has another bundle format than this version of fusiongcn-edge reads",
            found=version,
            allowed=FORMAT,
            fix="upgrade fusiongcn-edge" if version > FORMAT else "export the model again",
        )
    try:
        if version != FORMAT or isinstance(version, bool):
            raise ValueError(f"format is {version!r}")
        if manifest["checksum"] != manifest_checksum(manifest):
            raise ValueError("its checksum differs")
        return _parse(path, manifest)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else error
        raise BundleError(f"{path / MANIFEST} is damaged", found=why, fix="export the model again") from None


def manifest_checksum(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest's content but for the checksum itself, however it is laid out."""
    content = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _parse(path: Path, manifest: dict[str, Any]) -> Bundle:
    pre, decision = manifest["preprocessing"], manifest["decision"]
    network = manifest["network"]
    if network not in (PUBLISHED, LITE):
        raise ValueError(f"network is {network!r}")
    if decision["blend"] not in BLENDS:
        raise ValueError(f"blend is {decision['blend']!r}")
    component_removal = decision["component_removal"]
    if component_removal not in (SEQUENTIAL, SIMULTANEOUS):
        raise ValueError(f"component_removal is {component_removal!r}")
    stages = tuple(_read_stage(entry, manifest["graphs"]) for entry in manifest["stages"])
    cached_tensors = tuple(map(str, manifest["cached_tensors"]))
    check_chain(stages, cached_tensors)
    names = ("gcn", *(stage.graph for stage in stages)) if stages else GRAPHS
    graphs, files = {}, dict[str, bytes]()
    for key, entry in manifest["graphs"].items():
        if base_name(key) in names:
            graphs[key] = _read_graph(path, entry, files)
    missing = set(names) - {base_name(key) for key in graphs}
    if missing:
        raise KeyError(min(missing))
    margin = small_pixel_count(manifest["margin"]) if network == LITE else 0
    for graph in graphs.values():
        check_capacity(graph)
    if network == LITE:
        check_lite(graphs, stages, margin)
    else:
        check_sizes(graphs, stages)
    return Bundle(
        path=path,
        name=str(manifest["name"]),
        network=network,
        precision=str(manifest["precision"]),
        engine=str(manifest["engine"]),
        minimum_size=int(number_in_range(pre["minimum_size"], low=2)),
        superpixels=read_grid_slic_settings(pre["superpixels"]) if network == LITE else read_slic_settings(pre),
        margin=margin,
        threshold=number_in_range(decision["threshold"], low=0.0, high=1.0),
        smallest_component=number_in_range(decision["smallest_component"], low=0.0),
        component_removal=component_removal,
        blend=decision["blend"],
        graphs=graphs,
        stages=stages,
        cached_tensors=cached_tensors,
        params=int(number_in_range(manifest["params"], low=0)),
        macs_terms={
            term: number_in_range(manifest["macs"][term], low=0)
            for term in ("per_pair", "per_pixel", "per_node", "per_node_squared")
        },
        origin=dict(manifest["origin"]),
        quantization=dict(manifest.get("quantization", {})),
    )


def _read_stage(entry: dict[str, Any], graphs: dict[str, Any]) -> Stage:
    graph = next((graph for key, graph in graphs.items() if base_name(key) == entry["graph"]), None)
    if graph is None:
        raise KeyError(entry["graph"])
    return Stage(
        graph=str(entry["graph"]),
        inputs=tuple(graph["inputs"]),
        outputs=tuple(graph["outputs"]),
        halo={str(name): small_pixel_count(pixels) for name, pixels in entry["halo"].items()},
        valid_crop=small_pixel_count(entry["valid_crop"]),
        gather={str(name): str(places) for name, places in entry.get("gather", {}).items()},
    )


def _read_graph(path: Path, entry: dict[str, Any], files: dict[str, bytes]) -> Graph:
    """A verified graph; ``files`` are those that have been read, and the same bytes serve all graphs in one."""
    file = str(entry["file"])
    if Path(file).name != file:
        raise ValueError(f"{file!r} is not a plain file name")
    try:
        data = files[file] if file in files else read_file(path / file)
    except OSError:
        raise BundleError(f"{path / file} is missing or cannot be read", fix="export the model again") from None
    files[file] = data
    if len(data) != int(entry["bytes"]):
        raise BundleError(
            f"{path / file} has {len(data)} bytes instead of {entry['bytes']}, so it is truncated or altered",
            fix="copy or export the model again",
        )
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise BundleError(
            f"{path / file} is not what {MANIFEST} describes (SHA-256 differs)", fix="copy or export the model again"
        )
    for side in ("inputs", "outputs"):
        for name, (_, shape) in entry[side].items():
            if not all(isinstance(d, str) or (type(d) is int and 0 < d < 2**31) for d in shape):
                raise ValueError(f"the shape of {name} is {shape}")
    inputs, outputs = (
        {name: (str(dtype), tuple(shape)) for name, (dtype, shape) in entry[side].items()}
        for side in ("inputs", "outputs")
    )
    return Graph(file, data, inputs, outputs, str(entry["entry"]) if "entry" in entry else None)
