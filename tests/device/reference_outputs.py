"""Compute what the shipped models make of small parts of the example photographs, to compare another machine with.

    python tests/device/reference_outputs.py -o tests/device/x86.npz

Needs nothing but the wheel and docs/example.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.engines.base import ENGINES
from fusiongcn_edge.runtime.io.files import check_folder, write_files
from fusiongcn_edge.runtime.io.images import read_image

PHOTOGRAPHS = Path(__file__).resolve().parents[2] / "docs" / "example"
# where both photographs are sharp somewhere; 80 x 104 are two of the published network's tiles on LiteRT
PARTS = {
    "fusiongcn": (slice(100, 180), slice(50, 154)),
    "fusiongcn-lite": (slice(250, 378), slice(50, 178)),
}
MODELS = [f"{network}{precision}" for network in PARTS for precision in ("", "-int8")]
Arrays = dict[str, NDArray[Any]]


def pair(model: str) -> list[NDArray[np.uint8]]:
    """Read the part of both photographs that a model is tried on, uint8 H x W x 3 each."""
    part = PARTS[model.removesuffix("-int8")]
    return [np.ascontiguousarray(read_image(PHOTOGRAPHS / f"{name}.jpg")[part]) for name in ("near", "far")]


def preprocessing(model: str) -> Arrays:
    """Compute a checksum of the decoded photographs, superpixels (int16 H x W) and node features."""
    first, second = pair(model)
    network = Fuser.open(model).network
    seen = network.preprocess(first, second)
    labels = network.superpixels(seen)
    checksum = hashlib.sha256(first.tobytes() + second.tobytes()).hexdigest()
    graph = network.graph(seen, labels)
    return {"checksum": np.array(checksum), "labels": labels.astype(np.int16), "features": graph["features"]}


def outputs(model: str, engine: str) -> Arrays:
    """Compute the decision map, eight pixels in a byte, and the focus probability in 255ths."""
    result = Fuser.open(model, engine=engine).fuse(*pair(model))
    return {
        "decision": np.packbits(result.decision),
        "probability": np.rint(result.probability * 255).astype(np.uint8),
    }


def write(path: str) -> None:
    """Compute all of it, and write it as an .npz file."""
    check_folder(path)
    found: Arrays = {}
    for network in PARTS:
        found |= {f"{network}/{name}": array for name, array in preprocessing(network).items()}
    for model in MODELS:
        for engine in ENGINES:
            found |= {f"{model}/{engine}/{name}": array for name, array in outputs(model, engine).items()}
    data = io.BytesIO()
    np.savez_compressed(data, **found)  # type: ignore[arg-type]  # its keyword allow_pickle
    write_files({path: data.getvalue()})
    print(f"{path}: {len(data.getvalue()):,} bytes")


def main() -> int:
    """Write the file; 2 after a sentence on what the user can mend."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="file to write, .npz")
    arguments = parser.parse_args()
    try:
        write(arguments.output)
    except FusionError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
