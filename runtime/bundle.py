"""The bundle: everything a device needs for one model at one precision in one format.

A folder with ``bundle.json`` (the manifest) and the graph files it names. What each field means and what a format
version promises stands in COMPATIBILITY.md beside this file.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusiongcn_edge.runtime.errors import BundleError
from fusiongcn_edge.runtime.files import read_file
from fusiongcn_edge.runtime.regions import GRID, LEAST_PIXELS, STEP, RegionSettings, filled_up
from fusiongcn_edge.runtime.superpixels import SuperpixelSettings

FORMAT = 3
LARGEST_MANIFEST = 1 << 24  # bytes; those shipped have ten thousand
MANIFEST = "bundle.json"
SHIPPED = Path(__file__).parent / "bundles"
GRAPHS = ("gcn", "cnn")
MOST_SEGMENTS, MOST_ITERATIONS, MOST_SIGMA = 10, 1000, 100  # beyond, superpixels would take all memory or all day
MOST_SUPERPIXELS, LARGEST_SIZE = 8192, 2_000_000  # and pixels, that a graph of a fixed size may be for
BLENDS = ("hard", "soft")
IN_TURN, AT_ONCE = "in turn", "at once"  # how small regions of the decision map change sides
PUBLISHED, LITE = "fusiongcn", "lite"  # networks


@dataclass(frozen=True)
class Graph:
    """A graph and its tensors: name of each to (dtype, shape), free dimensions by name.

    ``data`` is the content of its file; ``entry`` is its name in there, where a file holds several graphs.
    """

    file: str
    data: bytes
    inputs: dict[str, tuple[str, tuple[int | str, ...]]]
    outputs: dict[str, tuple[str, tuple[int | str, ...]]]
    entry: str | None = None


@dataclass(frozen=True)
class Stage:
    """One step of a CNN that runs in tiles; see :class:`fusiongcn_edge.runtime.tiles.TiledCnn`.

    ``reach``: input to the number of pixels around the tile that it comes with, zeros outside the image. All images
    come with ``crop`` pixels more, where the image has them, which are cut off the outputs. ``spread``: input that is a
    table, handed over as an image: to each pixel the row that another image, an input of ``places``, says.
    """

    graph: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reach: dict[str, int]
    crop: int
    spread: dict[str, str]

    @property
    def reads(self) -> tuple[str, ...]:
        """All that it is computed from: its inputs, and the images that say where tables are spread."""
        return (*self.inputs, *self.spread.values())

    @property
    def sums(self) -> tuple[str, ...]:
        """The outputs that are sums over a tile."""
        return tuple(name for name in self.outputs if name.endswith(("_sum", "_squares")))


@dataclass(frozen=True)
class Bundle:
    """A verified bundle in memory."""

    path: Path
    name: str
    network: str  # PUBLISHED or LITE
    precision: str
    engine: str
    minimum_size: int
    superpixels: SuperpixelSettings | RegionSettings
    margin: int  # pixels around a window of the CNN that what is in it depends on; 0 if it depends on all
    threshold: float
    smallest_region: float
    cleaning: str  # IN_TURN or AT_ONCE
    blend: str  # one of BLENDS
    graphs: dict[str, Graph]
    stages: tuple[Stage, ...]  # the CNN, tables first; none if it is one graph
    keep: tuple[str, ...]  # images between stages worth keeping; the first is the cheapest to compute again
    params: int
    macs_terms: dict[str, float]
    origin: dict[str, Any]
    quantization: dict[str, Any]  # how it was made from float32, and what it lost; empty if it was not

    def variants(self, name: str) -> dict[str, Graph]:
        """The graph's variants by the size that each is made for; one, under "", if its size is free."""
        return {key.partition("@")[2]: graph for key, graph in self.graphs.items() if _base(key) == name}

    @property
    def files(self) -> dict[str, bytes]:
        """The content of each graph file by its name; several graphs may lie in one."""
        return {graph.file: graph.data for graph in self.graphs.values()}

    @property
    def sizes(self) -> list[str]:
        """The sizes that the CNN's graphs are made for; "" if its size is free."""
        return list(self.variants(self.stages[-1].graph if self.stages else "cnn"))

    def at_size(self, size: str) -> Bundle:
        """The same model, its CNN for one of its sizes only."""
        cnn = {stage.graph for stage in self.stages[1:]} or {"cnn"}
        kept = {key: graph for key, graph in self.graphs.items() if _base(key) not in cnn or key.endswith(f"@{size}")}
        return dataclasses.replace(self, graphs=kept) if size else self

    def macs(self, height: int, width: int, nodes: int | None = None) -> int:
        """Multiply-accumulates of both graphs for one pair; ``nodes``: superpixels, default the usual number."""
        nodes = self.superpixels.nodes(height, width) if nodes is None else nodes
        pixels = math.prod(filled_up(height, width)) if self.network == LITE else height * width
        terms = {"per_pair": 1, "per_pixel": pixels, "per_node": nodes, "per_node_squared": nodes * nodes}
        return round(sum(self.macs_terms[term] * count for term, count in terms.items()))


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
        If there is none, or it is truncated, altered, or of a newer format.
    """
    if not isinstance(model, str | os.PathLike):
        raise BundleError(f"{model!r} is no model: give the name of a shipped one or the path of a bundle.")
    path = Path(model)
    if isinstance(model, str) and model in shipped_bundles():
        by_engine = {manifest.parts[-3]: manifest.parent for manifest in _shipped_manifests(model)}
        path = next((by_engine[engine] for engine in engines if engine in by_engine), next(iter(by_engine.values())))
    if os.path.isfile(path):
        raise BundleError(f"{path} is a file, and a bundle is a folder: give the folder that 'fusiongcn export' made.")
    if not str(model) or not os.path.isdir(path):
        shipped = shipped_bundles()
        near = difflib.get_close_matches(str(model), shipped, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise BundleError(
            f"No model {str(model)!r} was found{meant}: give the path of a bundle made by 'fusiongcn export', "
            f"or the name of a shipped one ({', '.join(shipped) or 'none yet'})."
        )
    try:
        manifest = json.loads(read_file(path / MANIFEST, LARGEST_MANIFEST).decode("utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path} holds no {MANIFEST}, so it is no bundle: export the model again.") from None
    except (OSError, ValueError, RecursionError):
        raise BundleError(f"{path / MANIFEST} cannot be read or is damaged: export the model again.") from None
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise BundleError(
            f"{path} has bundle format {version}, and this version reads up to {FORMAT}: upgrade fusiongcn-edge."
        )
    try:
        if version not in range(1, FORMAT + 1) or isinstance(version, bool):
            raise ValueError(f"format is {version!r}")
        if manifest["checksum"] != manifest_checksum(manifest):
            raise ValueError("its checksum differs")
        return _parse(path, manifest)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else error
        raise BundleError(f"{path / MANIFEST} is damaged ({why}): export the model again.") from None


def manifest_checksum(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest's content but for the checksum itself, however it is laid out."""
    content = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _parse(path: Path, manifest: dict[str, Any]) -> Bundle:
    version = manifest["format"]
    pre, decision = manifest["preprocessing"], manifest["decision"]
    network = manifest["network"] if version > 2 else PUBLISHED
    if network not in (PUBLISHED, LITE):
        raise ValueError(f"network is {network!r}")
    if decision["blend"] not in BLENDS:
        raise ValueError(f"blend is {decision['blend']!r}")
    cleaning = decision["cleaning"] if version > 2 else IN_TURN
    if cleaning not in (IN_TURN, AT_ONCE):
        raise ValueError(f"cleaning is {cleaning!r}")
    stages = tuple(_read_stage(entry, manifest["graphs"]) for entry in manifest["stages"]) if version > 1 else ()
    keep = tuple(map(str, manifest["keep"])) if version > 1 else ()
    _check_chain(stages, keep)
    names = ("gcn", *(stage.graph for stage in stages)) if stages else GRAPHS
    graphs, files = {}, dict[str, bytes]()
    for key, entry in manifest["graphs"].items():
        if _base(key) in names:
            graphs[key] = _read_graph(path, entry, files)
    missing = set(names) - {_base(key) for key in graphs}
    if missing:
        raise KeyError(min(missing))
    margin = _few_pixels(manifest["margin"]) if network == LITE else 0
    for graph in graphs.values():
        _check_room(graph)
    if network == LITE:
        _check_lite(graphs, stages, margin)
    else:
        _check_sizes(graphs, stages)
    return Bundle(
        path=path,
        name=str(manifest["name"]),
        network=network,
        precision=str(manifest["precision"]),
        engine=str(manifest["engine"]),
        minimum_size=int(_number(pre["minimum_size"], low=2)),
        superpixels=_read_regions(pre["superpixels"]) if network == LITE else _read_superpixels(pre),
        margin=margin,
        threshold=_number(decision["threshold"], low=0.0, high=1.0),
        smallest_region=_number(decision["smallest_region"], low=0.0),
        cleaning=cleaning,
        blend=decision["blend"],
        graphs=graphs,
        stages=stages,
        keep=keep,
        params=int(_number(manifest["params"], low=0)),
        macs_terms={
            term: _number(manifest["macs"][term], low=0)
            for term in ("per_pair", "per_pixel", "per_node", "per_node_squared")
        },
        origin=dict(manifest["origin"]),
        quantization=dict(manifest.get("quantization", {})),
    )


