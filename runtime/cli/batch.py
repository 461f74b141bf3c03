"""``fusiongcn batch``."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from fusiongcn_edge import __version__
from fusiongcn_edge.runtime.batch.discovery import Item, find_items
from fusiongcn_edge.runtime.batch.records import conflict, fingerprint, is_up_to_date, write_result
from fusiongcn_edge.runtime.bundle.manifest import MANIFEST
from fusiongcn_edge.runtime.cli.batch_table import BatchTable, duration_text
from fusiongcn_edge.runtime.cli.options import (
    ENCODING_OPTIONS,
    add_fusing_arguments,
    fuse_options,
    print_warnings,
    unused_options,
    whole_number,
)
from fusiongcn_edge.runtime.cli.process import configure_malloc
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.cli.report import alignment_report
from fusiongcn_edge.runtime.errors import Interrupted, OutputError
from fusiongcn_edge.runtime.io.files import check_folder, make_folder
from fusiongcn_edge.runtime.pipeline import (
    Files,
    FilesResult,
    FuseOptions,
    PairOutputs,
    StackOutputs,
    check_model,
    fuse_files,
    open_fuser,
)
from fusiongcn_edge.runtime.system.resources import default_threads
from fusiongcn_edge.runtime.system.worker_pool import run_in_workers

MOST_WORKERS = 64
Job = tuple[Item, Path, str]  # what to fuse, the file to write and the fingerprint of what it is made from

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
    """Add the arguments of ``fusiongcn batch``."""
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
    """Fuse what is not fused yet; return 1 if something failed."""
    start = perf_counter()
    items = find_items(arguments.folder, arguments.output)
    if arguments.threads is None:
        arguments.threads = max(1, default_threads() // arguments.workers)
    options = fuse_options(arguments)
    settings = _settings(options, arguments.format)
    outputs = {item.name: arguments.output / f"{item.name}.{arguments.format}" for item in items}
    make_folder(arguments.output)
    check_folder(arguments.output / "any.png")
    items = [_writable(item, outputs[item.name]) for item in items]
    marks = {item.name: fingerprint(item, settings) for item in items}
    print_warnings(unused_options(arguments, map(str, outputs.values())))
    with Progress() as progress:
        table = BatchTable(arguments.json_progress, [item.name for item in items], progress)
        try:
            left = _left(items, outputs, marks, table)
            if left:
                progress(f"[1/{len(left)}] {left[0][0].name}")
            outcomes = run_in_workers(partial(_begin, options), left, arguments.workers)
            for done, outcome in enumerate(outcomes, start=1):
                remaining = (perf_counter() - start) / done * (len(left) - done)
                table.add(
                    left[outcome.job][0].name,
                    "done" if outcome.error is None else "failed",
                    error=outcome.error,
                    seconds=outcome.seconds,
                    remaining=remaining,
                    warnings=outcome.result or [],
                )
                if done < len(left):
                    progress(f"[{done + 1}/{len(left)}] about {duration_text(remaining)} left")
        except KeyboardInterrupt as stop:
            there = f"{table.made} of {len(items)} are made, and the same command goes on"
            raise Interrupted(stop, there) from None
    return table.close(perf_counter() - start)


def _writable(item: Item, output: Path) -> Item:
    """Make the folder of a result; the item with the error, if its result cannot be written."""
    if item.error is not None:
        return item
    try:
        make_folder(output.parent)
        check_folder(output)
    except OutputError as error:
        return replace(item, error=str(error))
    return item


def _left(items: list[Item], outputs: dict[str, Path], marks: dict[str, str], table: BatchTable) -> list[Job]:
    """Report what is up to date or cannot be made, and return the jobs that are left."""
    left = []
    for item in items:
        output, mark = outputs[item.name], marks[item.name]
        if item.error is None and is_up_to_date(output, mark):
            table.add(item.name, "kept")
        elif problem := item.error or conflict(output):
            table.add(item.name, "failed", error=problem)
        else:
            left.append((item, output, mark))
    return left


def _settings(options: FuseOptions, suffix: str) -> dict[str, Any]:
    """What decides the results, but for the photographs."""
    moved = ("no_crop", "skip_failed") if options.align != "none" else ()
    encoding = asdict(options.encoding)
    return {
        "version": __version__,
        "model": hashlib.sha256((check_model(options).path / MANIFEST).read_bytes()).hexdigest(),
        **{name: getattr(options, name) for name in ("align", "match_exposure", *moved)},
        **{option: encoding[option] for option, kinds in ENCODING_OPTIONS.items() if f".{suffix}" in kinds},
    }


def _begin(options: FuseOptions) -> Callable[[Job], list[str]]:
    """In a worker process: open the fuser, and return what fuses one item after the other and gives its warnings."""
    configure_malloc()
    fuser = open_fuser(options)

    def fuse(job: Job) -> list[str]:
        item, output, mark = job
        paths = [str(path) for path in item.sources]

        def write(files: Files, result: FilesResult) -> None:
            write_result(output, files[str(output)], mark, alignment_report(result, options.align))

        outputs = PairOutputs(str(output)) if item.pair else StackOutputs(str(output))
        result = fuse_files(paths, outputs, options, fuser=fuser, write=write)
        left_out = [f"{paths[number]} is left out, because it cannot be aligned." for number in result.left_out]
        return [*result.warnings, *left_out]

    return fuse
