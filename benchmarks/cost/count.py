"""What fusing one pair costs, counted from a model's own graph files.

What counts is said in :mod:`fusiongcn_edge.benchmarks.cost.conventions`. A bundle is run as the runtime runs it, with
an
engine that computes nothing and notes the shapes of what it is given: so tiles, the margins that neighbouring tiles
both compute, images that are computed again and superpixels that are filled up are all in the count. Superpixels are
taken for a regular grid (in the published model they nearly are one), and memory for plenty.

What a bundle's graphs do more than once is shown apart: ``margins`` is what is computed for pixels that another tile
computes as well, beyond the photograph, or again because an image was not kept; ``again`` are operators whose weights
an earlier graph has applied already (a wide image that costs less to compute twice than to keep).

Superpixels and region graph, which come first, are counted by formula; see
:mod:`fusiongcn_edge.benchmarks.cost.analytic`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.cost.analytic import preprocessing, published_convention
from fusiongcn_edge.benchmarks.cost.conventions import Count, Countable, Node, Shape, Weights, distinct
from fusiongcn_edge.runtime.bundle.manifest import LITE, Bundle, Graph
from fusiongcn_edge.runtime.engines.base import Arrays, Session
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.files import read_file
from fusiongcn_edge.runtime.networks.lite_inputs import NODE_FEATURES
from fusiongcn_edge.runtime.networks.registry import open_network
from fusiongcn_edge.runtime.segmentation.settings import STEP, round_up_to_multiple
from fusiongcn_edge.runtime.text import install_hint
from fusiongcn_edge.runtime.tiling.memory_plan import best_size, is_full_pass, live_tensors, plan
from fusiongcn_edge.runtime.types import RESULT, USUAL_SIZE

SCHEMA = 1
PLENTY = 2**60  # bytes


@dataclass(frozen=True)
class Layer:
    """An operator over all runs of its graph. ``once``: its MACs if each pixel were computed once; ``times``: how often
    a pixel is, on average, None where it gives no image."""

    graph: str
    name: str
    operator: str
    shape: Shape  # of one run; of the most frequent one if they differ
    runs: int
    macs: int
    once: int
    other: int
    times: float | None
    params: int
    weight_bytes: int
    again: bool


@dataclass(frozen=True)
class Cost:
    """The cost of a model at a size; sums over ``layers``. ``uncounted``: operators that are not understood."""

    model: str
    size: tuple[int, int] | None
    superpixels: int | None
    layers: tuple[Layer, ...]
    params: int
    weight_bytes: int
    file_bytes: int
    activation_bytes: int
    uncounted: tuple[str, ...]
    before: dict[str, dict[str, int]]  # preprocessing
    published: dict[str, Any]
    trained_params: int | None = None  # before anything was folded, with the guide filter
    whole_macs: int | None = None  # of the network as one graph

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all graphs, as they are run."""
        return sum(layer.macs for layer in self.layers)

    @property
    def once(self) -> int:
        """The same without margins and without what is computed again."""
        return sum(layer.once for layer in self.layers if not layer.again)

    @property
    def again(self) -> int:
        """MACs of operators whose weights an earlier graph has applied, without margins."""
        return sum(layer.once for layer in self.layers if layer.again)

    @property
    def margins(self) -> int:
        """MACs for pixels that are computed more than once, or lie beyond the photograph."""
        return self.macs - self.once - self.again

    @property
    def other(self) -> int:
        """Operations that are no MACs."""
        return sum(layer.other for layer in self.layers)

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "size": None if self.size is None else list(self.size),
            "superpixels": self.superpixels,
            "params": self.params,
            "trained_params": self.trained_params,
            "macs": self.macs,
            "flops": 2 * self.macs,
            "macs_once": self.once,
            "macs_again": self.again,
            "macs_margins": self.margins,
            "macs_whole_network": self.whole_macs,
            "other_operations": self.other,
            "weight_bytes": self.weight_bytes,
            "file_bytes": self.file_bytes,
            "peak_activation_bytes": self.activation_bytes,
            "uncounted_operators": list(self.uncounted),
            "preprocessing": self.before,
            "published_convention": self.published,
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
        }


