"""What the shipped models make of small parts of the example photographs: what another machine has to give as well.

python -m fusiongcn_edge.benchmarks.arm.reference_outputs -o tests/device/x86.npz
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.cli.options import exit_code, new_parser
from fusiongcn_edge.runtime import Fuser
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


def pair(model: str, photographs: Path = PHOTOGRAPHS) -> list[NDArray[np.uint8]]:
    """The part of both photographs that a model is tried on."""
    part = PARTS[model.removesuffix("-int8")]
    return [np.ascontiguousarray(read_image(photographs / f"{name}.jpg")[part]) for name in ("near", "far")]


def whole_pair(side: int, photographs: Path = PHOTOGRAPHS) -> list[NDArray[Any]]:
    """Both photographs whole, as squares of ``side`` pixels a side."""
    return [cv2.resize(read_image(photographs / f"{name}.jpg"), (side, side)) for name in ("near", "far")]


def preprocessing(model: str, photographs: Path = PHOTOGRAPHS) -> Arrays:
    """Checksum of the decoded photographs, superpixels, and node features."""
    first, second = pair(model, photographs)
    network = Fuser.open(model).network
    seen = network.preprocess(first, second)
    labels = network.superpixels(seen)
    checksum = hashlib.sha256(first.tobytes() + second.tobytes()).hexdigest()
    graph = network.graph(seen, labels)
    return {"checksum": np.array(checksum), "labels": labels.astype(np.int16), "features": graph["features"]}


def outputs(model: str, engine: str, photographs: Path = PHOTOGRAPHS) -> Arrays:
    """What is decided, eight pixels in a byte, and the focus probability in 255ths."""
    result = Fuser.open(model, engine=engine).fuse(*pair(model, photographs))
    return {
        "decision": np.packbits(result.decision),
        "probability": np.rint(result.probability * 255).astype(np.uint8),
    }


def main() -> int:
    """Compute and write all of it."""
    parser = new_parser("arm.observed", __doc__)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="file to write, .npz")
    arguments = parser.parse_args()

    def body() -> None:
        check_folder(arguments.output)
        found: Arrays = {}
        for network in PARTS:
            found |= {f"{network}/{name}": array for name, array in preprocessing(network).items()}
        for model in MODELS:
            for engine in ENGINES:
                found |= {f"{model}/{engine}/{name}": a for name, a in outputs(model, engine).items()}
        data = io.BytesIO()
        np.savez_compressed(data, **found)  # type: ignore[arg-type]  # its keyword allow_pickle
        write_files({arguments.output: data.getvalue()})
        print(f"{arguments.output}: {len(data.getvalue()):,} bytes")

    return exit_code(body)


if __name__ == "__main__":
    sys.exit(main())