def _read_superpixels(pre: dict[str, Any]) -> SuperpixelSettings:
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused below
        kernel = np.asarray(pre["guide"]["kernel"], np.float32)
    odd = all(side % 2 == 1 for side in kernel.shape[1:])
    if kernel.ndim != 3 or len(kernel) != 6 or not odd or not np.isfinite(kernel).all():
        raise ValueError("the guide kernel is not 6 x h x w finite numbers, h and w odd")
    return SuperpixelSettings(
        guide_kernel=kernel,
        guide_bias=_number(pre["guide"]["bias"], low=-math.inf),
        segments_per_side=_number(pre["superpixels"]["segments_per_side"], high=MOST_SEGMENTS),
        compactness=_number(pre["superpixels"]["compactness"]),
        sigma=_number(pre["superpixels"]["sigma"], low=0.0, high=MOST_SIGMA),
        iterations=int(_number(pre["superpixels"]["iterations"], low=1, high=MOST_ITERATIONS)),
    )


def _read_regions(entry: dict[str, Any]) -> RegionSettings:
    return RegionSettings(
        segments_per_side=_number(entry["segments_per_side"], high=MOST_SEGMENTS),
        compactness=_number(entry["compactness"]),
        iterations=int(_number(entry["iterations"], low=1, high=MOST_ITERATIONS)),
    )


