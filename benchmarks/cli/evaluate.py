"""``fusiongcn evaluate``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from fusiongcn_edge.benchmarks.cli.json_output import STDOUT, check_json, write_json
from fusiongcn_edge.benchmarks.evaluation.baselines import METHODS
from fusiongcn_edge.benchmarks.evaluation.runner import evaluate, find_groups, open_methods
from fusiongcn_edge.benchmarks.evaluation.summary import INTERRUPTED, TEST, as_json, as_table
from fusiongcn_edge.runtime.bundle.manifest import BLENDS
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.fuser import DEFAULT_MODEL
from fusiongcn_edge.runtime.io.files import check_files_in, make_folder
from fusiongcn_edge.runtime.io.pairs import unpaired

EVALUATE_EXAMPLE = f"""example:
  fusiongcn evaluate --pairs my-pairs --model fusiongcn --method laplacian,guided,enfuse --pictures sheets

my-pairs holds a/NAME.jpg and b/NAME.jpg, two photographs of one scene each, or folders of such folders. What is named
is compared, or everything if nothing is: the shipped model, {", ".join(METHODS)}. The others are
tested against the first, image by image: {TEST}.
Seconds are those of fusing alone; of programs, with their start and the files handed to and fro. If a pair fails with
any method, or a method that was named is absent, the rest is evaluated all the same, and the exit code is 1. Ctrl-C
ends it early, with a table of the pairs that all methods have fused.
"""


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
        "--method",
        type=_names(METHODS, "method"),
        default=[],
        metavar="NAME,…",
        help=f"baselines and peers: {', '.join(METHODS)}",
    )
    parser.add_argument(
        "--blend",
        type=_names(BLENDS, "blend"),
        default=[],
        metavar="NAME,…",
        help=f"fuse with each model this way, each as a method of its own: {', '.join(BLENDS)} (default: as it is)",
    )
    parser.add_argument(
        "--json",
        metavar="FILE|-",
        help="write every single value, over an older file; - prints it",
    )
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw fused, decision and error map of every pair")
    parser.add_argument(
        "--maps-only", action="store_true", help="draw no photographs and no fused images, where they must not be shown"
    )


def _names(known: Iterable[str], what: str) -> Callable[[str], list[str]]:
    """Make the parser of a list of names, separated by commas."""
    allowed = list(known)

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"{name!r} is no {what}: choose among {', '.join(allowed)}")
        return list(dict.fromkeys(names))

    return parse


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Print a table per folder, and write what is asked for; 1 if something that was asked for is missing."""
    _check(arguments)
    named = bool(arguments.model or arguments.method)
    groups = find_groups(arguments.pairs, arguments.truth)
    models = list(dict.fromkeys(arguments.model)) if named else [DEFAULT_MODEL]
    methods, absent = open_methods(models, arguments.method if named else list(METHODS), arguments.blend)
    if arguments.pictures is not None:
        make_folder(arguments.pictures)
    names = [method.name for method in methods]
    for path in sorted({path for group in groups for path in unpaired(group.folder)}):
        print(f"left out: {path} has no partner of that name on the other side", file=sys.stderr)
    interrupted = False
    with Progress() as progress:
        try:
            for group in groups:
                evaluate(group, methods, progress, arguments.pictures, maps_only=arguments.maps_only)
        except KeyboardInterrupt:
            if not any(group.scores for group in groups):
                raise
            interrupted = True
    if not interrupted and all(score.error for group in groups for score in group.scores):
        first = groups[0].scores[0]
        raise FusionError(f"Nothing could be evaluated, {first.case.name} for one", fix=f"{first.error}")
    if arguments.json != STDOUT:
        print("\n\n".join(as_table(group, names) for group in groups))
        for why in absent.values():
            print(f"Absent: {why}")
        if interrupted:
            print(INTERRUPTED)
    write_json(arguments.json, as_json(groups, names, absent, interrupted))
    if interrupted:
        return 130
    missed = named and bool(absent)
    failed = any(group.undrawn or any(score.error for score in group.scores) for group in groups)
    return 1 if missed or failed else 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse, before anything is measured, what cannot be done or written."""
    if arguments.pairs is None and arguments.truth is None:
        raise FusionError("There is nothing to evaluate", fix="name a folder of pairs with --pairs or --truth")
    if arguments.maps_only and arguments.pictures is None:
        raise FusionError("--maps-only is about pictures, and none are drawn", fix="name their folder with --pictures")
    if arguments.blend and arguments.method and not arguments.model:
        raise FusionError("--blend is about models, and none is named", fix="name one with --model")
    check_json(arguments.json)
    if arguments.pictures is not None:
        check_files_in(arguments.pictures)
