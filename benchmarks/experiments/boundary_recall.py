"""How well superpixels follow the edges that people see, at several settings.

    python -m fusiongcn_edge.benchmarks.experiments.boundary_recall --photos DIR [--every N]

DIR holds ``images/NAME.*`` and segmentations ``segments/NAME_k.png`` (region labels). For each setting: boundary
recall, the share of the segmentation's edge pixels within 2 pixels of a superpixel's edge; the share of pixels that are
superpixel edges (a grid drawn finer recalls more); the number of superpixels; and the CPU time relative to the first
setting, which is the published one.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from time import process_time

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.metrics.filters import edges
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime.cli.options import whole_number
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.segmentation.slic import slic

PUBLISHED = (10.0, 5.0, 10)  # compactness, sigma, iterations
TRIED = [PUBLISHED, *itertools.product((0.3, 0.2, 0.1, 0.05), (1.0, 2.0), (3, 10))]
TOLERANCE = 2  # pixels


def main() -> int:
    """Print the table."""
    parser = new_parser("experiments.boundary_recall", __doc__)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--every", type=whole_number(1), default=8, metavar="N", help="use each N-th photograph (default: 8)"
    )
    arguments = parser.parse_args()
    return exit_code(lambda: _table(_cases(arguments.photos, arguments.every)))


def _table(cases: list[tuple[NDArray[np.float32], NDArray[np.uint16]]]) -> None:
    near = np.ones((2 * TOLERANCE + 1,) * 2)
    base = 0.0
    print(f"{len(cases)} photographs")
    print("compactness  sigma  iterations  recall  edge share  superpixels  time")
    for compactness, sigma, iterations in TRIED:
        rows, spent = [], 0.0
        for gray, segments in cases:
            start = process_time()
            labels = slic(gray, max(gray.shape) // 2, compactness, sigma, iterations)
            spent += process_time() - start
            drawn, wanted = edges(labels), edges(segments)
            close = cv2.dilate(drawn.astype(np.uint8), near) > 0
            rows.append([(close & wanted).sum() / wanted.sum(), drawn.mean(), labels.max() + 1])
        base = base or spent
        recall, share, count = np.mean(rows, axis=0)
        print(
            f"{compactness:>11}{sigma:>7}{iterations:>12}{recall:>8.3f}{share:>12.3f}{count:>13.0f}"
            f"{spent / base:>6.2f}",
            flush=True,
        )


def _cases(root: Path, every: int) -> list[tuple[NDArray[np.float32], NDArray[np.uint16]]]:
    from fusiongcn_edge.model.data.photos import segmentations

    cases = []
    for path in sorted((root / "images").glob("*"))[::every]:
        drawn = segmentations(path)
        if drawn:
            image = read_image(path)
            gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            cases.append((gray.astype(np.float32), read_image(drawn[0])))
    if not cases:
        raise FusionError(f"No photographs with segmentations below {root}", fix="it needs images/ and segments/")
    return cases


if __name__ == "__main__":
    sys.exit(main())
