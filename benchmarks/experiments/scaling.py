"""How time and memory grow with the photograph.

    python -m fusiongcn_edge.benchmarks.experiments.scaling [--model NAME|PATH] [--largest N] [--max-memory MB]
        [--plot FILE]

Square pairs from 256x256 on, each size twice the pixels of the one before. Time: rounds over all sizes in turn in one
process, after each has been run once; printed relative to the smallest, per pixel. The exponent is the slope of the
logarithm of time over that of pixels. Peak memory: a fresh process for each size, without and with the bound.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from fusiongcn_edge.benchmarks.experiments.plots import check_figure, write_figure
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import Fuser, FusionError
from fusiongcn_edge.runtime.cli.options import add_model_argument, whole_number
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair

SMALLEST = 256


def main() -> int:
    """Measure, print, plot."""
    parser = new_parser("experiments.scaling", __doc__)
    add_model_argument(parser)
    parser.add_argument(
        "--largest", type=whole_number(1), default=2048, metavar="N", help="side in pixels (default: %(default)s)"
    )
    parser.add_argument("--threads", type=whole_number(1), default=2, metavar="N", help="default: %(default)s")
    parser.add_argument("--rounds", type=whole_number(1), default=3, metavar="N", help="default: %(default)s")
    parser.add_argument("--max-memory", type=float, default=1000, metavar="MB", help="default: %(default)s")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="picture of both (needs matplotlib)")
    arguments = parser.parse_args()

    def measure() -> None:
        if arguments.plot is not None:
            check_figure(arguments.plot)
        sides = [int(side) for side in SMALLEST * 2 ** np.arange(0, np.log2(arguments.largest / SMALLEST) + 0.01, 0.5)]
        if not sides:
            raise FusionError("--largest is too small", found=arguments.largest, allowed=f"at least {SMALLEST}")
        times = time_of(arguments.model, sides, arguments.threads, arguments.rounds)
        free = [peak_of(arguments.model, side, arguments.threads, None) for side in sides]
        bound = [peak_of(arguments.model, side, arguments.threads, arguments.max_memory) for side in sides]
        pixels = np.square(sides)
        exponent = np.polyfit(np.log(pixels), np.log(times), 1)[0] if len(sides) > 1 else float("nan")
        print(f"{'side':>6}{'time / pixel':>14}{'peak MB':>10}{f'peak MB, bound {arguments.max_memory:.0f}':>24}")
        for side, spent, a, b in zip(sides, times, free, bound, strict=True):
            print(f"{side:>6}{spent / side**2 / (times[0] / sides[0] ** 2):>14.2f}{a:>10.0f}{b:>24.0f}")
        print(f"time grows with pixels to the power of {exponent:.3f}")
        if arguments.plot is not None:
            plot(arguments.plot, pixels / 1e6, times / times[0], free, bound, arguments.max_memory)

    return exit_code(measure)


def time_of(model: str, sides: list[int], threads: int, rounds: int) -> np.ndarray:
    """Median seconds for each size."""
    fuser = Fuser.open(model, threads=threads)
    times = np.empty((rounds + 1, len(sides)))
    for number in range(rounds + 1):
        for i, side in enumerate(sides):
            times[number, i] = sum(fuser.fuse(*synthetic_pair(side, side)).timings.values())
            if sys.stderr.isatty():
                print(f"\r\033[Kround {number} of {rounds}, {side}x{side}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return np.asarray(np.median(times[1:], axis=0))


def peak_of(model: str, side: int, threads: int, max_memory: float | None) -> float:
    """Peak MB of a fresh process; not a number if that much memory does not suffice."""
    command = [
        sys.executable,
        "-m",
        "fusiongcn_edge.benchmarks.experiments.peak_rss",
        "--model",
        model,
        "--size",
        f"{side}x{side}",
    ]
    command += ["--threads", str(threads)]
    if max_memory is not None:
        command += ["--max-memory", str(max_memory)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr.strip(), file=sys.stderr)
        return float("nan")
    return float(done.stdout.split("peak ")[1].split()[0])


def plot(
    file: Path, megapixels: np.ndarray, times: np.ndarray, free: list[float], bound: list[float], mb: float
) -> None:
    """Both curves, on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.loglog(megapixels, times, "o-", label="measured")
    left.loglog(megapixels, megapixels / megapixels[0], ":", color="gray", label="linear")
    left.set(xlabel="megapixels", ylabel="time, smallest = 1")
    right.loglog(megapixels, free, "o-", label="no bound")
    right.loglog(megapixels, bound, "s-", label=f"--max-memory {mb:.0f}")
    right.set(xlabel="megapixels", ylabel="peak memory, MB")
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    write_figure(file, figure)


if __name__ == "__main__":
    sys.exit(main())
