"""``fusiongcn batch``."""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from fusiongcn_edge import __version__
from fusiongcn_edge.runtime.batch.discovery import Item, find_items, record_path
from fusiongcn_edge.runtime.batch.records import conflict, fingerprint, is_up_to_date, result_record
from fusiongcn_edge.runtime.bundle.manifest import MANIFEST, Bundle
from fusiongcn_edge.runtime.cli.options import (
    ENCODING_OPTIONS,
    add_fusing_arguments,
    chosen_encoding,
    tell,
    unused_alignment,
    unused_encoding,
    whole_number,
)
from fusiongcn_edge.runtime.cli.process import configure_malloc
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.errors import FusionError, printable
from fusiongcn_edge.runtime.io.files import check_folder, make_folder, remove_unfinished, write_files
from fusiongcn_edge.runtime.io.images import PhotographFiles, check_writable, encode_images
from fusiongcn_edge.runtime.pipeline import aligned, alignment_report, check_fuser, open_fuser
from fusiongcn_edge.runtime.registration.checks import FramesWithThumbnails, input_warnings
from fusiongcn_edge.runtime.system.resources import default_threads
from fusiongcn_edge.runtime.system.worker_pool import run_in_workers

MOST_WORKERS = 64

BATCH_EXAMPLE = """examples:
  fusiongcn batch stacks -o fused --align similarity
  fusiongcn batch pairs -o fused --format jpg --workers 2 --json-progress

Below DIR, every folder with photographs is a stack, and a/NAME.jpg with b/NAME.jpg are a pair (these two folders must
be called a and b). The result is OUT/FOLDER.png or OUT/NAME.png. Started again, only what is missing is made, and what
was made with other settings or from photographs that have changed since; a hidden file beside each result notes that.
What no batch has made, or somebody has changed since, is not written over. What fails does not stop the rest: its line
says why, and the exit code is 1.
"""


def add_batch_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn batch``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = BATCH_EXAMPLE
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder with stacks or pairs below")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", type=Path, help="folder for the results; made if need be"
    )
    parser.add_argument(
        "--format", choices=["png", "jpg", "tif"], default="png", help="of the results (default: %(default)s)"
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1, MOST_WORKERS),
        default=1,
        metavar="N",
        help="how many to fuse at a time; each takes the memory of one, and its share of the threads (default: 1)",
    )
    parser.add_argument(
        "--json-progress",
        action="store_true",
        help="print a JSON object a line for each step, instead of the table",
    )
    add_fusing_arguments(parser, stack=True)


