"""``fusiongcn metrics`` and ``fusiongcn evaluate``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fusiongcn_edge import __version__
from fusiongcn_edge.benchmarks.cli.options import STDOUT, check_json, write_json
from fusiongcn_edge.benchmarks.evaluation.baselines import METHODS
from fusiongcn_edge.benchmarks.evaluation.runner import Group, evaluate, find_groups, open_methods
from fusiongcn_edge.benchmarks.evaluation.wilcoxon import chance
from fusiongcn_edge.benchmarks.metrics.scorer import LOWER_IS_BETTER, METRICS, TRUTH_METRICS, FusionScorer
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.fuser import DEFAULT_MODEL
from fusiongcn_edge.runtime.io.files import check_files_in, make_folder
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pairs import unpaired
from fusiongcn_edge.runtime.text import pluralize

KIND, SCHEMA = "fusiongcn evaluation", 1
INTERRUPTED = "Interrupted: the pairs that were evaluated until then."
TEST = "Wilcoxon's signed-rank test, exact, two-sided, not corrected for the number of tests"

METRICS_EXAMPLE = """example:
  fusiongcn metrics near.jpg far.jpg fused.png --truth all-in-focus.png --json -

what is measured; higher is better, but for Q_CV, and 1 is the most but where it is said:
  Q_MI    how much the result tells of both photographs (mutual information, normalised; at most 2)
  Q_NCIE  the same for relations of any kind (nonlinear correlation information entropy)
  Q_G     how well edges keep their strength and direction (Xydeas and Petrovic)
  Q_P     how well features are kept (phase congruency)
  Q_S, Q_W, Q_E  likeness to both photographs in small windows; weighted by their contrast; and at edges (Piella)
  Q_C, Q_Y       likeness weighted by how alike photograph and result are (Cvejic; Yang)
  Q_CB    how much contrast that people see is kept (Chen and Blum)
  Q_CV    how much people would see of the difference (Chen and Varshney); lower is better, 0 is none
With --truth:
  PSNR, PSNR_boundary  likeness to it in dB; everywhere, and at most 5 pixels from where the better photograph changes
  SSIM    structural similarity to it
"""
EVALUATE_EXAMPLE = f"""example:
  fusiongcn evaluate --pairs my-pairs --model fusiongcn --method laplacian,guided,enfuse --pictures sheets

my-pairs holds a/NAME.jpg and b/NAME.jpg, two photographs of one scene each, or folders of such folders. What is named
is compared, or everything if nothing is: the shipped model, {", ".join(METHODS)}. The others are
tested against the first, image by image: {TEST}.
Seconds are those of fusing alone; of programs, with their start and the files handed to and fro. If a pair fails with
any method, or a method that was named is absent, the rest is evaluated all the same, and the exit code is 1. Ctrl-C
ends it early, with a table of the pairs that all methods have fused.
"""


def add_metrics_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn metrics``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = METRICS_EXAMPLE
    parser.add_argument("a", metavar="A", help="first photograph")
    parser.add_argument("b", metavar="B", help="second photograph")
    parser.add_argument("fused", metavar="FUSED", help="what was made of them")
    parser.add_argument("--truth", metavar="T", help="the all-in-focus image: PSNR, SSIM and PSNR_boundary, too")
    parser.add_argument("--json", metavar="FILE|-", help="write the values as JSON, over an older file; - prints it")


def run_metrics(arguments: argparse.Namespace) -> int:
    """Print the values of one fused image."""
    paths = [arguments.a, arguments.b, arguments.fused, *([arguments.truth] if arguments.truth else [])]
    check_json(arguments.json, paths)
    a, b, fused, *truth = (read_image(path) for path in paths)
    with Progress() as progress:
        values = FusionScorer(a, b, *truth).values(fused, lambda metric: progress(f"computing {metric}"))
    if arguments.json != STDOUT:
        print("\n".join(f"{name:<15}{value:>16.10f}" for name, value in values.items()))
    write_json(arguments.json, values)
    return 0


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn evaluate``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EVALUATE_EXAMPLE
    parser.add_argument("--pairs", type=Path, metavar="DIR", help="pairs of photographs, in a/ and b/")
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="DIR",
        help="pairs with the all-in-focus image in truth/ beside a/ and b/; or only such images, for --pairs, by name",
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME|PATH", help="a shipped model or a bundle; may be repeated"
    )
    parser.add_argument(
        "--method", type=_methods, default=[], metavar="NAME,…", help=f"baselines and peers: {', '.join(METHODS)}"
    )
    parser.add_argument(
        "--json",
        metavar="FILE|-",
        help="write every single value, over an older file; - prints it",
    )
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw fused, decision and error map of every pair")


def _methods(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in METHODS:
            raise argparse.ArgumentTypeError(f"{name!r} is no method: choose among {', '.join(METHODS)}")
    return list(dict.fromkeys(names))


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Print a table per folder, and write what is asked for; 1 if something that was asked for is missing."""
    if arguments.pairs is None and arguments.truth is None:
        raise FusionError("There is nothing to evaluate", fix="name a folder of pairs with --pairs or --truth")
    check_json(arguments.json)
    if arguments.pictures is not None:
        check_files_in(arguments.pictures)
    named = bool(arguments.model or arguments.method)
    groups = find_groups(arguments.pairs, arguments.truth)
    methods, absent = open_methods(
        list(dict.fromkeys(arguments.model)) if named else [DEFAULT_MODEL], arguments.method if named else list(METHODS)
    )
    if arguments.pictures is not None:
        make_folder(arguments.pictures)
    names = [method.name for method in methods]
    for path in sorted({path for group in groups for path in unpaired(group.folder)}):
        print(f"left out: {path} has no partner of that name on the other side", file=sys.stderr)
    interrupted = False
    with Progress() as progress:
        try:
            for group in groups:
                evaluate(group, methods, progress, arguments.pictures)
        except KeyboardInterrupt:
            if not any(group.scores for group in groups):
                raise
            interrupted = True
    if not interrupted and all(score.error for group in groups for score in group.scores):
        first = groups[0].scores[0]
        raise FusionError(f"Nothing could be evaluated, {first.case.name} for one", fix=f"{first.error}")
    if arguments.json != STDOUT:
        print("\n\n".join(_table(group, names) for group in groups))
        for why in absent.values():
            print(f"Absent: {why}")
        if interrupted:
            print(INTERRUPTED)
    write_json(arguments.json, _facts(groups, names, absent, interrupted))
    if interrupted:
        return 130
    missed = named and bool(absent)
    failed = any(group.undrawn or any(score.error for score in group.scores) for group in groups)
    return 1 if missed or failed else 0


