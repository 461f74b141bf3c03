"""A report as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from string import ascii_lowercase

from fusiongcn_edge.benchmarks.evaluation.summary import INTERRUPTED
from fusiongcn_edge.benchmarks.report import svg, tables
from fusiongcn_edge.benchmarks.report.pareto import REFERENCE, REFERENCE_WITH_ENERGY
from fusiongcn_edge.benchmarks.report.results import Results, Row, Section, size_text
from fusiongcn_edge.benchmarks.report.schema import Benchmark
from fusiongcn_edge.benchmarks.report.tables import FAILED, INVALID, Table, short
from fusiongcn_edge.benchmarks.report.tags import Markup, tag

STYLE = Path(__file__).with_name("style.css")
# nothing is fetched and nothing is run, whatever is in the files
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
COSTS = {
    "macs": ("MACs", "G", 1e-9), "params": ("parameters", "thousand", 1e-3), "seconds": ("median time", "s", 1.0),
    "peak_bytes": ("peak memory", "MB", 1e-6), "joules": ("energy", "J", 1.0),
}  # fmt: skip
PICTURES = {"first": "first photograph", "second": "second photograph", "decision": "decision map", "fused": "fused"}
READING = (
    "A run is reading two files, fusing and writing one; median and percentiles are of the warm runs, and every one "
    "of them is a dot. 'time, first = 1' is the ratio to the first row by rounds: its median, least and most.",
    "MACs are multiply-accumulates of the whole network as one graph; FLOPs are twice that. Peak memory is the most "
    "that the process ever had. Energy is gross, in brackets net of idle power; without a sensor there is none.",
    "Quality is that of the model of the same name in the evaluation, which ran it on one engine. A point on a Pareto "
    "front is filled: nothing else costs no more and is no worse.",
    "The index is our own, not the paper's: PSNR against the truth in dB, less ten times the logarithm of the "
    f"geometric mean of MACs / {REFERENCE['macs'] / 1e9:g} G, parameters / {REFERENCE['params'] / 1e3:g} thousand, "
    f"median time / {REFERENCE['seconds']:g} s and peak memory / {REFERENCE['peak_bytes'] / 1e9:g} GB. Ten times less "
    f"of everything is worth 10 dB. 'With energy' also takes joules / {REFERENCE_WITH_ENERGY['joules']:g}. Where one "
    "of its quantities was not measured, or a row is invalid, there is no index. Compare indices of one size only.",
)


def page(results: Results) -> str:
    """The whole page as text."""
    title = "fusiongcn-edge: " + (", ".join(map(results.device, results.benchmarks)) or "quality")
    body = [tag("h1", title), *(_verdict(results, benchmark) for benchmark in results.benchmarks)]
    together = tables.side_by_side(results)
    if together is not None:
        body += [tag("h2", "Side by side"), _table(together)]
    for section in results.sections:
        body += _section(section, results)
    body += _quality(results)
    for estimate in results.estimates:
        size = size_text((estimate.facts["size"][0], estimate.facts["size"][1]))
        body += [tag("h2", f"Boards, estimated for a pair of {size}"), _table(tables.estimates(estimate))]
        body.append(tag("p", estimate.facts["method"]))
    if results.benchmarks:
        body.append(tag("h2", "Device" if len(results.benchmarks) == 1 else "Devices"))
        body += [_table(tables.device(benchmark), "facts") for benchmark in results.benchmarks]
    body += [tag("h2", "How to read this"), tag("ul", *(tag("li", text) for text in READING))]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", title),
        tag("style", Markup(STYLE.read_text("utf-8"))),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', tag('main', *body)), lang='en')}\n"


def _verdict(results: Results, benchmark: Benchmark) -> Markup:
    report = benchmark.report
    reasons = [*report["reasons"], *["interrupted: what was measured until then"] * report["interrupted"]]
    name = f"{results.device(benchmark)}, {report['device']['cpu']}"
    if report["valid"] and not reasons:
        said = "Undisturbed: nothing that the system tells speaks against these figures."
        return tag("div", tag("strong", name), tag("p", said), class_="verdict good")
    what = tag("p", tag("b", INVALID), ": do not rely on these times.") if not report["valid"] else Markup()
    listed = tag("ul", *(tag("li", reason) for reason in reasons))
    return tag("div", tag("strong", name), what, listed, class_="verdict bad")


def _section(section: Section, results: Results) -> list[Markup]:
    several = f" on {results.device(section.benchmark)}" if len(results.benchmarks) > 1 else ""
    parts = [
        tag("h2", f"Photographs of {size_text(section.size)}{several}"),
        _table(tables.configurations(section, results)),
        *(tag("p", f"{row.number}: {row.configuration.error}", class_="bad") for row in section.rows
          if row.configuration.error),
    ]  # fmt: skip
    measured = [row for row in section.rows if row.seconds]
    if measured:
        parts += [*_latency(measured), *_stages(measured), *_sustained(measured)]
    parts += [*_pareto(section.rows, results), *_pictures(section.rows)]
    left_out = tables.left_out(section)
    if left_out is not None:
        parts += [
            tag("h3", "What the published count leaves out"),
            _table(left_out),
            tag("p", "Nor does it count SimAM, activations and superpixels. Its operations are MACs, and four for each "
                     "number that a batch normalisation gives."),
        ]  # fmt: skip
    return parts


def _named(row: Row, told: str, drawing: Markup) -> Markup:
    name = tag("div", tag("span", tag("b", str(row.number)), f" {row.title}"), tag("span", told), class_="name")
    return tag("div", name, drawing, class_="line")


def _latency(rows: Sequence[Row]) -> list[Markup]:
    scale = svg.Scale.from_zero([value for row in rows for value in row.seconds])
    lines = []
    for row in rows:
        rounds = [sample["round"] for sample in row.configuration.warm()]
        told = f"median {short(row.found['p50'])} s, {len(rounds)} runs"
        lines.append(_named(row, told, svg.strip(row.seconds, rounds, scale)))
    note = "Every warm run, a lane for each round; the box holds the middle half, the line is the median."
    chart = tag("div", *lines, svg.horizontal_axis(scale, "s"), class_="chart")
    return [tag("h3", "Time of a run"), tag("p", note), chart]


def _stages(rows: Sequence[Row]) -> list[Markup]:
    scale = svg.Scale.from_zero([sum(row.found["stages"].values()) for row in rows])
    kinds = list(dict.fromkeys(name for row in rows for name in row.found["stages"]))
    legend = [tag("li", tag("i", class_=f"part{number % 8}"), f" {name}") for number, name in enumerate(kinds)]
    lines = []
    for row in rows:
        stages = row.found["stages"]
        total = sum(stages.values()) or 1.0
        largest = sorted(stages, key=lambda name: -stages[name])[:2]
        told = ", ".join(f"{name} {stages[name] / total:.0%}" for name in largest)
        lines.append(_named(row, told, svg.bar(stages, kinds, scale)))
    chart = tag("div", *lines, svg.horizontal_axis(scale, "s"), class_="chart")
    return [tag("h3", "Where the time goes"), tag("ul", *legend, class_="legend"), chart]


def _sustained(rows: Sequence[Row]) -> list[Markup]:
    parts = []
    for row in rows:
        seconds = [s["seconds"] for s in row.configuration.samples if s["phase"] == "sustained"]
        if seconds:
            told = f"{len(seconds)} runs, seconds"
            parts.append(_named(row, told, svg.course(seconds, svg.Scale.from_zero(seconds))))
    return [tag("h3", "Running on end"), tag("div", *parts, class_="chart")] if parts else []


def _pareto(rows: Sequence[Row], results: Results) -> list[Markup]:
    plots = []
    for cost, (name, unit, factor) in COSTS.items():
        points = [
            (str(row.number), own * factor, row.quality)
            for row in rows if (own := row.costs[cost]) is not None and row.quality is not None
        ]  # fmt: skip
        if points:
            plots.append(_plot(f"{results.metric} against {name}, {unit}", points, unit, results))
    return [tag("h3", "Quality against cost"), tag("div", *plots, class_="plots")] if plots else []


def _plot(title: str, points: Sequence[tuple[str, float, float]], unit: str, results: Results) -> Markup:
    return tag("figure", tag("figcaption", title), svg.pareto(points, unit, results.lower_is_better))


def _pictures(rows: Sequence[Row]) -> list[Markup]:
    """Each picture once, with the numbers of all rows that it belongs to."""
    owners: dict[tuple[str, str], list[str]] = {}
    for kind in PICTURES:
        for row in rows:
            if kind in row.configuration.pictures:
                owners.setdefault((kind, row.configuration.pictures[kind]), []).append(str(row.number))
    shown = len({number for numbers in owners.values() for number in numbers})
    figures = [
        tag("figure", tag("img", src=address, alt=PICTURES[kind]),
            tag("figcaption", PICTURES[kind] + (f": {', '.join(numbers)}" if len(numbers) < shown else "")))
        for (kind, address), numbers in owners.items()
    ]  # fmt: skip
    return [tag("h3", "Pictures"), tag("div", *figures, class_="pictures")] if figures else []


def _quality(results: Results) -> list[Markup]:
    parts = []
    for evaluation in results.evaluations:
        for group in evaluation.facts["groups"]:
            parts += [
                tag("h3", f"{len(group['pairs'])} pairs of {group['folder']} ({group['title']})"),
                _table(tables.quality(group, evaluation)),
                tag(
                    "p", "Means. In brackets: images better : worse than the reference; ", evaluation.facts["test"], "."
                ),
            ]
            lettered = dict(zip(_letters(), group["methods"], strict=False))
            timed = [
                (letter, own["median_seconds"], own["means"][results.metric])
                for letter, own in zip(lettered, group["methods"].values(), strict=True)
                if own["median_seconds"] is not None and own["means"].get(results.metric) is not None
            ]
            if len(timed) > 1:
                title = f"{results.metric} against time of fusing these pairs, s"
                parts.append(tag("div", _plot(title, timed, "s", results), class_="plots"))
                parts.append(tag("p", ", ".join(f"{letter}: {name}" for letter, name in lettered.items())))
        parts += [tag("p", f"Absent: {why}") for why in evaluation.facts["absent"].values()]
        parts += [tag("p", INTERRUPTED)] * evaluation.facts.get("interrupted", False)
    return [tag("h2", "Quality"), *parts] if parts else []


def _letters() -> Iterator[str]:
    """a to z, then aa to zz."""
    for length in (1, 2):
        for letters in product(ascii_lowercase, repeat=length):
            yield "".join(letters)


def _table(table: Table, kind: str = "figures") -> Markup:
    """``kind``: ``figures`` have what is in brackets on a line of its own; ``facts`` are text."""
    rows = []
    for number, (title, *cells) in enumerate(table.rows):
        given = {"class_": "doubtful"} if number in table.doubtful else {}
        shown = [_figure(cell) if kind == "figures" else tag("td", cell) for cell in cells]
        rows.append(tag("tr", tag("th", title, scope="row"), *shown, **given))
    head = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in table.head)))
    return tag("div", tag("table", head, tag("tbody", *rows)), class_=f"scroll {kind}", tabindex=0)


def _figure(cell: str) -> Markup:
    value, bracket, rest = cell.partition(" (")
    if cell in (INVALID, FAILED):
        return tag("td", cell, class_="bad")
    return tag("td", value, tag("small", f"({rest}")) if bracket else tag("td", cell)