def _check_room(graph: Graph) -> None:
    """A ValueError if what the graph takes would be too large for any photograph."""
    for name, (_, shape) in graph.inputs.items():
        fixed = [side for side in shape if isinstance(side, int)]
        nodes = fixed[1:2] if name in ("features", "shallow") else []
        if any(side > MOST_SUPERPIXELS for side in nodes) or (len(shape) == 4 and math.prod(fixed[2:]) > LARGEST_SIZE):
            raise ValueError(f"{name} of {graph.file} has {shape}")


def _check_sizes(graphs: dict[str, Graph], stages: tuple[Stage, ...]) -> None:
    """A KeyError or ValueError if a tensor is missing that tells the size of a graph, or a stage lacks a size."""
    telling = {"gcn": {"features": 3}, "cnn": {"labels": 2, "shallow": 3}}
    if stages:
        telling[stages[0].graph] = {"shallow": 3, "patterns": 2}
    for key, graph in graphs.items():
        for tensor, dimensions in telling.get(_base(key), {}).items():
            if len(graph.inputs[tensor][1]) != dimensions:
                raise ValueError(f"{tensor} of {key} does not have {dimensions} dimensions")
    sizes = {
        stage.graph: {key.partition("@")[2] for key in graphs if _base(key) == stage.graph} for stage in stages[1:]
    }
    if any(found != sizes[stages[-1].graph] for found in sizes.values()):
        raise ValueError("the stages are not there for the same sizes")
    for stage in stages[1:]:
        for size in sizes[stage.graph]:
            graph = graphs[f"{stage.graph}@{size}" if size else stage.graph]
            if any(len(graph.outputs[name][1]) < 2 for name in stage.outputs):
                raise ValueError(f"{stage.graph} gives what is no image")


