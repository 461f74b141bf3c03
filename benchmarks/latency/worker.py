"""One configuration in a process of its own; started by :mod:`fusiongcn_edge.benchmarks.latency.runner`.

Takes its task as JSON from standard input, since a long one would not fit on a command line, and prints a line of JSON
for what it has measured as soon as it has. Imports nothing of ours before it looks at the clock.
"""

from __future__ import annotations

import json
import sys
from time import monotonic, perf_counter
from typing import Any


def main() -> int:
    """Measure and print."""
    task = json.load(sys.stdin)
    begin = perf_counter()
    from fusiongcn_edge.runtime import Fuser, FusionError

    imported = perf_counter() - begin
    try:
        _measure(task, Fuser, imported)
    except FusionError as error:
        _tell("error", str(error))
        return 2
    return 0


def _measure(task: dict[str, Any], fuser_class: Any, imported: float) -> None:
    from fusiongcn_edge.benchmarks.cost.analytic import published_convention
    from fusiongcn_edge.benchmarks.latency.device import clock
    from fusiongcn_edge.runtime.io.images import read_image, write_images
    from fusiongcn_edge.runtime.system.resources import peak_memory

    before = peak_memory()
    begin = perf_counter()
    fuser = fuser_class.open(task["model"], engine=task["engine"], threads=task["threads"])
    opened = perf_counter() - begin
    bundle, engine = fuser.bundle, fuser.engine
    height, width = task["size"]
    nodes = bundle.superpixels.nodes(height, width)
    _tell(
        "facts",
        {
            "engine": engine.name,
            "engine_version": engine.version,
            "provider": engine.provider,
            "precision": bundle.precision,
            "threads": fuser.threads,
            "params": bundle.params,
            "macs": bundle.macs(height, width),
            "superpixels": nodes,
            "published_convention": published_convention(bundle, height, width, nodes),
            "file_bytes": sum(map(len, bundle.files.values())),
        },
    )

    def run(number: int) -> dict[str, Any]:
        a, b = task["pairs"][number % len(task["pairs"])]
        began, times = monotonic(), [perf_counter()]
        first, second = read_image(a), read_image(b)
        times.append(perf_counter())
        result = fuser.fuse(first, second)
        times.append(perf_counter())
        write_images({task["output"]: result.image})
        times.append(perf_counter())
        stages = {"read": times[1] - times[0], **result.timings, "write": times[3] - times[2]}
        return {
            "began": began,
            "seconds": times[3] - times[0],
            "stages": stages,
            "mhz": clock(),
            "pair": number % len(task["pairs"]),
        }

    first = run(0)
    _tell("start", {"import": imported, "open": opened, "first": first["seconds"], "peak_before_bytes": before})
    start, number = perf_counter(), 1
    while number == 1 or perf_counter() - start < task["warm_up_seconds"]:
        _tell("sample", {**run(number), "phase": "warm-up"})
        number += 1
    start, measured = perf_counter(), 0
    phase = "sustained" if task["sustained_seconds"] else "warm"
    while _goes_on(task, measured, perf_counter() - start):
        _tell("sample", {**run(number), "phase": phase})
        number, measured = number + 1, measured + 1
    if peak := peak_memory():
        _tell("peak", peak)
    if task["pictures"]:
        from fusiongcn_edge.benchmarks.latency.pictures import pair_pictures  # after all that is measured

        _tell("pictures", pair_pictures(fuser, *task["pairs"][0]))


def _goes_on(task: dict[str, Any], measured: int, seconds: float) -> bool:
    if task["sustained_seconds"]:
        return bool(seconds < task["sustained_seconds"])
    return bool(measured < task["least_runs"] or (measured < task["most_runs"] and seconds < task["enough_seconds"]))


def _tell(what: str, value: Any) -> None:
    print(json.dumps({what: value}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
