"""``fusiongcn fuse`` and ``fusiongcn info``."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from fusiongcn_edge import __version__
from fusiongcn_edge.runtime.bundle import Bundle, load_bundle, shipped_bundles
from fusiongcn_edge.runtime.engines.base import ACCELERATED, ENGINES, get_engine, installed_engines
from fusiongcn_edge.runtime.errors import FusionError, ImageError
from fusiongcn_edge.runtime.fuser import DEFAULT_MODEL, STAGES, Fuser
from fusiongcn_edge.runtime.images import check_writable, read_image, write_images
from fusiongcn_edge.runtime.progress import Progress
from fusiongcn_edge.runtime.silence import libraries_silenced

FUSE_EXAMPLE = """example:
  fusiongcn fuse near.jpg far.jpg -o fused.png --decision-map map.png

The photographs must be aligned and of the same size. In the decision map, white is where the first is the sharper.
"""


def add_fuse_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn fuse``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = FUSE_EXAMPLE
    parser.add_argument("a", metavar="A", help="first photograph")
    parser.add_argument("b", metavar="B", help="second photograph, focused at another depth")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="file for the fused photograph")
    parser.add_argument("--decision-map", metavar="FILE", help="also write which photograph is the sharper one where")
    parser.add_argument("--probability", metavar="FILE", help="also write the focus probability, 8 bits gray")
    add_model_argument(parser)
    parser.add_argument(
        "--engine",
        choices=[*ENGINES, *ACCELERATED],
        help="inference engine (default: the bundle's; of a shipped model, onnx or litert, whichever there is)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: the fast physical cores)")
    parser.add_argument(
        "--max-memory",
        type=float,
        metavar="MB",
        help="memory that may be used, in 10^6 bytes; less is slower, with the same result (default: what is free)",
    )


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """``--model``, as every command that opens a model takes it."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="a shipped model or a bundle made by 'fusiongcn export' (default: %(default)s)",
    )


def run_fuse(arguments: argparse.Namespace) -> int:
    """Read, fuse, write: all of the files asked for, or none."""
    start = perf_counter()
    outputs = [o for o in (arguments.output, arguments.decision_map, arguments.probability) if o is not None]
    refuse_overwriting([arguments.a, arguments.b], outputs)
    with libraries_silenced():
        first, second = read_image(arguments.a), read_image(arguments.b)
    check_writable(arguments.output, first)
    for output in outputs[1:]:
        check_writable(output, np.empty((1, 1), np.uint8))
    fuser = Fuser.open(
        arguments.model, engine=arguments.engine, threads=arguments.threads, max_memory=arguments.max_memory
    )
    with Progress() as progress:
        steps = {stage: f"[{number}/{len(STAGES)}] {stage}" for number, stage in enumerate(STAGES, start=1)}
        result = fuser.fuse(first, second, progress=lambda stage: progress(steps[stage]))
    pictures = {arguments.output: result.image}
    if arguments.decision_map is not None:
        pictures[arguments.decision_map] = result.decision.astype(np.uint8) * 255
    if arguments.probability is not None:
        pictures[arguments.probability] = np.rint(result.probability * 255).astype(np.uint8)
    with libraries_silenced():
        write_images(pictures)
    height, width = result.decision.shape
    print(
        f"{arguments.output}: {width}x{height}, {result.decision.mean():.0%} from {arguments.a}, "
        f"{perf_counter() - start:.1f} s"
    )
    return 0


def refuse_overwriting(sources: Sequence[str | os.PathLike[str]], outputs: Sequence[str]) -> None:
    """The photographs are never written to, and no output replaces another."""
    taken = {os.path.realpath(source) for source in sources}
    for output in outputs:
        real = os.path.realpath(output)
        if real in taken:
            raise ImageError(f"{output} is named twice or is one of the photographs: give each output its own name.")
        taken.add(real)


def add_info_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn info``."""
    parser.add_argument("--model", metavar="NAME|PATH", help="a shipped model or a bundle to describe")
    parser.add_argument(
        "--size",
        type=parse_size,
        metavar="HxW",
        help="image size that 'macs' is for (default: 520x520)",
    )
    parser.add_argument("--engine", choices=list(ENGINES), help="of a shipped model, the bundle for this engine")
    parser.add_argument("--json", action="store_true", help="print JSON")


def parse_size(text: str) -> tuple[int, int]:
    """``520x640`` to (height, width)."""
    try:
        height, width = (int(part) for part in text.lower().split("x"))
        if min(height, width) < 1:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: give height x width, 520x520 for example") from None
    return height, width


def run_info(arguments: argparse.Namespace) -> int:
    """Print the facts about engines and a model, as text or JSON."""
    facts: dict[str, Any] = {
        "version": __version__,
        "engines": {name: _engine_facts(name) for name in ENGINES},
        "shipped_models": shipped_bundles(),
    }
    if arguments.model is not None:
        bundle = load_bundle(arguments.model, [arguments.engine] if arguments.engine else installed_engines())
        facts["model"] = _model_facts(bundle, *(arguments.size or (520, 520)))
    elif arguments.size is not None or arguments.engine is not None:
        raise FusionError("--size and --engine are about a model: name one with --model.")
    if arguments.json:
        print(json.dumps(facts, indent=1))
    else:
        print("\n".join(_lines(facts)))
    return 0


def _engine_facts(name: str) -> dict[str, Any]:
    if name not in installed_engines():
        return {"installed": False, "install": ENGINES[name][2]}
    try:
        engine = get_engine(name)
    except FusionError as error:
        return {"installed": False, "install": str(error)}
    return {"installed": True, "version": engine.version, "provider": engine.provider, "available": engine.providers}


def _model_facts(bundle: Bundle, height: int, width: int) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "precision": bundle.precision,
        "engine": bundle.engine,
        "blend": bundle.blend,
        "params": bundle.params,
        "size": f"{height}x{width}",
        "macs": bundle.macs(height, width),
        "file_bytes": {graph.file: len(graph.data) for graph in bundle.graphs.values()},
        "minimum_size": bundle.minimum_size,
        "origin": bundle.origin,
        **({"quantization": bundle.quantization} if bundle.quantization else {}),
        "path": str(Path(bundle.path).resolve()),
    }


def _lines(facts: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, value in facts.items():
        label = f"{indent}{key.replace('_', ' ')}:"
        if isinstance(value, dict):
            lines += [label, *_lines(value, indent + "  ")]
        elif isinstance(value, list):
            lines.append(f"{label} {', '.join(map(str, value)) or 'none'}")
        elif isinstance(value, bool):
            lines.append(f"{label} {'yes' if value else 'no'}")
        elif isinstance(value, int):
            lines.append(f"{label} {value:,}")
        else:
            lines.append(f"{label} {value}")
    return lines