def _table(group: Group, names: Sequence[str]) -> str:
    """Means, then tests against the first method, then what failed."""
    width = max(16, *(len(name) + 2 for name in names))
    lines = [f"{group.title}: {pluralize(len(group.cases), 'pair')} of {group.folder}, means over those fused"]
    lines.append(f"{'':<16}" + "".join(f"{name:>{width}}" for name in names))
    for metric in group.metrics():
        means = [_number(group.mean(name, metric)) for name in names]
        lines.append(f"{_title(metric):<16}" + "".join(f"{mean:>{width}}" for mean in means))
    medians = [_number(group.seconds(name)) for name in names]
    lines.append(f"{'median seconds':<16}" + "".join(f"{seconds:>{width}}" for seconds in medians))
    done = [f"{len(group.of(name))} of {len(group.cases)}" for name in names]
    lines.append(f"{'fused':<16}" + "".join(f"{count:>{width}}" for count in done))
    reference, *others = names
    if others:
        lines += ["", f"Images better : worse than {reference}, and p ({TEST})"]
        lines.append(f"{'':<16}" + "".join(f"{name:>{width}}" for name in others))
        for metric in group.metrics():
            tests = [group.comparison(name, reference, metric) for name in others]
            cells = ["–" if t is None else f"{t.better}:{t.worse} {chance(t.p)}" for t in tests]
            lines.append(f"{_title(metric):<16}" + "".join(f"{cell:>{width}}" for cell in cells))
    failed = dict[tuple[str, str], list[str]]()
    for score in group.scores:
        if score.error is not None:
            failed.setdefault((score.case.name, score.error), []).append(score.method)
    for (case, error), methods in failed.items():
        who = "all methods" if len(methods) == len(names) else ", ".join(methods)
        lines.append(f"Failed: {who} on {case}. {error}")
    lines += group.undrawn
    return "\n".join(lines)


def _title(metric: str) -> str:
    return f"{metric} (low)" if metric in LOWER_IS_BETTER else metric


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _facts(groups: Sequence[Group], names: Sequence[str], absent: dict[str, str], interrupted: bool) -> dict[str, Any]:
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "version": __version__,
        "reference": names[0],
        "test": TEST,
        "lower_is_better": [name for name in (*METRICS, *TRUTH_METRICS) if name in LOWER_IS_BETTER],
        "absent": absent,
        "interrupted": interrupted,
        "groups": [_group_facts(group, names) for group in groups],
    }


def _group_facts(group: Group, names: Sequence[str]) -> dict[str, Any]:
    methods = {}
    for name in names:
        comparisons = {metric: group.comparison(name, names[0], metric) for metric in group.metrics()}
        methods[name] = {
            "fused": len(group.of(name)),
            "median_seconds": group.seconds(name),
            "means": {metric: group.mean(name, metric) for metric in group.metrics()},
            "against_reference": {m: asdict(c) for m, c in comparisons.items() if c is not None and name != names[0]},
        }
    return {
        "title": group.title,
        "folder": str(group.folder),
        "pairs": [
            {
                "name": case.name,
                "a": str(case.pair.a),
                "b": str(case.pair.b),
                "truth": None if case.truth is None else str(case.truth),
            }
            for case in group.cases
        ],
        "methods": methods,
        "scores": [
            {
                "pair": score.case.name,
                "method": score.method,
                "seconds": score.seconds,
                "values": score.values,
                "error": score.error,
            }
            for score in group.scores
        ],
    }
