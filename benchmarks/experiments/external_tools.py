"""Whole programs on the same photographs, each as its users run it: ours, and enfuse and focus-stack if installed.

    python -m fusiongcn_edge.benchmarks.experiments.external_tools [--size 3040x4056] [--frames 2] [--rounds 3]
        [--engine onnx,litert]

Every run is a process of its own that reads JPEGs and writes one, in turn with the others. CPU: what it and its threads
used, user and system; median of the rounds, and how many times the first program's. Peak: its resident memory, 10^6
bytes. PSNR: of its result against the photograph that the frames were made from, each of which is sharp in a stripe of
it and blurred elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.evaluation import baselines
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.cli.options import parse_size, whole_number
from fusiongcn_edge.runtime.fuser import DEFAULT_MODEL
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.pixels import psnr
from fusiongcn_edge.runtime.io.synthetic import synthetic_photo

LENS, BLUR = 1.0, 4.0  # standard deviations in pixels, where a frame is in focus and where not
FUSED = "fused.jpg"
# starts a program from a small process: a large one would pass its own peak memory on
LAUNCHER = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
used = resource.getrusage(resource.RUSAGE_CHILDREN)
told = (done.stderr.strip() or "it said nothing").splitlines()[-1]
print(json.dumps([done.returncode, told, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""


def made_frames(size: tuple[int, int], count: int) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
    """A made photograph (uint8 H x W x 3) and ``count`` frames of it, each sharp in one of as many upright stripes."""
    scene = synthetic_photo(*size)
    sharp, blurred = (np.clip(cv2.GaussianBlur(scene, (0, 0), own), 0, 255).astype(np.uint8) for own in (LENS, BLUR))
    stripe = np.arange(size[1]) * count // size[1]
    return sharp, [np.where((stripe == own)[None, :, None], sharp, blurred) for own in range(count)]


def commands(engines: Sequence[str], model: str, names: Sequence[str]) -> dict[str, list[str]]:
    """Command lines by program that fuse the files ``names`` to ``FUSED``, for those that are installed."""
    model = os.path.abspath(model) if os.path.exists(model) else model  # they are run in another folder
    verb = "fuse" if len(names) == 2 else "stack"
    own = [sys.executable, "-m", "fusiongcn_edge", verb, *names, "-o", FUSED, "--model", model]
    found = {f"fusiongcn {verb}, {engine}": [*own, "--engine", engine] for engine in engines}
    for name, options in baselines.PROGRAMS.items():
        if path := shutil.which(name):
            found[name] = [path, *options, f"--output={FUSED}", *names]
    return found


def run(command: Sequence[str], folder: Path) -> tuple[float, int]:
    """CPU-seconds and peak bytes of one process.

    Raises
    ------
    FusionError
        If it fails.
    """
    told = subprocess.run([sys.executable, "-c", LAUNCHER, *command], cwd=folder, capture_output=True, text=True)
    if told.returncode:
        raise FusionError(f"{command[0]} cannot be started", fix=f"{told.stderr.strip().splitlines()[-1]}")
    code, said, seconds, peak = json.loads(told.stdout)
    if code:
        raise FusionError(f"{' '.join(command)} ended with code {code}", fix=said)
    return seconds, peak


def main() -> int:
    """Print the table."""
    parser = new_parser("experiments.external_tools", __doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|PATH", help="(default: %(default)s)")
    parser.add_argument("--engine", default="onnx,litert", metavar="NAME,…", help="(default: %(default)s)")
    parser.add_argument("--size", type=parse_size, default=(3040, 4056), metavar="HxW", help="default: 3040x4056")
    parser.add_argument("--frames", type=whole_number(2), default=2, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=whole_number(1), default=3, metavar="N", help="(default: %(default)s)")
    arguments = parser.parse_args()
    return exit_code(lambda: _table(arguments))


def _table(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="fusiongcn-") as name:
        folder = Path(name)
        sharp, frames = made_frames(arguments.size, arguments.frames)
        names = [f"{number}.jpg" for number in range(1, len(frames) + 1)]
        for file, frame in zip(names, frames, strict=True):
            write_image(folder / file, frame)
        del frames
        found: dict[str, list[tuple[float, int, float]]] = {}
        programs = commands(arguments.engine.split(","), arguments.model, names)
        for number in range(arguments.rounds):
            for program, command in programs.items():
                print(f"round {number + 1} of {arguments.rounds}: {program} …", file=sys.stderr, flush=True)
                (folder / FUSED).unlink(missing_ok=True)
                used = run(command, folder)
                found.setdefault(program, []).append((*used, psnr(read_image(folder / FUSED), sharp)))
    height, width = arguments.size
    print(f"{arguments.frames} frames of {height}x{width}{'CPU s':>9}{'first = 1':>24}{'peak MB':>9}{'PSNR dB':>9}")
    first = [seconds for seconds, *_ in next(iter(found.values()))]
    for program, runs in found.items():
        seconds, peaks, quality = zip(*runs, strict=True)
        ratios = [own / other for own, other in zip(seconds, first, strict=True)]
        ratio = f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{program:<22}{np.median(seconds):>9.2f}{ratio:>24}{max(peaks) / 1e6:>9.0f}{quality[0]:>9.2f}")
    for program in baselines.absent_peers():
        print(baselines.not_installed(program))


if __name__ == "__main__":
    sys.exit(main())
