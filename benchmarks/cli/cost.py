"""``fusiongcn cost``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fusiongcn_edge.benchmarks.cli.json_output import STDOUT, check_json, write_json
from fusiongcn_edge.runtime.cli.options import add_engine_argument, parse_size, whole_number
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.fuser import open_bundle
from fusiongcn_edge.runtime.types import USUAL_SIZE

if TYPE_CHECKING:
    from fusiongcn_edge.benchmarks.cost.count import Cost

COST_EXAMPLE = """example:
  fusiongcn cost fusiongcn --size 1080x1920
  fusiongcn cost another.onnx --size 520x520 --layers

MACs are those of convolutions and matrix products; FLOPs are twice that. All else is 'other operations'. Of a model
the graphs are counted as the runtime runs them; of a file, one run of each graph.
"""


def add_cost_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = COST_EXAMPLE
    parser.add_argument("model", metavar="MODEL|FILE", help="a shipped model, a bundle, or an .onnx or .tflite file")
    parser.add_argument("--size", type=parse_size, metavar="HxW", help="of the photographs (default: 520x520)")
    parser.add_argument(
        "--superpixels", type=whole_number(1), metavar="N", help="(default: as many as SLIC is seeded with)"
    )
    add_engine_argument(parser)
    parser.add_argument("--layers", action="store_true", help="also show each operator")
    parser.add_argument(
        "--json", metavar="FILE|-", help="write all of it as JSON, over an older file; - prints it instead"
    )


def run_cost(arguments: argparse.Namespace) -> int:
    from fusiongcn_edge.benchmarks.cost.count import cost_of_bundle, cost_of_file

    path = Path(arguments.model)
    check_json(arguments.json, [arguments.model])
    if path.suffix.lower() in (".onnx", ".tflite") and not path.is_dir():
        if arguments.engine is not None:
            raise FusionError("--engine is about a shipped model", fix="leave it out for a file")
        cost = cost_of_file(path, arguments.size, arguments.superpixels)
    else:
        if os.path.isfile(path):  # the path's own method stumbles over names that are too long
            raise FusionError(
                f"{path} is neither an .onnx nor a .tflite file", fix="give one, a bundle or a shipped model"
            )
        bundle = open_bundle(arguments.model, arguments.engine)
        height, width = arguments.size or USUAL_SIZE
        cost = cost_of_bundle(bundle, height, width, arguments.superpixels)
    if arguments.json != STDOUT:
        print("\n".join(_cost_lines(cost, arguments.layers)))
    write_json(arguments.json, cost.as_json())
    return 0


def _cost_lines(cost: Cost, layers: bool) -> list[str]:
    lines = []
    if layers:
        lines.append(f"{'graph':<22}{'operator':<22}{'shape of one run':<22}{'runs':>6}{'MMAC':>11}{'other M':>9}"
                     f"{'times':>7}{'params':>9}")  # fmt: skip
        for layer in cost.layers:
            if layer.macs or layer.other or layer.params:
                times = "" if layer.times is None else f"{layer.times:.2f}"
                shape = "x".join(map(str, layer.shape))
                lines.append(
                    f"{layer.graph[:21]:<22}{layer.operator[:21]:<22}{shape:<22}{layer.runs:>6}"
                    f"{layer.macs / 1e6:>11.2f}{layer.other / 1e6:>9.2f}{times:>7}{layer.params:>9,}"
                )
    where = [f"{cost.size[0]}x{cost.size[1]}"] if cost.size else []
    where += [f"{cost.superpixels} superpixels"] if cost.superpixels else []
    lines += [", ".join([cost.model, *where])]
    trained = f" (trained: {cost.trained_params:,})" if cost.trained_params is not None else ""
    lines += [
        f"parameters          {cost.params:>16,} in the graphs{trained}",
        f"MACs                {cost.macs:>16,} ({2 * cost.macs / 1e9:.2f} GFLOP)",
    ]
    if cost.again or cost.margins:
        lines += [
            f"  each pixel once   {cost.once:>16,}",
            f"  computed again    {cost.again:>16,} so that wide images need not be kept",
            f"  margins           {cost.margins:>16,} of tiles, and images computed again where they are read",
        ]
    if cost.whole_macs is not None:
        lines.append(f"  whole network     {cost.whole_macs:>16,} as one graph, as 'fusiongcn info' counts")
    lines += [
        f"other operations    {cost.other:>16,}",
        f"bytes of weights    {cost.weight_bytes:>16,} (files: {cost.file_bytes:,})",
        f"peak of activations {cost.activation_bytes:>16,} bytes" + (" where memory is plenty" if cost.before else ""),
    ]
    if cost.before:
        macs, other = (sum(step[kind] for step in cost.before.values()) for kind in ("macs", "other"))
        lines.append(f"superpixels, graph  {macs:>16,} MACs and at most {other:,} other operations, by formula")
    if cost.uncounted:
        lines.append(f"NOT COUNTED: operators {', '.join(cost.uncounted)}.")
    return lines + _published_lines(cost)


def _published_lines(cost: Cost) -> list[str]:
    told = cost.published
    if not told:
        return []
    more = told["left_out_graph_layers_macs"] + told["left_out_one_hot_macs"]
    return [
        f"The authors' way    {told['operations']:>16,} 'operations' (they publish 50.76 G for 520x520), "
        f"{told['params']:,} parameters:",
        f"  MACs of the layers that torch knows, {told['of_these_guide'] / 1e9:.2f} G for the guide, and 4 for each "
        f"normalised number, {told['of_these_normalisation'] / 1e9:.2f} G.",
        f"  It leaves out graph layers, {told['left_out_graph_layers_macs'] / 1e9:.2f} GMAC, and their spreading by a "
        f"one-hot matrix, {told['left_out_one_hot_macs'] / 1e9:.2f} GMAC",
        f"  (a gather here); SimAM, activations and superpixels. With those products it is "
        f"{2 * (told['operations'] - told['of_these_normalisation'] + more) / 1e9:.1f} GFLOP.",
    ]
