"""The tables of a report as text, which ``html.py`` and ``markdown.py`` each format in their way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from fusiongcn_edge.benchmarks.evaluation.wilcoxon import chance
from fusiongcn_edge.benchmarks.latency.runner import net_joules
from fusiongcn_edge.benchmarks.report.results import Key, Results, Row, Section, metrics_of, size_text
from fusiongcn_edge.benchmarks.report.schema import Benchmark, Estimate, Evaluation

Value = TypeVar("Value")
NOTHING = "–"
INVALID, FAILED = "INVALID", "FAILED"


@dataclass(frozen=True)
class Table:
    """Cells as text, the first of each row its title; ``doubtful``: places of rows not to be trusted."""

    head: list[str]
    rows: list[list[str]]
    doubtful: frozenset[int] = frozenset()

    def without_empty_columns(self) -> Table:
        """Only the columns that have something in some row."""
        kept = [place for place in range(len(self.head)) if any(row[place] != NOTHING for row in self.rows)]
        return Table(
            [self.head[place] for place in kept], [[row[place] for place in kept] for row in self.rows], self.doubtful
        )


def shown(value: Value | None, text: Callable[[Value], str]) -> str:
    """A value as text, or a dash."""
    return NOTHING if value is None else text(value)


def short(value: float) -> str:
    """Three digits, without an exponent: 0.0123, 1.23, 1235."""
    return f"{value:.0f}" if value >= 100 else f"{float(f'{value:.3g}'):.10g}"


def millions(value: float) -> str:
    """Bytes as MB."""
    return short(value / 1e6)


def configurations(section: Section, results: Results) -> Table:
    """Every configuration of a section: what it is, what it costs, how good it is."""
    head = [
        "configuration", "result", "engine", "threads", "median (p10 to p90), s", "time, first = 1",
        "peak, MB", "energy, J (net)", "PSNR, dB", str(results.metric), "index, dB", "index with energy, dB",
        "precision", "params", "MACs, G", "file, MB", "superpixels", "import, s", "open, s", "first run, s",
        "sustained", "runs",
    ]  # fmt: skip
    rows = [_configuration(row, section.benchmark, results.metric) for row in section.rows]
    doubtful = frozenset(place for place, row in enumerate(section.rows) if verdict(row) != NOTHING)
    return Table(head, rows, doubtful).without_empty_columns()


def _configuration(row: Row, benchmark: Benchmark, metric: str | None) -> list[str]:
    found, facts, (model, precision, engine, threads, _) = row.found, row.configuration.facts, row.key
    time = ratio = NOTHING
    trusted = verdict(row) == NOTHING  # an index of what was measured under load would be compared all the same
    if row.seconds:
        tenth, median, ninetieth = map(short, map(float, np.percentile(row.seconds, [10, 50, 90])))
        time = f"{median} ({tenth} to {ninetieth})"
    if row.ratio is not None:
        ratio = "{:.2f} ({:.2f} to {:.2f})".format(*row.ratio)
    return [
        f"{row.number} {model}",
        verdict(row),
        engine or NOTHING,
        shown(threads, str),
        time,
        ratio,
        shown(found.get("peak_bytes"), millions),
        _energy(row, benchmark),
        shown(row.psnr, "{:.2f}".format),
        shown(None if metric == "PSNR" else row.quality, "{:.4f}".format),
        *(shown(row.index(energy) if trusted else None, "{:.1f}".format) for energy in (False, True)),
        precision or NOTHING,
        shown(facts.get("params"), "{:,}".format),
        shown(facts.get("macs"), lambda count: short(count / 1e9)),
        shown(facts.get("file_bytes"), millions),
        shown(facts.get("superpixels"), "{:,}".format),
        *(shown(found.get(step), short) for step in ("import", "open", "first")),
        shown(found.get("sustained_slowdown"), "{:.2f}".format),
        shown(found.get("runs"), str),
    ]


def _energy(row: Row, benchmark: Benchmark) -> str:
    joules, idle = row.found.get("joules"), benchmark.report["idle_watts"]
    if joules is None:
        return "no sensor" if benchmark.report["sensor"] is None else NOTHING
    return short(joules) + (f" ({short(net_joules(row.configuration.samples, idle))})" if idle is not None else "")


def verdict(row: Row) -> str:
    """Why a row is not to be trusted, in a word; a dash if it is."""
    if row.configuration.error is not None:
        return FAILED
    return INVALID if row.configuration.reasons else NOTHING


def side_by_side(results: Results) -> Table | None:
    """The same configurations on several devices: median time, how many times the first device's, and peak memory.

    None for a single device, or if nothing was measured.
    """
    measured: list[dict[Key, Row]] = []
    for benchmark in results.benchmarks:
        sections = [section for section in results.sections if section.benchmark is benchmark]
        measured.append({row.key: row for section in sections for row in section.rows if row.seconds})
    keys = list(dict.fromkeys(key for own in measured for key in own))
    if len(measured) < 2 or not keys:
        return None
    names = [results.device(each) + ("" if each.report["valid"] else f", {INVALID}") for each in results.benchmarks]
    head = ["configuration", *(f"{name}: s" for name in names), *(f"{name}: time, first = 1" for name in names[1:])]
    head += [*(f"{name}: peak, MB" for name in names), "size"]
    rows = []
    for key in keys:
        on_each = [own.get(key) for own in measured]
        title = next(row.title for row in on_each if row is not None)
        seconds = [None if row is None else row.costs["seconds"] for row in on_each]
        peaks = [None if row is None else row.costs["peak_bytes"] for row in on_each]
        ratios = [own / seconds[0] if own is not None and seconds[0] else None for own in seconds[1:]]
        cells = [shown(own, short) for own in seconds] + [shown(ratio, "{:.2f}".format) for ratio in ratios]
        rows.append([title, *cells, *(shown(peak, millions) for peak in peaks), size_text(key[-1])])
    return Table(head, rows).without_empty_columns()


def quality(group: dict[str, Any], evaluation: Evaluation) -> Table:
    """Means in a folder of pairs, a metric a row and a method a column; in brackets, on how many images a method is
    better and worse than the reference, and p."""
    reference, low = evaluation.facts["reference"], evaluation.facts["lower_is_better"]
    methods = group["methods"]
    head = ["metric", *(f"{name} (reference)" if name == reference else name for name in methods)]
    rows = [
        [f"{metric} (low)" if metric in low else metric, *(_mean(own, metric) for own in methods.values())]
        for metric in metrics_of([group])
    ]
    rows.append(["median seconds", *(shown(own["median_seconds"], short) for own in methods.values())])
    rows.append(["fused", *(f"{own['fused']} of {len(group['pairs'])}" for own in methods.values())])
    return Table(head, rows)


def estimates(estimate: Estimate) -> Table:
    """What boards are estimated to take for a pair, s: a bound, and in brackets the band."""
    facts = estimate.facts
    rows = [
        [
            f"{own['model']}, {own['engine']}",
            *(estimate_text(own["seconds"][name], facts["band"]) for name in facts["boards"]),
        ]
        for own in facts["models"]
    ]
    return Table(["estimated s", *facts["boards"]], rows)


def estimate_text(seconds: float, band: Sequence[float]) -> str:
    """Format a bound in seconds and its band: ``3.1 (4.3 to 11)``."""
    return f"{seconds:.2g} ({seconds * band[0]:.2g} to {seconds * band[1]:.2g})"


def _mean(method: dict[str, Any], metric: str) -> str:
    mean, test = method["means"].get(metric), method["against_reference"].get(metric)
    if mean is None or test is None:
        return shown(mean, "{:.4f}".format)
    return f"{mean:.4f} ({test['better']}:{test['worse']}, {chance(test['p'])})"


def device(benchmark: Benchmark) -> Table:
    """What a device is, and how it was doing before and after."""
    report, facts = benchmark.report, benchmark.report["device"]
    before, after = report["before"], report["after"]
    libraries = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    engines = dict.fromkeys(
        f"{own.facts.get('engine', '')} {own.facts.get('engine_version', '')} ({own.facts.get('provider', '')})"
        for own in benchmark.configurations if own.facts
    )  # fmt: skip
    rows = [
        ["processor", f"{facts['cpu']} ({facts['machine']}), {facts['cores']} cores"],
        ["memory", shown(facts["memory_bytes"], lambda count: f"{count / 1e9:.1f} GB")],
        ["system", f"{facts['os']}, kernel {facts['kernel']}, Python {facts['python']}"],
        ["libraries", libraries or NOTHING],
        ["engines that ran", ", ".join(engines) or NOTHING],
        ["governor", _change(before["governor"], after["governor"], str)],
        ["clock, MHz", _change(before["mhz"], after["mhz"], "{:.0f}".format)],
        ["load before", shown(before["load_average"], lambda value: f"{value:.2f} of {facts['cores']} cores")],
        *[
            [f"temperature, {zone}", _change(celsius, after["celsius"].get(zone), "{:.1f} °C".format)]
            for zone, celsius in before["celsius"].items()
        ],
        ["throttling", _throttling(before, after)],
        ["energy sensor", report["sensor"] or "no sensor"],
        ["idle power", shown(report["idle_watts"], "{:.2f} W".format)],
        ["measured", f"{report['started']}, rounds: {report['rounds']}, fusiongcn-edge {report['version']}"],
        ["command", " ".join(report["command"])],
    ]
    return Table(["device", f"{facts['model']} ({benchmark.name})"], [row for row in rows if row[1] != NOTHING])


def _change(before: Any, after: Any, text: Callable[[Any], str]) -> str:
    texts = [shown(before, text), shown(after, text)]
    return " → ".join(dict.fromkeys(texts))


def _throttling(before: dict[str, Any], after: dict[str, Any]) -> str:
    told = []
    if after["throttled"] is not None:
        told.append(f"get_throttled={after['throttled']:#x}, before {shown(before['throttled'], hex)}")
    if None not in (before["throttle_count"], after["throttle_count"]):
        told.append(f"{after['throttle_count'] - before['throttle_count']} times by the processor's own count")
    return "; ".join(told) or "the system does not tell"


def left_out(section: Section) -> Table | None:
    """What the published way to count MACs leaves out, for the published network; None for any other."""
    published = next((row for row in section.rows if row.configuration.facts.get("published_convention")), None)
    if published is None:
        return None
    told = published.configuration.facts["published_convention"]
    names: Sequence[tuple[str, str]] = [
        ("operations", "operations, counted the authors' way"),
        ("of_these_normalisation", "of these: four for each normalised number"),
        ("of_these_guide", "of these: the guide that superpixels are made on"),
        ("left_out_graph_layers_macs", "left out: graph layers"),
        ("left_out_one_hot_macs", "left out: spreading them to pixels by a one-hot matrix (a gather here)"),
    ]
    rows = [[text, short(told[key] / 1e9)] for key, text in names if key in told]
    macs = published.costs["macs"]
    return Table([f"{published.key[0]} at {size_text(section.size)}", "G"],
                 [*rows, ["MACs here: convolutions and matrix products of the network, graph layers included",
                          shown(macs, lambda count: short(count / 1e9))]])  # fmt: skip