def run_batch(arguments: argparse.Namespace) -> int:
    """Fuse what is not fused yet; 1 if something failed."""
    start = perf_counter()
    items = find_items(arguments.folder, arguments.output)
    settings = _settings(arguments, check_fuser(arguments))
    if arguments.threads is None:
        arguments.threads = max(1, default_threads() // arguments.workers)
    outputs = {item.name: arguments.output / f"{item.name}.{arguments.format}" for item in items}
    for item in items:
        if item.error is None:
            make_folder(outputs[item.name].parent)
            check_folder(outputs[item.name])
            remove_unfinished(outputs[item.name])
    marks = {item.name: fingerprint(item, settings) for item in items}
    with Progress() as progress:
        table = _Table(arguments.json_progress, [item.name for item in items], progress)
        try:
            left = []
            for item in items:
                if item.error is None and is_up_to_date(outputs[item.name], marks[item.name]):
                    table.add(item.name, "kept")
                elif problem := item.error or conflict(outputs[item.name]):
                    table.add(item.name, "failed", error=problem)
                else:
                    left.append(item)
            jobs = [(item, outputs[item.name], marks[item.name]) for item in left]
            if left:
                progress(f"[1/{len(jobs)}] {left[0].name}")
            for done, outcome in enumerate(
                run_in_workers(partial(_begin, arguments), jobs, arguments.workers), start=1
            ):
                state = "done" if outcome.error is None else "failed"
                remaining = (perf_counter() - start) / done * (len(jobs) - done)
                name = left[outcome.job].name
                odd, seconds = outcome.result or [], outcome.seconds
                table.add(name, state, error=outcome.error, seconds=seconds, remaining=remaining, remarks=odd)
                if done < len(jobs):
                    progress(f"[{done + 1}/{len(jobs)}] about {_duration(remaining)} left")
        except KeyboardInterrupt as stop:
            number = stop.args[0] if stop.args else signal.SIGINT
            there = f"{table.made} of {len(items)} are made, and the same command goes on"
            raise KeyboardInterrupt(number, there) from None
        finally:
            for output in outputs.values():
                remove_unfinished(output)
    tell([*unused_alignment(arguments), *unused_encoding(arguments, map(str, outputs.values()))])
    return table.close(perf_counter() - start)


def _settings(arguments: argparse.Namespace, bundle: Bundle) -> dict[str, Any]:
    """What decides the results, but for the photographs."""
    moved = ("no_crop", "skip_failed") if arguments.align != "none" else ()
    encoding = asdict(chosen_encoding(arguments))
    return {
        "version": __version__,
        "model": hashlib.sha256((bundle.path / MANIFEST).read_bytes()).hexdigest(),
        **{name: getattr(arguments, name) for name in ("align", "match_exposure", *moved)},
        **{option: encoding[option] for option, kinds in ENCODING_OPTIONS.items() if f".{arguments.format}" in kinds},
    }


def _begin(arguments: argparse.Namespace) -> Callable[[tuple[Item, Path, str]], list[str]]:
    """In a process of its own: what fuses one item after the other, and gives what is odd about it."""
    configure_malloc()
    fuser = open_fuser(arguments)

    def fuse(job: tuple[Item, Path, str]) -> list[str]:
        item, output, mark = job
        files = PhotographFiles([str(path) for path in item.sources])
        looked_at = FramesWithThumbnails(files)
        check_writable(output, looked_at[0])
        turned = aligned(arguments, looked_at, files.paths, _quiet, reference=0 if item.pair else None)
        frames = looked_at if turned is None else turned
        numbers = range(len(files)) if turned is None else turned.numbers
        if item.pair:
            image, order = fuser.fuse(frames[0], frames[1]).image, tuple(range(2))
        else:
            stack = fuser.fuse_stack(frames, names=[files.paths[number] for number in numbers])
            image, order = stack.image, stack.order
            del stack
        own = files.metadata(numbers[0])
        ((_, data),) = encode_images({output: image}, chosen_encoding(arguments), {output: own}).items()
        report = [] if turned is None else alignment_report(arguments, turned, files.paths)
        if problem := conflict(output):  # by now
            raise FusionError(problem)
        write_files({record_path(output): result_record(mark, data, report, output), output: data})  # in this order
        seen = [(item.sources[numbers[place]].name, looked_at.looks[numbers[place]]) for place in order]
        odd = input_warnings(
            [name for name, _ in seen],
            [look for _, look in seen],
            aligned=arguments.align != "none",
            match_exposure=arguments.match_exposure,
        )
        left_out = [item.sources[number].name for number in range(len(files)) if number not in numbers]
        return [*odd, *files.warnings(), *(f"{name} is left out, because it cannot be aligned." for name in left_out)]

    return fuse


def _quiet(text: str) -> None:
    """Several processes cannot share a line of the terminal."""


class _Table:
    """What becomes of each item, told as soon as it is known: a line of a table, or JSON."""

    def __init__(self, as_json: bool, names: list[str], progress: Progress) -> None:
        self._json, self._progress = as_json, progress
        self._items, self._width = len(names), max(len(printable(name)) for name in names)
        self._counts = {"done": 0, "kept": 0, "failed": 0}
        self._tell({"event": "start", "items": self._items})

    def add(
        self,
        name: str,
        state: str,
        *,
        error: str | None = None,
        seconds: float = 0.0,
        remaining: float | None = None,
        remarks: Sequence[str] = (),
    ) -> None:
        """``state``: done, kept (it was made before) or failed."""
        self._counts[state] += 1
        if not self._json:
            told = error or (f"{seconds:.1f} s" if state == "done" else "")
            told = "  note: ".join([told, *remarks])
            self._progress.print(f"{printable(name):<{self._width}}  {state:<8}{told}".rstrip())
        event: dict[str, Any] = {
            "event": "item",
            "name": name,
            "state": state,
            "error": error,
            "seconds": round(seconds, 3),
        }
        event |= {"remarks": list(remarks)} if remarks else {}
        left = None if remaining is None else round(remaining, 1)
        finished = sum(self._counts.values())
        self._tell({**event, "finished": finished, "items": self._items, "seconds_left": left})

    @property
    def made(self) -> int:
        """How many results there are."""
        return self._counts["done"] + self._counts["kept"]

    def close(self, seconds: float) -> int:
        """The exit code."""
        self._tell({"event": "end", **self._counts, "seconds": round(seconds, 3)})
        if not self._json:
            counts = self._counts
            self._progress.print(
                f"{counts['done']} fused, {counts['kept']} kept, {counts['failed']} failed, {_duration(seconds)}"
            )
        return 1 if self._counts["failed"] else 0

    def _tell(self, event: dict[str, Any]) -> None:
        if self._json:
            print(json.dumps(event), flush=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
