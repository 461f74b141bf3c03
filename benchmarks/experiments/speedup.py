"""Time of whole pairs, arrays to fused array, by several models and by the authors' way, as ratios from one run.

    python -m fusiongcn_edge.benchmarks.experiments.speedup --model NAME|PATH [--model …] [--checkpoint FILE] [--size
        HxW]

With ``--checkpoint`` the first line is the authors' way: torch in eager mode, scikit-image's SLIC, tables spread to
pixels by a product with a one-hot matrix (needs torch and scikit-image). Every line has a process of its own, which has
opened its model before: so a model of ours does not share it with torch, nor the other way round. The lines are run in
turn, round after round, and each round's times are divided by the first line's; what is printed is the median of these
ratios and their range. The times themselves say something about this machine at this moment only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.cli.options import add_size_argument, whole_number
from fusiongcn_edge.runtime.fuser import STAGES, open_bundle
from fusiongcn_edge.runtime.fusion.blending import select
from fusiongcn_edge.runtime.fusion.decision_map import SMALLEST_REGION, THRESHOLD, decision_map
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fusiongcn_edge.runtime.networks.fusiongcn_inputs import network_input
from fusiongcn_edge.runtime.networks.region_graph import node_features, region_graph

Fuse = Callable[[NDArray[Any], NDArray[Any]], dict[str, float]]  # gives seconds by stage
Way = Callable[[], Fuse]  # opened in the process that it will run in


def main() -> int:
    """Run and print the table."""
    parser = new_parser("experiments.speedup", __doc__)
    parser.add_argument("--model", action="append", required=True, metavar="NAME|PATH")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="also time the authors' way, with these weights"
    )
    add_size_argument(parser)
    parser.add_argument("--threads", type=whole_number(1), default=2, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--rounds", type=whole_number(1), default=7, metavar="N", help="after one to warm up (default: %(default)s)"
    )
    arguments = parser.parse_args()

    def measure() -> None:
        ways: dict[str, Way] = {}
        if arguments.checkpoint is not None:
            ways["authors' way"] = partial(authors_way, arguments.checkpoint, arguments.threads)
        for model in arguments.model:
            open_bundle(model)  # what is wrong with it would end a process that says nothing
            ways[model] = partial(ours, model, arguments.threads)
        pair = synthetic_pair(*arguments.size)
        print_table(rounds_of(ways, pair, arguments.rounds), f"{arguments.size[0]}x{arguments.size[1]}")

    return exit_code(measure)


def ours(model: str, threads: int) -> Fuse:
    """A bundle through the runtime."""
    fuser = Fuser.open(model, threads=threads)
    return lambda first, second: fuser.fuse(first, second).timings


def authors_way(checkpoint: Path, threads: int) -> Fuse:
    """What the authors' code computes in the way it computes it, from our network in torch's eager mode."""
    import torch
    from skimage.segmentation import slic
    from torch.nn import functional as F

    from fusiongcn_edge.model import fusiongcn as module
    from fusiongcn_edge.model.checkpoint import load_checkpoint

    torch.set_num_threads(threads)
    network, facts = load_checkpoint(checkpoint)
    how = facts["superpixels"]

    def product(table: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        one_hot = F.one_hot(labels.reshape(-1), table.shape[1]).float()
        return (one_hot @ table).transpose(1, 2).reshape(2, -1, *labels.shape[1:])

    @torch.no_grad()
    def fuse(first: NDArray[Any], second: NDArray[Any]) -> dict[str, float]:
        times = [perf_counter()]
        images = network_input(first, second)
        guide = network.mix(torch.from_numpy(images).reshape(1, 6, *images.shape[2:]))[0, 0].numpy()
        labels = slic(
            guide, int(max(guide.shape) * how["segments_per_side"]), how["compactness"], how["iterations"],
            how["sigma"], start_label=0, channel_axis=None,
        )  # fmt: skip
        times.append(perf_counter())
        graph = (node_features(images, labels), *region_graph(labels))
        times.append(perf_counter())
        tables = network.embed(*map(torch.from_numpy, graph))
        times.append(perf_counter())
        spread, module.spread = module.spread, product
        try:
            probability = network.classify(torch.from_numpy(images), torch.from_numpy(labels)[None], *tables)
        finally:
            module.spread = spread
        times.append(perf_counter())
        select(first, second, decision_map(probability[0, 0].numpy(), THRESHOLD, SMALLEST_REGION))
        times.append(perf_counter())
        return dict(zip(STAGES, np.diff(times).tolist(), strict=True))

    return fuse


def rounds_of(
    ways: dict[str, Way], pair: tuple[NDArray[Any], NDArray[Any]], rounds: int
) -> dict[str, list[dict[str, float]]]:
    """Seconds by stage of each way in each round, after one round to warm up."""
    times: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    with ExitStack() as processes:
        fresh = get_context("spawn")
        started = {
            name: processes.enter_context(ProcessPoolExecutor(1, fresh, _open, (way, pair)))
            for name, way in ways.items()
        }
        for number in range(rounds + 1):
            for name, process in started.items():
                spent = process.submit(_run).result()
                if number:
                    times[name].append(spent)
    return times


_fuse: Callable[[], dict[str, float]]  # in a way's own process


def _open(way: Way, pair: tuple[NDArray[Any], NDArray[Any]]) -> None:
    global _fuse
    _fuse = partial(way(), *pair)


def _run() -> dict[str, float]:
    return _fuse()


def print_table(times: dict[str, list[dict[str, float]]], size: str) -> None:
    """Ratios to the first line, and where each way's time goes."""
    totals = {name: np.array([sum(spent.values()) for spent in all_]) for name, all_ in times.items()}
    base = next(iter(totals.values()))
    print(f"{size}, {len(base)} rounds\n{'':<28}{'times faster (range)':>24}" + "".join(f"{s:>13}" for s in STAGES))
    for name, total in totals.items():
        ratio = base / total
        shares = [np.median([spent[stage] for spent in times[name]]) / np.median(total) for stage in STAGES]
        faster = f"{np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})"
        print(f"{name[-27:]:<28}{faster:>24}" + "".join(f"{share:>13.1%}" for share in shares))


if __name__ == "__main__":
    sys.exit(main())
