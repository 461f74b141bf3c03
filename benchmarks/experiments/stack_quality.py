"""How good fused stacks are: made ones against their truth, real ones against the fusions of two of their frames.

    python -m fusiongcn_edge.benchmarks.experiments.stack_quality --photos DIR [--count 8] [--triples DIR]

A made stack is a photograph whose pixels are put at as many depths as the stack has frames, on a rough slope; each
frame is focused at one depth, and everything at another is blurred in proportion to the distance, a nearer surface over
a farther one. "pair" are two such frames given to ``Fuser.fuse``. DIR of --triples holds a folder of frames for each
real stack.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.experiments.synthetic import disc, photographs_below
from fusiongcn_edge.benchmarks.metrics.conversion import to_gray
from fusiongcn_edge.benchmarks.metrics.gradient import q_g_of_stack
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.cli.options import whole_number
from fusiongcn_edge.runtime.fuser import DEFAULT_MODEL
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pixels import psnr

LARGEST_RADIUS = 8.0  # pixels, of what is at one end of the scene when the other end is in focus
COUNTS = (2, 3, 5, 11)  # frames of made stacks


def made_stack(photograph: NDArray[np.uint8], count: int, seed: int) -> tuple[list[NDArray[np.uint8]], NDArray[Any]]:
    """``count`` frames (uint8 H x W x 3) of a photograph (the same, or H x W) and, integers H x W, the frame in which a
    pixel is sharp."""
    height, width = photograph.shape[:2]
    frame = np.minimum((_slope(height, width, seed) * count).astype(int), count - 1)
    colour = photograph if photograph.ndim == 3 else cv2.cvtColor(photograph, cv2.COLOR_GRAY2BGR)
    sharp = colour.astype(np.float32)
    frames = []
    for focus in range(count):
        picture = np.zeros_like(sharp)
        for depth in range(count):
            radius = LARGEST_RADIUS * abs(depth - focus) / (count - 1)
            matte = _blurred((frame >= depth).astype(np.float32), radius)[:, :, None]
            picture += matte * (_blurred(sharp, radius) - picture)
        frames.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
    return frames, frame


def _slope(height: int, width: int, seed: int) -> NDArray[np.float64]:
    """Depths from 0 to 1, every one at as many pixels."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:height, :width]
    depth = 1.5 * (columns / width * np.cos(angle) + rows / height * np.sin(angle))
    for cells, amount in ((3, 1.0), (6, 0.5)):
        coarse = rng.random((cells, cells), np.float32)
        depth += amount * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return depth.ravel().argsort().argsort().reshape(height, width) / (height * width)


def _blurred(picture: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    if radius == 0:
        return picture
    return np.asarray(cv2.filter2D(picture, -1, disc(radius), borderType=cv2.BORDER_REFLECT), np.float32)


def main() -> int:
    """Print the tables."""
    parser = new_parser("experiments.stack_quality", __doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|PATH", help="(default: %(default)s)")
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="photographs to make stacks from")
    parser.add_argument(
        "--count", type=whole_number(1), default=8, metavar="N", help="how many of them (default: %(default)s)"
    )
    parser.add_argument("--triples", type=Path, metavar="DIR", help="folders of aligned frames")
    arguments = parser.parse_args()
    return exit_code(lambda: _tables(arguments))


def _tables(arguments: argparse.Namespace) -> None:
    fuser = Fuser.open(arguments.model)
    _made(fuser, photographs_below(arguments.photos, arguments.count))
    if arguments.triples is not None:
        _real(fuser, arguments.triples)


def _made(fuser: Fuser, photographs: list[NDArray[Any]]) -> None:
    scores = []
    for seed, photograph in enumerate(photographs):
        frames, _ = made_stack(photograph, 2, seed)
        scores.append(psnr(fuser.fuse(frames[0], frames[1]).image, photograph))
    print("frames  PSNR dB  least  the right frame  off by one at most  pixels that another order changes")
    print(f"  pair{np.mean(scores):>9.2f}{min(scores):>7.2f}", flush=True)
    for count in COUNTS:
        rows = []
        for seed, photograph in enumerate(photographs):
            frames, frame = made_stack(photograph, count, seed)
            found = fuser.fuse_stack(frames)
            shuffle = np.random.default_rng(seed).permutation(count)
            again = fuser.fuse_stack([frames[i] for i in shuffle])
            away = np.abs(found.source_index.astype(int) - frame)
            changed = np.mean((found.image != again.image).any(2) | (found.source_index != shuffle[again.source_index]))
            rows.append((psnr(found.image, photograph), np.mean(away == 0), np.mean(away <= 1), changed))
        quality, right, near, changed = np.mean(rows, axis=0)
        least = min(row[0] for row in rows)
        print(f"{count:>6}{quality:>9.2f}{least:>7.2f}{right:>17.2%}{near:>20.2%}{changed:>35.2%}", flush=True)


def _real(fuser: Fuser, folder: Path) -> None:
    print("\nstack       frames  Q_G over all frames: of the stack, best of two frames")
    for stack in sorted(path for path in folder.iterdir() if path.is_dir()):
        frames = [read_image(path) for path in sorted(stack.iterdir())]
        sources = [to_gray(frame) for frame in frames]
        whole = q_g_of_stack(sources, to_gray(fuser.fuse_stack(frames).image))
        pairs = [fuser.fuse(a, b).image for a, b in combinations(frames, 2)]
        best = max(q_g_of_stack(sources, to_gray(fused)) for fused in pairs)
        print(f"{stack.name:<12}{len(frames):>6}{whole:>28.4f}{best:>21.4f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