def _check_lite(graphs: dict[str, Graph], stages: tuple[Stage, ...], margin: int) -> None:
    """A KeyError or ValueError if Lite's graphs could not be run in windows that keep ``margin`` off their edges."""
    if stages:
        raise ValueError("Lite has no stages")
    if margin % GRID or 2 * margin >= math.isqrt(LEAST_PIXELS):
        raise ValueError(f"a margin of {margin} pixels does not suit the windows")
    for key, graph in graphs.items():
        if _base(key) == "gcn":
            ranks = {name: len(graph.inputs[name][1]) for name in ("features", "affinity")}
            if ranks != {"features": 3, "affinity": 2} or len(graph.outputs["context"][1]) != 3:
                raise ValueError(f"{key} takes or gives arrays of other dimensions")
            continue
        shapes = graph.inputs["luminance"][1], graph.inputs["context"][1], graph.outputs["probability"][1]
        if any(len(shape) != 4 for shape in shapes):
            raise ValueError(f"{key} takes or gives what is no image")
        for window, context, half in zip(*(shape[2:] for shape in shapes), strict=True):
            if isinstance(window, int) and (
                window % GRID or window <= 2 * margin or context != window // STEP or half != window // 2
            ):
                raise ValueError(f"windows of {window} pixels do not suit a margin of {margin}")


def _base(key: str) -> str:
    """``stem`` of ``stem@40x104``: what follows the @ tells the sizes of a graph apart."""
    return key.partition("@")[0]


def _number(value: Any, low: float = 1e-12, high: float = 1e15) -> float:
    number = float(value)
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError(f"{number} is out of range")
    return number


def _few_pixels(value: Any) -> int:
    pixels = int(_number(value, low=0))
    if pixels > 1000:
        raise ValueError(f"{pixels} pixels around a tile are out of range")
    return pixels


def _read_stage(entry: dict[str, Any], graphs: dict[str, Any]) -> Stage:
    graph = next((graph for key, graph in graphs.items() if _base(key) == entry["graph"]), None)
    if graph is None:
        raise KeyError(entry["graph"])
    return Stage(
        graph=str(entry["graph"]),
        inputs=tuple(graph["inputs"]),
        outputs=tuple(graph["outputs"]),
        reach={str(name): _few_pixels(pixels) for name, pixels in entry["reach"].items()},
        crop=_few_pixels(entry["crop"]),
        spread={str(name): str(places) for name, places in entry.get("spread", {}).items()},
    )


def _check_chain(stages: tuple[Stage, ...], keep: tuple[str, ...]) -> None:
    """A ValueError if a stage reads what no earlier one gives."""
    known = {"images", "labels", "shallow", "deep", "counts", "patterns", "places", "inside"}
    if stages and "graph" not in stages[0].outputs:
        raise ValueError("the first stage gives no graph")
    images = {name for stage in stages[1:] for name in stage.outputs if name not in stage.sums}
    for stage in stages:
        if not set(stage.spread) <= set(stage.inputs) & set(stages[0].outputs):
            raise ValueError(f"the stage {stage.graph} would spread what is no table")
        if not set(stage.spread.values()) <= {"labels", "places"}:
            raise ValueError(f"the stage {stage.graph} would spread a table by what are no places")
        missing = {*stage.reads, *stage.reach} - known
        if missing:
            raise ValueError(f"nothing gives {min(missing)} to the stage {stage.graph}")
        if stage.crop and stage.sums:
            raise ValueError(f"the stage {stage.graph} would add up what is cut off")
        means = {name.removesuffix("_sum") for name in stage.sums if name.endswith("_sum")}
        variances = {name for name in means if f"{name}_squares" in stage.sums}
        known |= {*stage.outputs, *(f"{name}_mean" for name in means), *(f"{name}_variance" for name in variances)}
    if set(keep) - images or (stages and "probability" not in stages[-1].outputs):
        raise ValueError("the stages do not lead to the probability")


def _read_graph(path: Path, entry: dict[str, Any], files: dict[str, bytes]) -> Graph:
    """A verified graph; ``files`` are those that have been read, and the same bytes serve all graphs in one."""
    file = str(entry["file"])
    if Path(file).name != file:
        raise ValueError(f"{file!r} is not a plain file name")
    try:
        data = files[file] if file in files else read_file(path / file)
    except OSError:
        raise BundleError(f"{path / file} is missing or cannot be read: export the model again.") from None
    files[file] = data
    if len(data) != int(entry["bytes"]):
        raise BundleError(
            f"{path / file} has {len(data)} bytes instead of {entry['bytes']}, so it is truncated or altered: "
            "copy or export the model again."
        )
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise BundleError(
            f"{path / file} is not what {MANIFEST} describes (SHA-256 differs): copy or export the model again."
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