def cost_of_bundle(bundle: Bundle, height: int, width: int, superpixels: int | None = None) -> Cost:
    """Cost of fusing a pair of this size; ``superpixels``: default, as many as SLIC is seeded with.

    Raises
    ------
    FusionError
        If the bundle cannot take so many pixels or superpixels, or a graph cannot be read.
    """
    if min(height, width) < bundle.minimum_size:
        raise FusionError(
            "--size is smaller than the model takes",
            found=f"{height}x{width}",
            allowed=f"at least {bundle.minimum_size} pixels a side",
        )
    nodes = bundle.superpixels.nodes(height, width) if superpixels is None else superpixels
    step = STEP if bundle.network == LITE else 1
    if nodes > height * width // step**2:
        raise FusionError(
            f"There are more superpixels than {height}x{width} has pixels",
            found=nodes,
            allowed=f"at most {height * width // step**2}",
        )
    engine = _CountingEngine(bundle)
    network = open_network(bundle, engine, 1, PLENTY if bundle.stages or bundle.network == LITE else None)
    rows, columns = height, width
    if bundle.network == LITE:
        rows, columns = round_up_to_multiple(height, width)
        pixels: NDArray[Any] = np.broadcast_to(np.uint8(0), (2, rows, columns))
        graph = {"features": _zeros((2, nodes, NODE_FEATURES)), "affinity": _zeros((nodes, nodes))}
    else:
        pixels = _zeros((2, 3, height, width))
        square = _zeros((nodes, nodes))
        graph = {"features": _zeros((2, nodes, 3)), "adjacency": square, "attention_mask": square}
    network.classify(pixels, grid_labels(rows // step, columns // step, nodes), network.embed(graph))
    tiled = {stage.graph for stage in bundle.stages[1:]} or {"cnn"}
    graphs = [(key, counts, key.partition("@")[0] in tiled) for key, counts in engine.runs()]
    # Lite's layers have several resolutions: of each, the same share lies in the photograph and in one window only
    share = rows * columns / engine.windows("luminance") if bundle.network == LITE else None
    layers = _layers(graphs, height * width if bundle.stages or share else 0, share)
    weights = distinct([node for _, counts in engine.runs() for count in counts for node in count.nodes])
    return Cost(
        model=f"{bundle.path.resolve().name}, {bundle.precision}, {bundle.engine}",
        size=(height, width),
        superpixels=nodes,
        layers=layers,
        params=sum(own.params for own in weights.values()),
        weight_bytes=sum(own.bytes for own in weights.values()),
        file_bytes=sum(map(len, bundle.files.values())),
        activation_bytes=max(c.activation_bytes for _, counts in engine.runs() for c in counts)
        + _kept_bytes(bundle, height, width),
        uncounted=tuple(sorted({kind for _, counts in engine.runs() for c in counts for kind in c.uncounted})),
        before=preprocessing(bundle.superpixels, height, width, nodes),
        published=published_convention(bundle, height, width, nodes),
        trained_params=bundle.params,
        whole_macs=bundle.macs(height, width, nodes),
    )


def cost_of_file(path: Path, size: tuple[int, int] | None = None, superpixels: int | None = None) -> Cost:
    """Cost of one run of each graph in an ONNX or TFLite file, whoever made it.

    Free dimensions of an ONNX graph are set to the size (default 520x520) and number of superpixels, by their names
    (``height``, ``rows + 8``, ``N`` …) or, in images, by their place; a batch is 1.
    """
    try:
        data = read_file(path)
    except OSError as error:
        raise FusionError(f"{path} cannot be read", found=error.strerror, fix="give an ONNX or TFLite file") from None
    tflite = path.suffix.lower() == ".tflite"
    if tflite:
        if size is not None or superpixels is not None:
            raise FusionError(f"The sizes in {path} are fixed", fix="leave --size and --superpixels out")
        counts = [(name, [graph.count()]) for name, graph in _litert_file(data, str(path)).graphs.items()]
    else:
        from fusiongcn_edge.benchmarks.cost.symbolic_dims import filled_in

        graph = _onnx_graph(data, str(path))
        shapes = filled_in(graph.inputs, size or USUAL_SIZE, superpixels, str(path))
        counts = [(path.stem, [graph.count(shapes)])]
    nodes = [node for _, own in counts for count in own for node in count.nodes]
    weights = distinct(nodes)
    return Cost(
        model=str(path),
        size=None if tflite else size or USUAL_SIZE,
        superpixels=superpixels,
        layers=_layers([(name, own, False) for name, own in counts], 0),
        params=sum(own.params for own in weights.values()),
        weight_bytes=sum(own.bytes for own in weights.values()),
        file_bytes=len(data),
        activation_bytes=max(count.activation_bytes for _, own in counts for count in own),
        uncounted=tuple(sorted({kind for _, own in counts for count in own for kind in count.uncounted})),
        before={},
        published={},
    )


def grid_labels(height: int, width: int, nodes: int) -> NDArray[np.int32]:
    """Exactly ``nodes`` superpixels in a nearly regular grid, int32 H x W."""
    down = min(height, nodes, max(1, round((nodes * height / width) ** 0.5), -(-nodes // width)))
    across = [nodes // down + (row < nodes % down) for row in range(down)]
    first = np.cumsum([0, *across])
    labels = np.empty((height, width), np.int32)
    for y in range(height):
        row = y * down // height
        labels[y] = first[row] + np.arange(width) * across[row] // width
    return labels


def _kept_bytes(bundle: Bundle, height: int, width: int) -> int:
    """Most bytes of whole images at once between the stages: the photographs, and what is kept."""
    if not bundle.stages:
        return 0
    stages, size = bundle.stages[1:], best_size(bundle, height, width)
    kept = plan(bundle, height, width, PLENTY, 1, size).kept
    channels = {"images": 6}
    for stage in stages:
        for name, (_, shape) in bundle.variants(stage.graph)[size].outputs.items():
            channels[name] = int(np.prod([d for d in shape[:-2] if isinstance(d, int)]))
    live, most = {"images"}, 0
    for number, stage in enumerate(stages):
        if is_full_pass(stage, kept):
            live |= kept & set(stage.outputs)
            most = max(most, sum(channels[name] for name in live))
            live &= live_tensors(stages[number + 1 :], kept, stages) | {RESULT}
    return 4 * most * height * width


def _layers(
    graphs: Sequence[tuple[str, Sequence[Count], bool]], pixels: int, share: float | None = None
) -> tuple[Layer, ...]:
    """One for each operator of each graph, over its runs; ``graphs``: name, runs, whether they are those of tiles;
    ``share``: of what tiles compute that is wanted, where it is known.
    """
    layers, met = [], dict[str, Weights]()
    for key, counts, tiled in graphs:
        own = dict[str, Weights]()
        for nodes in zip(*(count.nodes for count in counts), strict=True):
            layers.append(_layer(key, nodes, pixels if tiled else 0, share, met))
            own |= distinct(nodes)
        met |= own if tiled else {}
    return tuple(layers)


def _layer(graph: str, nodes: Sequence[Node], pixels: int, share: float | None, met: Mapping[str, Weights]) -> Layer:
    macs, computed = sum(node.macs for node in nodes), sum(node.pixels for node in nodes)
    an_image = pixels > 0 and nodes[0].pixels > 1
    once = macs
    if pixels and share is not None:
        computed = round(pixels / share)
        once = round(macs * share)
    elif an_image and computed > pixels:
        once = round(macs * pixels / computed)
    elif pixels and not an_image:
        once = macs // len(nodes)
    weights = distinct(nodes)
    largest = max(nodes[0].weights, key=lambda own: own.params, default=None)
    return Layer(
        graph=graph,
        name=nodes[0].name,
        operator=nodes[0].operator,
        shape=Counter(node.shape for node in nodes).most_common(1)[0][0],
        runs=len(nodes),
        macs=macs,
        once=once,
        other=sum(node.other for node in nodes),
        times=computed / pixels if an_image else None,
        params=sum(own.params for own in weights.values()),
        weight_bytes=sum(own.bytes for own in weights.values()),
        again=bool(pixels) and macs > 0 and largest is not None and largest.key in met,
    )


class _CountingEngine:
    """Opens graphs that count their runs and give zeros of the right shapes."""

    name = version = provider = "counting"
    channels_last = False

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._keys = {id(graph): key for key, graph in bundle.graphs.items()}
        self._files = dict[str, Any]()
        self._opened = dict[str, _CountedGraph]()

    @property
    def providers(self) -> list[str]:
        return [self.name]

    def check_precision(self, precision: str) -> None:
        """Any will do."""

    def load(self, graph: Graph, threads: int, *, shared_arena: bool = False) -> Session:
        key = self._keys[id(graph)]
        if key not in self._opened:
            self._opened[key] = _CountedGraph(graph, self._countable(graph))
        return self._opened[key]

    def _countable(self, graph: Graph) -> Countable:
        name = str(self._bundle.path / graph.file)
        if self._bundle.engine == "onnx":
            return _onnx_graph(graph.data, name)
        if graph.file not in self._files:
            self._files[graph.file] = _litert_file(graph.data, name)
        graphs = self._files[graph.file].graphs
        return graphs[graph.entry] if graph.entry is not None else next(iter(graphs.values()))

    def windows(self, image: str) -> int:
        """Pixels of all windows of an image that were handed to graphs."""
        return sum(window for graph in self._opened.values() for window in graph.windows.get(image, ()))

    def runs(self) -> list[tuple[str, list[Count]]]:
        """All runs of each graph that was run, in the order of the bundle."""
        opened = [(key, self._opened[key]) for key in self._bundle.graphs if key in self._opened]
        return [(key, graph.runs) for key, graph in opened if graph.runs]


class _CountedGraph:
    def __init__(self, graph: Graph, countable: Countable) -> None:
        self._graph, self._countable = graph, countable
        self._known = dict[tuple[Shape, ...], Count]()
        self.runs: list[Count] = []
        self.windows: dict[str, list[int]] = {}  # pixels of each image in each run

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        shapes = {name: inputs[name].shape for name in self._graph.inputs}
        for name, shape in shapes.items():
            self.windows.setdefault(name, []).append(int(np.prod(shape[-2:])))
        key = tuple(shapes.values())
        if key not in self._known:
            self._known[key] = self._countable.count(shapes)
        count = self._known[key]
        self.runs.append(count)
        given = {}
        for name, (_, shape) in self._graph.outputs.items():
            fixed = [int(d) for d in shape if isinstance(d, int)]
            given[name] = _zeros(tuple(fixed) if len(fixed) == len(shape) else count.outputs[name])
        return given


def _zeros(shape: Shape) -> NDArray[np.float32]:
    """Zeros that take no memory."""
    return np.broadcast_to(np.float32(0), shape)


def _needs(kind: str, error: ModuleNotFoundError) -> FusionError:
    return FusionError(
        f"Counting {kind} graphs needs {error.name}, which is not installed", fix=f"{install_hint('calibration')}"
    )


def _onnx_graph(data: bytes, name: str) -> Any:
    try:
        from fusiongcn_edge.benchmarks.cost.onnx_graph import OnnxGraph
    except ModuleNotFoundError as error:
        raise _needs("ONNX", error) from None
    return OnnxGraph(data, name)


def _litert_file(data: bytes, name: str) -> Any:
    try:
        from fusiongcn_edge.benchmarks.cost.tflite_graph import LiteRtFile
    except ModuleNotFoundError as error:
        raise _needs("TFLite", error) from None
    return LiteRtFile(data, name)
