"""What an evaluation found, as tables for the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fusiongcn_edge import __version__
from fusiongcn_edge.benchmarks.evaluation.runner import Group
from fusiongcn_edge.benchmarks.evaluation.wilcoxon import chance
from fusiongcn_edge.benchmarks.metrics.scorer import LOWER_IS_BETTER, METRICS, TRUTH_METRICS
from fusiongcn_edge.runtime.text import pluralize

KIND, SCHEMA = "fusiongcn evaluation", 1
INTERRUPTED = "Interrupted: the pairs that were evaluated until then."
TEST = "Wilcoxon's signed-rank test, exact, two-sided, not corrected for the number of tests"
PREFERRED = ("PSNR", "Q_G")  # the metric to look at first, if there is no other wish
WORST = 4  # pairs to name


def as_table(group: Group, names: Sequence[str]) -> str:
    """Format a group: means of each method, tests against the first one, its worst pairs, and what failed."""
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
    lines += _worst(group, reference)
    failed = dict[tuple[str, str], list[str]]()
    for score in group.scores:
        if score.error is not None:
            failed.setdefault((score.case.name, score.error), []).append(score.method)
    for (case, error), methods in failed.items():
        who = "all methods" if len(methods) == len(names) else ", ".join(methods)
        lines.append(f"Failed: {who} on {case}. {error}")
    lines += group.undrawn
    return "\n".join(lines)


def _worst(group: Group, method: str) -> list[str]:
    """Name the pairs that a method does worst on, by the metric that a report plots; nothing where there are few."""
    metric = next((name for name in PREFERRED if name in group.metrics()), None)
    if metric is None or len(group.of(method)) <= WORST:
        return []
    found = sorted((score.values[metric], score.case.name) for score in group.of(method).values())
    return [f"Lowest {metric} of {method}: {', '.join(f'{name} {value:.4f}' for value, name in found[:WORST])}"]


def _title(metric: str) -> str:
    return f"{metric} (low)" if metric in LOWER_IS_BETTER else metric


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def as_json(groups: Sequence[Group], names: Sequence[str], absent: dict[str, str], interrupted: bool) -> dict[str, Any]:
    """Collect every value of every pair, with means and tests, for a JSON file that ``fusiongcn report`` reads."""
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
