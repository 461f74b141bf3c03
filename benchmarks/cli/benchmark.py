"""``fusiongcn benchmark``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from fusiongcn_edge.benchmarks.cli.json_output import STDOUT, check_json, write_json
from fusiongcn_edge.benchmarks.cli.report import check_report, write_benchmark_report
from fusiongcn_edge.benchmarks.latency import runner
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.cli.options import parse_size, whole_number
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.engines.base import ACCELERATED, ENGINES
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.fuser import DEFAULT_MODEL
from fusiongcn_edge.runtime.io.files import check_no_overwrite
from fusiongcn_edge.runtime.text import pluralize
from fusiongcn_edge.runtime.types import USUAL_SIZE

BENCHMARK_EXAMPLE = """example:
  fusiongcn benchmark --model fusiongcn --model my-int8 --threads 1,4 --json here.json --report here.html

Close other programs first. Every sample is in the JSON; the table shows ratios to the first configuration.
'fusiongcn report' makes the same page from JSON, of several devices or with quality beside it.
"""


def add_benchmark_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = BENCHMARK_EXAMPLE
    parser.add_argument(
        "--model", action="append", metavar="NAME|PATH", help=f"once for each (default: {DEFAULT_MODEL})"
    )
    parser.add_argument(
        "--engine",
        action="append",
        choices=[*ENGINES, *ACCELERATED],
        help="once for each (default: as 'fusiongcn fuse')",
    )
    parser.add_argument(
        "--size",
        action="append",
        type=parse_size,
        metavar="HxW",
        help="of made pairs, once for each (default: 520x520)",
    )
    parser.add_argument(
        "--threads", type=_counts, default=[None], metavar="N,N,…", help="(default: the fast physical cores)"
    )
    parser.add_argument("--photos", type=Path, metavar="DIR", help="pairs a/NAME, b/NAME to fuse instead of made ones")
    parser.add_argument("--rounds", type=whole_number(1), default=5, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--sustained", type=_minutes, default=0, metavar="MIN", help="then run each configuration so long on end"
    )
    parser.add_argument(
        "--json",
        metavar="FILE|-",
        help="write everything that was measured, with small pictures of the first pair; - prints it; this and the "
        "report replace an older file",
    )
    parser.add_argument("--report", metavar="FILE", help="write a page (.html) or tables for a README (.md)")


def _counts(text: str) -> list[int]:
    try:
        return [whole_number(1)(part) for part in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} are no numbers of threads: give whole numbers from 1, as 1,2,4"
        ) from None


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1
    if not 0 < minutes < 1e5:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes: give 10 for example")
    return minutes


def run_benchmark(arguments: argparse.Namespace) -> int:
    if arguments.photos is not None and arguments.size is not None:
        raise FusionError("--photos have the sizes they have", fix="leave --size out, or --photos")
    check_json(arguments.json, arguments.model or [])
    if arguments.report is not None:
        check_report(arguments.report)
        check_no_overwrite([], [arguments.report, *([arguments.json] if arguments.json else [])])
    models = list(dict.fromkeys(arguments.model or [DEFAULT_MODEL]))
    for model in models:
        load_bundle(model)  # refuse a wrong name before anything is measured
    with tempfile.TemporaryDirectory(prefix="fusiongcn-") as folder:
        if arguments.photos is not None:
            inputs = runner.photo_inputs(arguments.photos)
        else:
            inputs = runner.made_inputs(list(dict.fromkeys(arguments.size or [USUAL_SIZE])), Path(folder))
        configurations = runner.matrix(
            models,
            list(dict.fromkeys(arguments.engine or [None])),
            list(dict.fromkeys(arguments.threads)),
            inputs,
        )
        with Progress() as progress:
            report = runner.measure(configurations, arguments.rounds, arguments.sustained, progress=progress)
    write_json(arguments.json, report)
    if arguments.report is not None:
        write_benchmark_report(arguments.report, report)
    if arguments.json != STDOUT:
        print(runner.table(report))
    if report["interrupted"]:
        return 130
    failed = [entry for entry in report["configurations"] if entry["error"] is not None]
    if len(failed) == len(report["configurations"]):
        print("fusiongcn: none of the configurations could be measured.", file=sys.stderr)
        return 2
    if failed:
        told = f"{pluralize(len(failed), 'configuration')} could not be measured: {failed[0]['error']}"
        print(f"fusiongcn: {told}", file=sys.stderr)
    return int(bool(failed))
