"""Where the time of a model's graphs goes, by kind of operator.

    python -m fusiongcn_edge.benchmarks.experiments.op_profile --model NAME|PATH [--size HxW] [--graph NAME]
        [--operators]

Each graph is run alone with ONNX Runtime's profiler on made-up inputs: the stages of a CNN on a tile as the runtime
cuts them, on one thread as it runs them; a CNN that is one graph on the whole image. Printed is each graph's share of
all the time (``--operators``: of each operator), so that runs can be compared.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.cost.symbolic_dims import filled_in
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.bundle.manifest import Bundle, Graph
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.cli.options import add_size_argument
from fusiongcn_edge.runtime.tiling.memory_plan import tile_edges

WARM, RUNS = 2, 6
SUPERPIXELS = 256


def main() -> int:
    """Profile and print."""
    parser = new_parser("experiments.op_profile", __doc__)
    parser.add_argument("--model", required=True, metavar="NAME|PATH")
    add_size_argument(parser)
    parser.add_argument("--graph", metavar="NAME", help="this graph alone")
    parser.add_argument("--operators", action="store_true", help="each operator, not only each kind")
    arguments = parser.parse_args()
    return exit_code(lambda: _print(load_bundle(arguments.model), arguments.size, arguments.graph, arguments.operators))


def _print(bundle: Bundle, size: tuple[int, int], only: str | None, each: bool) -> None:
    if bundle.engine != "onnx":
        raise FusionError(f"The engine of {bundle.path} has no such profile", found=bundle.engine, allowed="onnx")
    names = [name for name in bundle.graphs if only in (None, name)]
    if not names:
        raise FusionError(
            f"There is no such graph in {bundle.path}", found=repr(only), allowed=f"one of {', '.join(bundle.graphs)}"
        )
    rows, columns = tile_edges(*size)
    tile = (rows[1] - rows[0], columns[1] - columns[0]) if bundle.stages else size
    found = {}
    for name in names:
        per_pixel = 1 if name in ("gcn", "tables") else size[0] * size[1] / (tile[0] * tile[1])
        spent = profile(bundle.graphs[name], inputs_of(bundle.graphs[name], tile), each)
        found[name] = {operator: microseconds * per_pixel for operator, microseconds in spent.items()}
    total = sum(sum(spent.values()) for spent in found.values())
    for name, spent in sorted(found.items(), key=lambda item: -sum(item[1].values())):
        print(f"{sum(spent.values()) / total:>7.1%}  {name}")
        for operator, microseconds in sorted(spent.items(), key=lambda item: -item[1]):
            if microseconds > 0.005 * total:
                print(f"{'':<12}{microseconds / total:>7.1%}  {operator}")


def inputs_of(graph: Graph, size: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Made-up arrays of the shapes that a graph meets on an image or tile of this size."""
    rng = np.random.default_rng(0)
    shapes = filled_in({name: shape for name, (_, shape) in graph.inputs.items()}, size, SUPERPIXELS, graph.file)
    return {
        name: rng.random(shapes[name], np.float32)
        if dtype == "float32"
        else rng.integers(0, 200, shapes[name], np.int32)
        for name, (dtype, _) in graph.inputs.items()
    }


def profile(graph: Graph, inputs: dict[str, NDArray[Any]], each: bool) -> dict[str, float]:
    """Microseconds by operator, on one thread, median over runs."""
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="fusiongcn-") as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(graph.data, options, providers=["CPUExecutionProvider"])
        for _ in range(WARM + RUNS):
            session.run(None, inputs)
        events = json.loads(Path(session.end_profiling()).read_text())
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"], event["name"]].append(event["dur"])
    by_kind: Counter[str] = Counter()
    for (kind, node), durations in spent.items():
        label = f"{kind:<20} {node.removesuffix('_kernel_time')}" if each else kind
        by_kind[label] += float(np.median(durations[WARM:]))  # type: ignore[assignment]
    return dict(by_kind)


if __name__ == "__main__":
    sys.exit(main())
