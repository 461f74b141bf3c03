"""Saved measurements put together for a report: which quality belongs to which time, and what is a ratio to what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fusiongcn_edge.benchmarks.evaluation.summary import PREFERRED
from fusiongcn_edge.benchmarks.latency.runner import Configuration, ratio_by_round, summary
from fusiongcn_edge.benchmarks.metrics.scorer import METRICS, TRUTH_METRICS
from fusiongcn_edge.benchmarks.report import pareto
from fusiongcn_edge.benchmarks.report.schema import Benchmark, Estimate, Evaluation, Saved
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.text import pluralize

Key = tuple[str, str | None, str | None, int | None, tuple[int, int]]


@dataclass(frozen=True)
class Row:
    """One configuration on one device.

    ``number``: its place on the page; ``ratio``: its time, that of the section's first row being 1, as median, least
    and most of the rounds; ``quality``: mean of the plotted metric; ``psnr``: likewise, dB.
    """

    number: int
    configuration: Configuration
    ratio: tuple[float, float, float] | None
    quality: float | None
    psnr: float | None

    @cached_property
    def found(self) -> dict[str, Any]:
        """The summary of its samples."""
        return summary(self.configuration)

    @property
    def key(self) -> Key:
        """What is the same on two devices: model, precision, engine, threads and size."""
        own = self.configuration
        engine, threads = own.facts.get("engine", own.engine), own.facts.get("threads", own.threads)
        return short_name(own.model), own.facts.get("precision"), engine, threads, own.size

    @property
    def title(self) -> str:
        """Model, precision, engine and threads in words."""
        model, precision, engine, threads, _ = self.key
        parts = [model, precision, engine, pluralize(threads, "thread") if threads else None]
        return ", ".join(part for part in parts if part)

    @property
    def seconds(self) -> list[float]:
        """Of every warm run."""
        return [sample["seconds"] for sample in self.configuration.warm()]

    @property
    def costs(self) -> dict[str, float | None]:
        """By the names of :data:`pareto.REFERENCE_WITH_ENERGY`; None where something is not known."""
        facts, found = self.configuration.facts, self.found
        return {
            "macs": facts.get("macs"), "params": facts.get("params"), "seconds": found.get("p50"),
            "peak_bytes": found.get("peak_bytes"), "joules": found.get("joules"),
        }  # fmt: skip

    def index(self, energy: bool = False) -> float | None:
        """The efficiency index, dB."""
        reference = pareto.REFERENCE_WITH_ENERGY if energy else pareto.REFERENCE
        return pareto.index(self.psnr, self.costs, reference)


@dataclass(frozen=True)
class Section:
    """What was measured on one device with photographs of one size."""

    benchmark: Benchmark
    size: tuple[int, int]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Results:
    """All that a report shows. ``metric`` is the one plotted; None without an evaluation."""

    benchmarks: tuple[Benchmark, ...]
    evaluations: tuple[Evaluation, ...]
    estimates: tuple[Estimate, ...]
    sections: tuple[Section, ...]
    metric: str | None

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The folders of pairs that were evaluated."""
        return [group for evaluation in self.evaluations for group in evaluation.facts["groups"]]

    @property
    def lower_is_better(self) -> bool:
        """Of the metric."""
        return any(self.metric in evaluation.facts["lower_is_better"] for evaluation in self.evaluations)

    def device(self, benchmark: Benchmark) -> str:
        """A device's name, with the file's where two are called the same."""
        names = [each.report["device"]["model"] for each in self.benchmarks]
        name: str = benchmark.report["device"]["model"]
        return name if names.count(name) == 1 else f"{name} ({benchmark.name})"


def put_together(saved: Sequence[Saved], metric: str | None = None) -> Results:
    """Results of one or more files; ``metric``: which quality to hold against cost.

    Quality belongs to a configuration by its model's name. All values of a metric come from the same photographs: the
    first evaluated folder that has it.

    Raises
    ------
    FusionError
        If no evaluation has the metric, or devices were measured with photographs of different sizes only.
    """
    benchmarks = tuple(each for each in saved if isinstance(each, Benchmark))
    evaluations = tuple(each for each in saved if isinstance(each, Evaluation))
    estimates = tuple(each for each in saved if isinstance(each, Estimate))
    present = metrics_of([group for evaluation in evaluations for group in evaluation.facts["groups"]])
    if metric is not None and metric not in present:
        raise FusionError(
            "No evaluation has this --metric",
            found=metric,
            allowed=f"one of {', '.join(present)}" if present else None,
            fix="" if present else "also give what 'fusiongcn evaluate --json' wrote",
        )
    metric = metric or next((name for name in (*PREFERRED, *present) if name in present), None)
    for other in benchmarks[1:]:
        sizes = [sorted({own.size for own in each.configurations}) for each in (benchmarks[0], other)]
        if not set(sizes[0]) & set(sizes[1]):
            texts = [", ".join(map(size_text, each)) or "nothing" for each in sizes]
            raise FusionError(
                f"{other.name} has no size of {benchmarks[0].name}",
                found=texts[1],
                allowed=texts[0],
                fix="measure both with one --size",
            )
    plotted, psnr = means_of(evaluations, metric), means_of(evaluations, "PSNR")
    sections, number = [], 1
    for benchmark in benchmarks:
        for size in dict.fromkeys(own.size for own in benchmark.configurations):
            chosen = [own for own in benchmark.configurations if own.size == size]
            base = next((own.samples for own in chosen if own.warm()), [])
            rows = tuple(
                Row(number + place, own, ratio_by_round(own.samples, base), _of(own, plotted), _of(own, psnr))
                for place, own in enumerate(chosen)
            )
            sections.append(Section(benchmark, size, rows))
            number += len(rows)
    return Results(benchmarks, evaluations, estimates, tuple(sections), metric)


def metrics_of(groups: Sequence[dict[str, Any]]) -> list[str]:
    """Metrics that have a mean in any of these folders, in the usual order."""
    present = {
        name for group in groups for own in group["methods"].values() for name, mean in own["means"].items()
        if mean is not None
    }  # fmt: skip
    usual = [name for name in (*METRICS, *TRUTH_METRICS) if name in present]
    return [*usual, *sorted(present - set(usual))]


def means_of(evaluations: Sequence[Evaluation], metric: str | None) -> dict[str, float]:
    """A metric's mean by method, in the first folder that has it."""
    for evaluation in evaluations:
        for group in evaluation.facts["groups"]:
            means = {name: own["means"].get(metric) for name, own in group["methods"].items()}
            if any(mean is not None for mean in means.values()):
                return {name: mean for name, mean in means.items() if mean is not None}
    return {}


def _of(configuration: Configuration, means: dict[str, float]) -> float | None:
    """``evaluate`` calls a model by its whole path where its name alone would not do."""
    return means.get(configuration.model, means.get(short_name(configuration.model)))


def short_name(model: str) -> str:
    """A model's name, of its path."""
    return Path(model).name or model


def size_text(size: tuple[int, int]) -> str:
    """Height and width as on the command line."""
    return f"{size[0]}x{size[1]}"
