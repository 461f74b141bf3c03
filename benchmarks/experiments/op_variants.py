"""Ways to write the same part of the CNN, side by side on ONNX Runtime: what ``export/stages_onnx.py`` chose, and why.

    python -m fusiongcn_edge.benchmarks.experiments.op_variants [--rounds N] [--only PART]

For each part, every way is exported, run on one tile with one thread, in turn, round after round; printed is the median
of its time relative to the first way (lower is faster), and how far its result differs. Needs torch (the extra
``export``). The ways that lost stay here, so that they can be tried again on another engine or machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.cli.options import whole_number

ROWS, COLUMNS = 47, 174  # the tile of a 520x520 photograph
WARM = 3


@dataclass(frozen=True)
class Part:
    """One piece of work and the ways to write it; all take the same arrays."""

    name: str
    inputs: tuple[tuple[int, ...], ...]  # shapes; an empty one: row numbers below 300, a tile of them
    ways: dict[str, Callable[..., object]]


def main() -> int:
    """Measure and print."""
    parser = new_parser("experiments.op_variants", __doc__)
    parser.add_argument("--rounds", type=whole_number(1), default=15, metavar="N", help="default: %(default)s")
    parser.add_argument("--only", metavar="PART", help="a part whose name holds this")
    arguments = parser.parse_args()

    def measure() -> None:
        chosen = [part for part in parts() if arguments.only is None or arguments.only in part.name]
        if not chosen:
            raise FusionError(
                "There is no such part",
                found=repr(arguments.only),
                allowed=f"one of {', '.join(part.name for part in parts())}",
            )
        for part in chosen:
            print(part.name)
            for way, (ratio, difference) in compare(part, arguments.rounds).items():
                print(f"{ratio:>8.2f}  {way:<58} differs by {difference:.0e}", flush=True)

    return exit_code(measure)


def compare(part: Part, rounds: int) -> dict[str, tuple[float, float]]:
    """Way to (time relative to the first way, greatest difference from its result relative to its range)."""
    import onnxruntime

    rng = np.random.default_rng(0)
    feed: list[NDArray[np.generic]] = [
        rng.normal(size=shape).astype(np.float32) if shape else rng.integers(0, 300, (ROWS, COLUMNS), np.int32)
        for shape in part.inputs
    ]
    sessions, results = {}, {}
    for name, way in part.ways.items():
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        session = onnxruntime.InferenceSession(to_onnx(way, feed), options, providers=["CPUExecutionProvider"])
        named = {given.name: array for given, array in zip(session.get_inputs(), feed, strict=True)}
        sessions[name] = (session, named)
        results[name] = session.run(None, named)[0]
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(WARM + rounds):
        for name, (session, named) in sessions.items():
            start = perf_counter()
            session.run(None, named)
            if number >= WARM:
                times[name].append(perf_counter() - start)
    first = next(iter(sessions))
    base = results[first]
    return {
        name: (
            float(np.median(np.divide(times[name], times[first]))),
            float(np.abs(results[name] - base).max() / np.ptp(base)),
        )
        for name in sessions
    }


def to_onnx(way: Callable[..., object], feed: list[NDArray[np.generic]]) -> bytes:
    """A function of tensors as an ONNX graph of fixed size."""
    import torch

    from fusiongcn_edge.export.to_onnx import exported

    class Way(torch.nn.Module):
        def forward(self, *tensors: torch.Tensor) -> object:
            return way(*tensors)

    return exported(Way(), [torch.from_numpy(array) for array in feed]).SerializeToString()


def parts() -> list[Part]:
    """What was tried."""
    import torch
    from torch.nn import functional as F

    from fusiongcn_edge.export.stages_onnx import simam, sums
    from fusiongcn_edge.export.subgraphs import OneExponentialMish

    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    def image(channels: int, reach: int = 0, pairs: int = 1) -> tuple[int, ...]:
        return pairs, channels, ROWS + 2 * reach, COLUMNS + 2 * reach

    multiplier, wide = random(192, 1, 5, 5), random(36, 18, 5, 5) / 20
    small, middle, large = random(6, 3, 5, 5), random(6, 3, 7, 7), random(6, 3, 9, 9)
    one_stem = torch.zeros(18, 3, 9, 9)
    one_stem[:6, :, ::2, ::2], one_stem[6:12, :, 1:8, 1:8], one_stem[12:] = small, middle, large
    mean, variance = random(1, 96, 1, 1), random(1, 96, 1, 1).square() + 0.5
    smooth, importance = random(288, 3, 3) / 10, random(288).sigmoid()
    members = (torch.arange(288)[:, None] // 12 == torch.arange(24)).float()
    mish = OneExponentialMish()

    def softplus_mish(x: torch.Tensor) -> torch.Tensor:
        return x * torch.tanh(F.softplus(x))

    def two_exponential_mish(x: torch.Tensor) -> torch.Tensor:
        q = torch.sigmoid(-x)
        return x * (1 - q * q) / (1 + q * q)

    def logarithm_mish(x: torch.Tensor) -> torch.Tensor:
        return -x * torch.tanh(torch.log(torch.sigmoid(-x)))

    def even_and_odd(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([F.conv2d(x, multiplier[i::2], dilation=2, groups=96) for i in (0, 1)], 1)

    def interleaved(y: torch.Tensor) -> torch.Tensor:
        return torch.cat([y[:, 0::2], y[:, 1::2]], 1)

    def four_phases(x: torch.Tensor) -> torch.Tensor:
        x = F.pad(x, (0, COLUMNS % 2, 0, ROWS % 2))
        rows, columns = x.shape[2] // 2, x.shape[3] // 2
        y = x.reshape(96, rows, 2, columns, 2).permute(2, 4, 0, 1, 3).reshape(4, 96, rows, columns)
        y = F.conv2d(y.repeat_interleave(2, 1), multiplier, groups=192)
        rows, columns = y.shape[2:]
        y = y.reshape(2, 2, 192, rows, columns).permute(2, 3, 0, 4, 1).reshape(1, 192, 2 * rows, 2 * columns)
        return interleaved(y[:, :, :ROWS, :COLUMNS])

    def separate_simam(x: torch.Tensor) -> torch.Tensor:
        squares = (x - mean).square()
        return x * torch.sigmoid(squares / (4 * (variance + 1e-5)) + 0.5)

    def grouped_join(x: torch.Tensor) -> torch.Tensor:
        weighed = x * importance[None, :, None, None]
        return F.conv2d(weighed, smooth.reshape(24, 12, 3, 3), padding=1, groups=24)

    def depthwise(x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, smooth[:, None], padding=1, groups=288)

    def product_of_channels(x: torch.Tensor) -> torch.Tensor:
        flat = depthwise(x).reshape(288, ROWS * COLUMNS)
        return ((members * importance[:, None]).T @ flat).reshape(1, 24, ROWS, COLUMNS)

    def product_of_pixels(x: torch.Tensor) -> torch.Tensor:
        flat = depthwise(x).permute(0, 2, 3, 1).reshape(ROWS * COLUMNS, 288)
        return (flat @ (members * importance[:, None])).T.reshape(1, 24, ROWS, COLUMNS)

    def split_channels(x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x[:, :16], wide[:, :16]) + F.conv2d(x[:, 16:], wide[:, 16:])

    def padded_channels(x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(x, (0, 0, 0, 0, 0, 2)), F.pad(wide, (0, 0, 0, 0, 0, 2)))

    def three_stems(x: torch.Tensor) -> torch.Tensor:
        inner = x[:, :, 1:-1, 1:-1]
        return torch.cat([F.conv2d(x, small, dilation=2), F.conv2d(inner, middle), F.conv2d(x, large)], 1)

    def gather_columns(table: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return table.T.index_select(1, labels.reshape(-1)).reshape(1, 48, ROWS, COLUMNS)

    def gather_rows(table: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return table.index_select(0, labels.reshape(-1)).T.reshape(1, 48, ROWS, COLUMNS)

    def one_hot(table: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (F.one_hot(labels.reshape(-1).long(), 300).float() @ table).T.reshape(1, 48, ROWS, COLUMNS)

    return [
        Part(
            "Mish of 48 channels", (image(48),),
            {
                "tanh of softplus, as published": softplus_mish,
                "x(1 - q^2)/(1 + q^2), q = sigmoid(-x)": two_exponential_mish,
                "tanh of the logarithm of a sigmoid": logarithm_mish,
                "one exponential (chosen)": mish,
            },
        ),
        Part(
            "5x5 dilated depthwise multiplier, 96 to 192", (image(96, 4),),
            {
                "grouped, as published": lambda x: interleaved(F.conv2d(x, multiplier, dilation=2, groups=96)),
                "repeated channels, then depthwise": lambda x: interleaved(
                    F.conv2d(x.repeat_interleave(2, 1), multiplier, dilation=2, groups=192)
                ),
                "repeated, as four phases without dilation": four_phases,
                "even and odd outputs apart (chosen)": even_and_odd,
            },
        ),
        Part(
            "5x5 convolution of both photographs, 18 to 36", (image(18, 2, 2),),
            {
                "as published": lambda x: F.conv2d(x, wide),
                "two channels of zeros more": padded_channels,
                "16 and 2 channels apart (chosen)": split_channels,
            },
        ),
        Part(
            "stem, three kernels", (image(3, 4, 2),),
            {"three convolutions, as published": three_stems, "one of 9x9 (chosen)": lambda x: F.conv2d(x, one_stem)},
        ),
        Part(
            "SimAM of 96 channels", (image(96),),
            {
                "subtract, square, divide, add": separate_simam,
                "batch normalisation, square, add (chosen)": lambda x: simam(x, mean, variance),
            },
        ),
        Part(
            "sum of 192 depthwise channels", (image(96, 4),),
            {
                "reduce": lambda x: even_and_odd(x).relu().sum((2, 3)),
                "eights by a convolution first (chosen)": lambda x: sums(even_and_odd(x).relu()),
            },
        ),
        Part(
            "importance and 3x3 grouped convolution, 288 to 24", (image(288),),
            {
                "multiply, grouped, as published": grouped_join,
                "depthwise, product over channels": product_of_channels,
                "depthwise, product over pixels (chosen)": product_of_pixels,
            },
        ),
        Part(
            "table of 48 to pixels", ((300, 48), ()),
            {
                "product with a one-hot matrix, as the authors": one_hot,
                "gather columns": gather_columns,
                "gather rows and transpose (chosen)": gather_rows,
            },
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
