"""How well frames are aligned: made ones whose transform is known, and real stacks before and after.

    python -m fusiongcn_edge.benchmarks.experiments.registration_error --photos DIR [--count 25] [--triples DIR]

Of a photograph two frames are made, sharp on either side of a wave and blurred on the other. The second is shifted by
up to 2 % of its width, scaled by up to 3 % and rotated by up to 2 degrees against the first (or shifted alone, or
sheared and tilted besides), exposed up to 0.3 EV otherwise, and both have noise of their own. The error is the mean
distance, over a grid, between where the true transform and the one found take a point. DIR of --triples holds a folder
of frames for each real stack; Q_G is over the frames as they were fused.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.experiments.synthetic import disc, photographs_below
from fusiongcn_edge.benchmarks.metrics.conversion import to_gray
from fusiongcn_edge.benchmarks.metrics.gradient import q_g_of_stack
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import Fuser, align_frames
from fusiongcn_edge.runtime.cli.options import whole_number
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.registration.estimate import MODELS, align
from fusiongcn_edge.runtime.registration.pyramid import ImagePyramid, transformed
from fusiongcn_edge.runtime.types import Frames, Matrix

MARGIN = 0.07  # of each side of a photograph, so that no frame shows what is beyond it
BLURS = (3, 6)  # pixels, radius
GAMMA = 2.2


@dataclass(frozen=True)
class Moved:
    """Two frames, uint8 H x W x 3; ``matrix`` takes pixels of the first to pixels of the second."""

    first: NDArray[np.uint8]
    second: NDArray[np.uint8]
    matrix: Matrix

    def errors(self, found: Matrix) -> NDArray[np.float64]:
        """Distances in pixels between where the two transforms take the points of a grid."""
        height, width = self.first.shape[:2]
        x, y = np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9))
        grid = np.stack([x.ravel(), y.ravel()], axis=1)
        return np.linalg.norm(transformed(self.matrix, grid) - transformed(found, grid), axis=1)


def moved_pair(photograph: NDArray[np.uint8], model: str, blur: float, seed: int) -> Moved:
    """Two frames of a photograph (uint8 H x W x 3) that differ by a random transform of a kind."""
    rng = np.random.default_rng(seed)
    height, width = (int(side * (1 - 2 * MARGIN)) for side in photograph.shape[:2])
    matrix = _random_transform(model, height, width, rng)
    crop = np.array([(1, 0, MARGIN * photograph.shape[1]), (0, 1, MARGIN * photograph.shape[0]), (0, 0, 1)])
    frames = []
    for number, place in enumerate((crop, crop @ np.linalg.inv(matrix))):
        flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
        frames.append(cv2.warpPerspective(_focused(photograph, blur, number == 0), place, (width, height), flags=flags))
    light = np.clip(frames[1] / 255, 0, 1) ** GAMMA * 2 ** rng.uniform(-0.3, 0.3)
    frames[1] = 255 * light ** (1 / GAMMA)
    noisy = [np.clip(np.rint(frame + rng.normal(0, 1.5, frame.shape)), 0, 255).astype(np.uint8) for frame in frames]
    return Moved(noisy[0], noisy[1], matrix)


def _random_transform(model: str, height: int, width: int, rng: np.random.Generator) -> Matrix:
    freedoms = MODELS.index(model)
    x, y = rng.uniform(-0.02, 0.02, 2) * width
    scale, angle = 1 + rng.uniform(-0.03, 0.03) * (freedoms > 1), np.radians(rng.uniform(-2, 2)) * (freedoms > 1)
    shear, tilt = rng.uniform(-0.01, 0.01, 2) * (freedoms > 2), rng.uniform(-0.02, 0.02, 2) * (freedoms > 3)
    middle = np.array([(1, 0, (width - 1) / 2), (0, 1, (height - 1) / 2), (0, 0, 1)])
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([(c, -s, x), (s, c, y), (0, 0, 1)]) @ np.array(
        [(1 + shear[0], shear[1], 0), (0, 1, 0), (0, 0, 1)]
    )
    matrix = matrix @ np.array([(1, 0, 0), (0, 1, 0), (tilt[0] / width, tilt[1] / height, 1)])
    return np.asarray(middle @ matrix @ np.linalg.inv(middle))


def _focused(photograph: NDArray[np.uint8], blur: float, left: bool) -> NDArray[np.float32]:
    """Sharp on the left of a wave, or on its right; the edge of the left side, the nearer one, is as sharp as it."""
    height, width = photograph.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    near = (columns < width / 2 + width / 8 * np.sin(rows * 8 / height)).astype(np.float32)[:, :, None]
    sharp = photograph.astype(np.float32)
    soft, edge = (cv2.filter2D(picture, -1, disc(blur)) for picture in (sharp, near))
    if left:
        return np.asarray(soft + near * (sharp - soft), np.float32)
    return np.asarray(sharp + edge[:, :, None] * (soft - sharp), np.float32)


def main() -> int:
    """Print the tables."""
    parser = new_parser("experiments.registration_error", __doc__)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="photographs to make frames from")
    parser.add_argument("--count", type=whole_number(1), default=25, metavar="N", help="of them (default: %(default)s)")
    parser.add_argument("--triples", type=Path, metavar="DIR", help="folders of frames")
    arguments = parser.parse_args()
    return exit_code(lambda: _tables(arguments))


def _tables(arguments: argparse.Namespace) -> None:
    photographs = photographs_below(arguments.photos, arguments.count)
    print("model       blur  mean error  worst  corner  not aligned  least correlation")
    for model in MODELS[1:]:
        for blur in BLURS:
            made = [moved_pair(photograph, model, blur, seed) for seed, photograph in enumerate(photographs)]
            tried = [(pair, align(ImagePyramid(pair.first), ImagePyramid(pair.second), model)) for pair in made]
            found = [(pair, a) for pair, a in tried if a is not None]
            told = ["–"] * 4
            if found:
                errors = np.array([pair.errors(a.matrix) for pair, a in found])
                figures = errors.mean(), errors.mean(1).max(), errors.max(), min(a.correlation for _, a in found)
                told = [f"{figure:.3f}" for figure in figures]
            mean, worst, corner, least = told
            failed = len(tried) - len(found)
            print(f"{model:<12}{blur:>4}{mean:>12}{worst:>7}{corner:>8}{failed:>13}{least:>19}", flush=True)
    if arguments.triples is not None:
        _real(arguments.triples)


def _real(folder: Path) -> None:
    fuser = Fuser.open()

    def quality(frames: Frames) -> float:
        return q_g_of_stack([to_gray(frames[i]) for i in range(len(frames))], to_gray(fuser.fuse_stack(frames).image))

    print("\nstack       frames  Q_G as they are, aligned")
    for stack in sorted(path for path in folder.iterdir() if path.is_dir()):
        frames: list[NDArray[Any]] = [read_image(path) for path in sorted(stack.iterdir())]
        aligned = align_frames(frames, "similarity")
        top, bottom, left, right = aligned.area
        before = quality([frame[top:bottom, left:right] for frame in frames])
        print(f"{stack.name:<12}{len(frames):>6}{before:>17.4f}{quality(aligned):>9.4f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
