"""``fusiongcn report``, and the report that ``fusiongcn benchmark`` writes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from fusiongcn_edge.benchmarks.report.html import page
from fusiongcn_edge.benchmarks.report.markdown import markdown
from fusiongcn_edge.benchmarks.report.results import Results, put_together
from fusiongcn_edge.benchmarks.report.schema import checked, read_saved
from fusiongcn_edge.runtime.errors import FusionError, printable
from fusiongcn_edge.runtime.io.files import check_folder, check_no_overwrite, write_files
from fusiongcn_edge.runtime.text import pluralize

WRITERS = {".html": page, ".htm": page, ".md": markdown}

REPORT_EXAMPLE = """example:
  fusiongcn benchmark --json here.json
  fusiongcn evaluate --truth my-pairs --model fusiongcn --json quality.json
  fusiongcn report here.json quality.json -o report.html
  fusiongcn report pi5.json jetson.json -o boards.md

Time, memory and energy come from 'benchmark --json', quality from 'evaluate --json'; the name of a model, or of its
folder, joins them. Times that boards are estimated to take stand in docs/estimates.json. Several devices are laid side
by side. The page needs no network: one file to keep or send. It shows the first pair that was measured with; so does
the JSON.
"""


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn report``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = REPORT_EXAMPLE
    parser.add_argument(
        "files", nargs="+", metavar="FILE.json", help="what 'benchmark --json' or 'evaluate --json' wrote"
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="a page (.html) or tables for a README (.md), over an older one",
    )
    parser.add_argument(
        "--metric", metavar="NAME", help="to hold against costs (default: PSNR if there is a truth, or else Q_G)"
    )


def run_report(arguments: argparse.Namespace) -> int:
    """Read, put together, write."""
    check_report(arguments.output, arguments.files)
    saved = [read_saved(Path(file)) for file in dict.fromkeys(arguments.files)]
    for first, second in combinations(saved, 2):
        if replace(first, name="") == replace(second, name=""):
            raise FusionError(
                f"{first.name} and {second.name} hold the same, which would count twice", fix="give one of them"
            )
    _write(arguments.output, put_together(saved, arguments.metric))
    print(f"{printable(arguments.output)}: of {pluralize(len(saved), 'file')}")
    return 0


def check_report(output: str, sources: Sequence[str] = ()) -> None:
    """Refuse, with a FusionError, a name that says no format, a place that cannot be written to, and a file that is
    read from."""
    if Path(output).suffix.lower() not in WRITERS:
        raise FusionError(f"{output} is neither a page nor Markdown", fix="name it .html or .md")
    check_folder(output)
    check_no_overwrite(sources, [output], "the files to report on")


def write_benchmark_report(output: str, report: dict[str, Any]) -> None:
    """Of what :func:`latency.measure` gives, exactly as it would be of its JSON."""
    _write(output, put_together([checked(json.loads(json.dumps(report)), "this benchmark")]))


def _write(output: str, results: Results) -> None:
    write_files({output: WRITERS[Path(output).suffix.lower()](results).encode("utf-8", "replace")})
