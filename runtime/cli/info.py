"""``fusiongcn info``."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from fusiongcn_edge import __version__
from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.bundle.reader import shipped_bundles
from fusiongcn_edge.runtime.cli.options import add_engine_argument, parse_size
from fusiongcn_edge.runtime.engines.base import ENGINES, get_engine, installed_engines
from fusiongcn_edge.runtime.errors import FusionError, printable
from fusiongcn_edge.runtime.fuser import DEFAULT_MODEL, open_bundle
from fusiongcn_edge.runtime.types import USUAL_SIZE

PRECISIONS = {  # of a model; some of its layers may be more precise
    "fp32": "weights in float32",
    "fp16": "weights in float16, computed in float32",
    "weight_only_wi8_afp32": "weights in int8, computed in float32",
    "dynamic_wi8_afp32": "weights in int8, computed in int8 with ranges taken at run time",
    "static_wi8_ai8": "weights in int8, computed in int8 with ranges from calibration",
    "static_wi8_ai16": "weights in int8, computed in int16 with ranges from calibration",
}


def add_info_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn info``."""
    parser.add_argument("bundle", metavar="MODEL", nargs="?", help="a shipped model or a bundle to describe")
    parser.add_argument("--model", metavar="NAME|PATH", help="the same, named as for 'fusiongcn fuse'")
    parser.add_argument(
        "--size",
        type=parse_size,
        metavar="HxW",
        help="image size that 'macs' is for: multiply-accumulates of the whole network as one graph, where 'fusiongcn "
        "cost' counts them as they are run (default: 520x520)",
    )
    add_engine_argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run_info(arguments: argparse.Namespace) -> int:
    """Print the facts about engines and a model, as text or JSON."""
    facts: dict[str, Any] = {"version": __version__}
    if arguments.bundle is not None and arguments.model is not None:
        raise FusionError(f"Two models are named, {arguments.bundle} and {arguments.model}", fix="name one")
    model = arguments.bundle if arguments.model is None else arguments.model
    if model is not None:
        bundle = open_bundle(model, arguments.engine)
        facts["model"] = _model_facts(bundle, *(arguments.size or USUAL_SIZE))
    elif arguments.size is not None or arguments.engine is not None:
        raise FusionError(
            "--size and --engine are about a model", fix="name one as well, 'fusiongcn info fusiongcn-lite'"
        )
    facts["engines"] = {name: _engine_facts(name) for name in ENGINES}
    facts |= {"shipped_models": shipped_bundles(), "default_model": DEFAULT_MODEL}
    if arguments.json:
        print(json.dumps(facts, indent=1))
    else:
        print("\n".join(_lines(_for_people(facts))))
    return 0


def _engine_facts(name: str) -> dict[str, Any]:
    if name not in installed_engines():
        return {"installed": False, "install": ENGINES[name][2]}
    try:
        engine = get_engine(name)
    except FusionError as error:
        return {"installed": True, "usable": False, "problem": str(error)}
    return {"installed": True, "version": engine.version, "provider": engine.provider, "available": engine.providers}


def _model_facts(bundle: Bundle, height: int, width: int) -> dict[str, Any]:
    return {
        "name": bundle.path.resolve().name,
        "network": bundle.network,
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


def _for_people(facts: dict[str, Any]) -> dict[str, Any]:
    """With the precision explained, and with the layers counted that JSON lists one by one."""
    if "model" not in facts:
        return facts
    model = dict(facts["model"])
    precision, quantization = model["precision"], model.get("quantization", {})
    if precision in PRECISIONS:
        model["precision"] = f"{PRECISIONS[precision]} ({precision})"
    if isinstance(quantization.get("layers"), dict):
        counts = Counter(map(str, quantization["layers"].values())).most_common()
        model["quantization"] = quantization | {"layers": [f"{number} {name}" for name, number in counts]}
    return facts | {"model": model}


def _lines(facts: dict[str, Any], indent: str = "") -> list[str]:
    lines = []
    for key, value in facts.items():
        label = f"{indent}{printable(key if '.' in key else key.replace('_', ' '))}:"  # names of files stay
        if isinstance(value, dict):
            lines += [label, *_lines(value, indent + "  ")]
        elif isinstance(value, list):
            lines.append(f"{label} {printable(', '.join(map(str, value))) or 'none'}")
        elif isinstance(value, bool):
            lines.append(f"{label} {'yes' if value else 'no'}")
        elif isinstance(value, int):
            lines.append(f"{label} {value:,}")
        else:
            lines.append(f"{label} {printable(str(value))}")
    return lines
