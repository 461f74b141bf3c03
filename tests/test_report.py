"""``fusiongcn report``: the page, the Markdown, the index, two devices, and what is refused. No time counts."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusiongcn_edge.benchmarks import evaluation_commands, latency
from fusiongcn_edge.benchmarks.charts import Scale, pareto
from fusiongcn_edge.benchmarks.efficiency import REFERENCE, REFERENCE_WITH_ENERGY, front, index
from fusiongcn_edge.benchmarks.report_markdown import markdown
from fusiongcn_edge.benchmarks.report_page import page
from fusiongcn_edge.benchmarks.results import put_together
from fusiongcn_edge.benchmarks.saved import checked, read_saved
from fusiongcn_edge.benchmarks.sheets import data_uri
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.images import write_image

Json = dict[str, Any]
HOSTILE = "<script>alert(1)</script>\"'&|`[x](javascript:y)\n# _z_"
PICTURES = {
    name: data_uri(np.full((8, 12, 3), shade, np.uint8))
    for name, shade in {"first": 40, "second": 90, "decision": 255, "fused": 140}.items()
}


def sample(number: int, seconds: float, phase: str = "warm", joules: float | None = None) -> Json:
    stages = {"read": 0.1 * seconds, "cnn": 0.8 * seconds, "write": 0.05 * seconds}
    return {"round": number, "phase": phase, "seconds": seconds, "stages": stages, "joules": joules, "mhz": None}


def configuration(model: str, seconds: float, engine: str = "onnx", **changed: Any) -> Json:
    times = [seconds * factor for factor in (0.9, 1.0, 1.3)]
    facts = {"engine": engine, "engine_version": "1", "provider": "CPU", "precision": "fp32", "threads": 2,
             "params": 137_174, "macs": 50_000_000_000, "file_bytes": 800_000, "superpixels": 99}  # fmt: skip
    return {
        "model": model, "engine": None, "threads": 2, "size": [40, 48], "facts": facts,
        "starts": [{"round": 0, "import": 0.1, "open": 0.2, "first": 0.3}],
        "samples": [sample(number, time) for number in range(2) for time in times],
        "peak_bytes": [200_000_000, 210_000_000], "pictures": dict(PICTURES), "error": None, "reasons": [], **changed,
    }  # fmt: skip


def benchmark(*configurations: Json, device: str = "x86 host", **changed: Any) -> Json:
    condition = {"load_average": 0.1, "celsius": {"zone cpu": 50.0}, "mhz": 1000.0, "allowed_mhz": None,
                 "governor": "ondemand", "throttled": None, "throttle_count": 3}  # fmt: skip
    facts = {"model": device, "cpu": "Cortex", "machine": "arm", "cores": 4, "memory_bytes": 8_000_000_000,
             "os": "Debian", "governor": None, "highest_mhz": None, "kernel": "6", "python": "3.11",
             "libraries": {"numpy": "2"}}  # fmt: skip
    return {
        "kind": latency.KIND, "schema": 1, "version": "0.1.0", "started": "2026-01-01", "command": ["fusiongcn"],
        "rounds": 2, "sustained_minutes": 0, "interrupted": False, "sensor": None, "idle_watts": None,
        "device": facts, "before": condition, "after": {**condition, "mhz": 900.0}, "valid": True, "reasons": [],
        "configurations": list(configurations or [configuration("small", 0.5), configuration("large", 1.0)]), **changed,
    }  # fmt: skip


def evaluation(psnr: dict[str, float], **changed: Any) -> Json:
    first = next(iter(psnr))
    test = {"PSNR": {"images": 3, "better": 2, "worse": 1, "difference": 0.1, "p": 0.75}}
    methods = {
        name: {"fused": 3, "median_seconds": 0.1, "means": {"Q_G": 0.7, "PSNR": value},
               "against_reference": test if name != first else {}}
        for name, value in psnr.items()
    }  # fmt: skip
    group = {"title": "truth", "folder": "pairs", "pairs": [{"name": "1"}] * 3, "methods": methods}
    return {
        "kind": evaluation_commands.KIND, "schema": 1, "version": "0.1.0", "reference": first, "test": "a test",
        "lower_is_better": ["Q_CV"], "absent": {}, "groups": [group], **changed,
    }  # fmt: skip


@pytest.fixture
def report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs ``fusiongcn report`` on these contents, which must succeed, and gives what it writes."""

    def run(*contents: Json, output: str = "page.html", options: tuple[str, ...] = ()) -> str:
        names = []
        for number, content in enumerate(contents):
            names.append(str(tmp_path / f"{number}.json"))
            Path(names[-1]).write_text(json.dumps(content))
        code = main(["report", *names, "-o", str(tmp_path / output), *options])
        assert code == 0, capsys.readouterr().err
        return (tmp_path / output).read_text("utf-8")

    return run


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, and the text outside of style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in ("img", "meta"):
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.cells[-1][-1] += data

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def named(self, tag: str, kind: str | None = None) -> list[dict[str, str | None]]:
        return [own for name, own in self.elements if name == tag and kind in (None, own.get("class"))]

    def row(self, title: str) -> dict[str, str]:
        """The cells of a row by the heads of its table."""
        place = next(number for number, cells in enumerate(self.cells) if cells[0] == title)
        head = next(
            cells for cells in reversed(self.cells[:place]) if cells[0] in ("configuration", "metric", "device")
        )
        return dict(zip(head, self.cells[place], strict=True))


# the index


costs = st.floats(1e-9, 1e15)
qualities = st.floats(-20, 100)
methods = st.tuples(qualities, st.fixed_dictionaries(dict.fromkeys(REFERENCE_WITH_ENERGY, costs)))


@given(methods, st.sampled_from(sorted(REFERENCE_WITH_ENERGY)), st.floats(1.001, 1e6), st.floats(0.001, 50))
def test_the_index_rises_with_quality_and_falls_with_every_cost(
    method: tuple[float, dict[str, float]], name: str, factor: float, better: float
) -> None:
    psnr, cost = method
    value = index(psnr, cost, REFERENCE_WITH_ENERGY)
    dearer = index(psnr, {**cost, name: cost[name] * factor}, REFERENCE_WITH_ENERGY)
    finer = index(psnr + better, cost, REFERENCE_WITH_ENERGY)
    assert value is not None
    assert dearer is not None
    assert finer is not None
    assert dearer < value < finer
    if name in REFERENCE:
        assert index(psnr, {**cost, name: cost[name] * factor}) < index(psnr, cost)  # type: ignore[operator]


@given(methods, st.sampled_from(sorted(REFERENCE_WITH_ENERGY)), st.sampled_from([None, 0]))
def test_without_a_quantity_there_is_no_index_and_never_a_nan(
    method: tuple[float, dict[str, float | None]], name: str, nothing: float | None
) -> None:
    psnr, cost = method
    cost[name] = nothing
    assert index(psnr, cost, REFERENCE_WITH_ENERGY) is None
    assert (index(psnr, cost) is None) == (name in REFERENCE)
    assert index(None, REFERENCE) is None


def test_the_index_by_hand() -> None:
    assert index(50.0, REFERENCE) == 50.0
    assert index(50.0, {name: value / 10 for name, value in REFERENCE.items()}) == pytest.approx(60)
    assert index(50.0, {**REFERENCE, "macs": 25e9}) == pytest.approx(50 + 10 * math.log10(2) / 4)


def test_another_method_in_the_table_changes_no_index(report: Callable[..., str]) -> None:
    quality = evaluation({"small": 40.0, "large": 50.0, "best": 90.0})
    alone = Page(report(benchmark(), quality)).row("1 small")
    beside = Page(report(benchmark(configuration("small", 0.5), configuration("best", 1e-6)), quality)).row("1 small")
    assert alone["index, dB"] == beside["index, dB"] != ""


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_a_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    found = front(*zip(*points, strict=True))
    assert found
    for number, (cost, quality) in enumerate(points):
        beaten = any((c < cost and q >= quality) or (c <= cost and q > quality) for c, q in points)
        assert (number in found) != beaten
    assert [points[number] for number in found] == sorted(points[number] for number in found)


# the page


def test_the_page_needs_nothing_but_itself(report: Callable[..., str]) -> None:
    text = report(benchmark(), evaluation({"small": 40.0, "large": 50.0}))
    page = Page(text)
    assert not page.named("script") + page.named("link") + page.named("iframe")
    assert [own["src"] for own in page.named("img")] == list(PICTURES.values())  # each once, for both rows
    assert "@import" not in text
    assert "url(" not in text
    assert "://" not in text
    addresses = [own[key] for _, own in page.elements for key in ("src", "href") if key in own]
    assert all(str(address).startswith("data:image/") for address in addresses)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.named("meta")
    assert all("scroll" in str(own["class"]) for own in page.named("div") if own.get("tabindex"))


def test_the_page_shows_every_sample_and_what_it_comes_to(report: Callable[..., str]) -> None:
    page = Page(report(benchmark(), evaluation({"small": 40.0, "large": 50.0})))
    assert len(page.named("circle", "dot")) == 12
    row = page.row("2 large")
    assert row["median (p10 to p90), s"] == "1(0.9 to 1.3)"
    assert row["time, first = 1"] == "2.00(2.00 to 2.00)"
    assert (row["params"], row["MACs, G"], row["file, MB"], row["peak, MB"]) == ("137,174", "50", "0.8", "210")
    assert row["energy, J (net)"] == "no sensor"
    assert (row["PSNR, dB"], row["engine"], row["threads"]) == ("50.00", "onnx", "2")
    parts = [own for own in page.named("rect") if str(own["class"]).startswith("part ")]
    widths = [float(str(own["width"]).rstrip("%")) for own in parts]
    assert widths[4] == pytest.approx(2 * widths[1], abs=0.02)  # the CNN of the second, twice that of the first
    assert page.row("PSNR")["large"] == "50.0000(2:1, p=0.7500)"
    assert page.row("clock, MHz")["x86 host (0.json)"] == "1000 → 900"
    assert page.row("throttling")["x86 host (0.json)"] == "0 times by the processor's own count"


def test_points_on_the_front_are_filled(report: Callable[..., str]) -> None:
    rows = [configuration("small", 0.5), configuration("large", 1.0), configuration("bad", 2.0)]
    page = Page(report(benchmark(*rows), evaluation({"small": 40.0, "large": 50.0, "bad": 45.0})))
    plots = [
        page.texts[number : number + 12] for number, text in enumerate(page.texts) if text.startswith("PSNR against")
    ]
    assert [plot[0] for plot in plots] == [
        "PSNR against MACs, G", "PSNR against parameters, thousand", "PSNR against median time, s",
        "PSNR against peak memory, MB", "PSNR against time of fusing these pairs, s",
    ]  # fmt: skip
    # of equal cost only the best one is; in time the first two are
    assert (len(page.named("circle", "best")), len(page.named("circle", "beaten"))) == (
        1 + 1 + 2 + 1 + 1,
        2 + 2 + 1 + 2 + 2,
    )


def test_a_metric_of_which_less_is_better_is_turned_around(report: Callable[..., str]) -> None:
    quality = evaluation({"small": 40.0, "large": 50.0}, lower_is_better=["PSNR"])
    page = Page(report(benchmark(), quality))
    assert len(page.named("circle", "best")) == 5  # small, everywhere
    assert "PSNR (low)" in page.text


def test_an_invalid_run_and_a_failed_configuration_are_shown(report: Callable[..., str]) -> None:
    busy = configuration("small", 0.5, reasons=["too hot"])
    failed = configuration("gone", 1, facts={}, samples=[], starts=[], peak_bytes=[], pictures={}, error="No model.")
    contents = benchmark(failed, busy, valid=False, reasons=["too hot"], interrupted=True)
    page = Page(report(contents, evaluation({"small": 40.0})))
    assert page.named("div", "verdict bad")
    assert "INVALID: do not rely on these times.too hot" in page.text
    assert "interrupted" in page.text
    assert page.row("1 gone")["result"] == "FAILED"
    assert page.row("2 small")["result"] == "INVALID"
    assert page.row("2 small")["time, first = 1"].startswith("1.00")  # the first that was measured
    assert "1: No model." in page.text
    assert "index, dB" not in page.row("2 small")  # it would be compared with others all the same
    text = report(contents, output="table.md")
    assert "**INVALID:** too hot." in text
    assert "1: No model." in text
    assert "Interrupted" in text
    assert "INVALID" not in Page(report(benchmark())).text


def test_energy_is_gross_and_net_and_has_an_index_of_its_own(report: Callable[..., str]) -> None:
    joules = configuration("small", 0.5, samples=[sample(0, 0.5, joules=10.0), sample(0, 0.5, "sustained", 1.0)])
    page = Page(report(benchmark(joules, sensor="PMIC", idle_watts=2.0), evaluation({"small": 40.0})))
    row = page.row("1 small")
    assert row["energy, J (net)"] == "10(9)"
    assert row["index with energy, dB"] != row["index, dB"]
    assert "PSNR against energy, J" in page.text
    assert "Running on end" in page.text


def test_the_page_tells_what_the_published_count_leaves_out(report: Callable[..., str]) -> None:
    told = {"operations": 50.76e9, "left_out_graph_layers_macs": 6e6, "left_out_one_hot_macs": 7.5e9}
    own = configuration("small", 0.5)
    own["facts"]["published_convention"] = told
    page = Page(report(benchmark(own)))
    assert "What the published count leaves out" in page.text
    assert "50.8" in page.text
    assert "7.5" in page.text
    assert "What the published count leaves out" not in Page(report(benchmark())).text


def poisoned(value: Any, key: str = "") -> Any:
    """Hostile text before every name and in place of every other text, but for what the format itself fixes."""
    names = {"cnn", "read", "write", "numpy", "zone cpu", "small", "large", "Q_G"}
    if isinstance(value, dict) and key != "pictures":
        return {(HOSTILE + name if name in names else name): poisoned(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [poisoned(each) for each in value]
    if isinstance(value, str) and key not in ("phase", "kind"):
        return HOSTILE + value if value in names else HOSTILE
    return value


def test_names_cannot_inject_anything(report: Callable[..., str]) -> None:
    failed = configuration("large", 1.0, error="e", reasons=["r"])
    told = poisoned(benchmark(configuration("small", 1.0), failed, reasons=["r"], valid=False))
    quality = poisoned(evaluation({"small": 1.0, "large": 2.0}, absent={"z": "z"}))
    page = Page(report(told, quality))
    assert page.text.count(HOSTILE) > 20
    assert not page.named("script")
    allowed = {
        "class", "tabindex", "scope", "lang", "charset", "name", "content", "http-equiv", "src", "alt", "x", "y", "x1",
        "x2", "y1", "y2", "cx", "cy", "r", "dy", "width", "height", "role", "aria-label", "text-anchor",
    }  # fmt: skip
    assert {name for _, own in page.elements for name in own} <= allowed
    text = report(told, quality, output="table.md")
    assert "javascript" in text
    assert re.search(r"(?<!\\)[<>`\[_]", text) is None
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert [len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) for lines in tables] == [1, 1]


def test_two_devices_lie_side_by_side(report: Callable[..., str]) -> None:
    one = benchmark(configuration("small", 0.5), configuration("large", 1.0))
    other = benchmark(configuration("large", 4.0), configuration("small", 3.0, engine="litert"), device="Pi 5")
    page = Page(report(one, other))
    heads = ["configuration", "x86 host: s", "Pi 5: s", "Pi 5: time, first = 1", "x86 host: peak, MB", "Pi 5: peak, MB"]
    assert list(page.row("large, fp32, onnx, 2 threads")) == [*heads, "size"]
    row = page.row("large, fp32, onnx, 2 threads")
    assert (row["x86 host: s"], row["Pi 5: s"], row["Pi 5: time, first = 1"]) == ("1", "4", "4.00")
    assert page.row("small, fp32, onnx, 2 threads")["Pi 5: s"] == "–"
    assert page.row("small, fp32, litert, 2 threads")["x86 host: s"] == "–"
    assert page.row("3 large")["time, first = 1"].startswith("1.00")  # of its own device
    twins = report(one, one, output="twins.md")
    assert "x86 host (0.json): s" in twins
    assert "x86 host (1.json): s" in twins


def test_markdown_is_tables(report: Callable[..., str]) -> None:
    text = report(benchmark(), evaluation({"small": 40.0, "large": 50.0}), output="table.md")
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2
    for lines in tables:
        assert len({line.count("|") for line in lines}) == 1
        assert set(lines[1]) <= set("| -:")
    assert "| 2 large | onnx | 2 | 1 (0.9 to 1.3) | 2.00 (2.00 to 2.00) |" in text


def test_models_of_one_name_have_the_quality_of_their_own_path(report: Callable[..., str]) -> None:
    rows = [configuration(model, 0.5) for model in ("a/net", "b/net", "c/other")]
    page = Page(report(benchmark(*rows), evaluation({"a/net": 40.0, "b/net": 50.0, "other": 45.0})))
    assert [page.row(title)["PSNR, dB"] for title in ("1 net", "2 net", "3 other")] == ["40.00", "50.00", "45.00"]


def test_an_evaluation_alone_is_enough_and_a_metric_can_be_chosen(report: Callable[..., str]) -> None:
    quality = evaluation({"small": 40.0, "large": 50.0})
    assert "PSNR against time of fusing these pairs" in Page(report(quality)).text
    page = Page(report(benchmark(), quality, options=("--metric", "Q_G")))
    assert "Q_G against median time" in page.text
    assert page.row("1 small")["Q_G"] == "0.7000"
    assert page.row("1 small")["index, dB"] != ""  # of PSNR all the same


def test_labels_that_would_overlap_are_one() -> None:
    page = Page(pareto([("1", 1.0, 5.0), ("2", 1.0, 5.0), ("3", 1.01, 5.0), ("4", 5.0, 6.0)], "s", False))
    assert "1, 2, 3" in page.texts
    assert len(page.named("text", "label")) == 2


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside(low: float, span: float) -> None:
    for scale in (Scale(low, low + span), Scale(low + span, low), Scale(span / 100, span, True)):
        if scale.low != scale.high:
            places = [scale.place(tick) for tick in scale.ticks()]
            assert 1 <= len(places) <= 8
            assert all(-1e-6 <= place <= 1 + 1e-6 for place in places)


def test_equal_and_zero_measurements_still_make_a_page(report: Callable[..., str]) -> None:
    nothing = configuration("zero", 0.0)
    nothing["facts"] |= {"macs": 0, "params": 0}
    page = Page(report(benchmark(nothing, configuration("zero", 0.0)), evaluation({"zero": 0.0})))
    assert "nan" not in page.text.lower()
    assert "index, dB" not in page.row("1 zero") or page.row("1 zero")["index, dB"] == "–"


# what is refused


def altered(content: Json, *path: Any, value: Any) -> str:
    changed = copy.deepcopy(content)
    inner: Any = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(changed)


MEASURED, JUDGED = benchmark(), evaluation({"small": 40.0})
OTHER_SIZE = benchmark(configuration("small", 1.0, size=[80, 80]))
A_SAMPLE = ("configurations", 0, "samples", 0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read"),
        ("", "no JSON"),
        (json.dumps(MEASURED)[:-9], "no JSON or is cut off"),
        ("[" * 100_000, "no JSON"),
        ("[1]", "neither command"),
        ('{"schema": 1}', "neither command"),
        (altered(MEASURED, "kind", value=["fusiongcn benchmark"]), "neither command"),
        (altered(MEASURED, "schema", value=2), "upgrade"),
        (altered(MEASURED, "schema", value=0), "measure again"),
        (altered(MEASURED, "schema", value="1"), "damaged"),
        (altered(MEASURED, "schema", value=True), "damaged"),
        (altered(MEASURED, "configurations", value={}), "damaged"),
        (altered(MEASURED, "configurations", value=[3]), "damaged"),
        (altered(MEASURED, "device", value={}), "damaged"),
        (altered(MEASURED, "device", "libraries", value=["numpy"]), "damaged"),
        (altered(MEASURED, "before", "celsius", value={"zone": "hot"}), "damaged"),
        (altered(MEASURED, "idle_watts", value="2"), "damaged"),
        (altered(MEASURED, "valid", value=1), "damaged"),
        (altered(MEASURED, *A_SAMPLE, "seconds", value="1"), "damaged"),
        (altered(MEASURED, *A_SAMPLE, "seconds", value=float("nan")), "damaged"),
        (altered(MEASURED, *A_SAMPLE, "seconds", value=float("inf")), "damaged"),
        (altered(MEASURED, *A_SAMPLE, "seconds", value=-1), "damaged"),
        (altered(MEASURED, *A_SAMPLE, "seconds", value=10**400), "damaged"),
        (altered(MEASURED, *A_SAMPLE, "phase", value="cold"), "damaged"),
        (altered(MEASURED, *A_SAMPLE, "phase", value=[]), "damaged"),
        (altered(MEASURED, *A_SAMPLE, "stages", value=None), "damaged"),
        (altered(MEASURED, *A_SAMPLE, "stages", value={"cnn": 1}), "different stages"),
        (altered(MEASURED, "configurations", 0, "size", value=[1]), "damaged"),
        (altered(MEASURED, "configurations", 0, "facts", "macs", value=1.5), "damaged"),
        (altered(MEASURED, "configurations", 0, "error", value=5), "damaged"),
        (altered(MEASURED, "configurations", 0, "pictures", "fused", value="data:text/html,x"), "damaged"),
        (altered(JUDGED, "schema", value=9), "upgrade"),
        (altered(JUDGED, "groups", value=None), "damaged"),
        (altered(JUDGED, "groups", 0, "methods", "small", "means", "PSNR", value="x"), "damaged"),
        (altered(JUDGED, "groups", 0, "methods", "small", value={}), "damaged"),
    ],
)  # fmt: skip
def test_foreign_and_damaged_files_are_refused_in_one_sentence(
    tmp_path: Path, text: str | None, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FusionError, match=sentence) as caught:
        read_saved(path)
    assert len(str(caught.value).splitlines()) == 1
    assert main(["report", str(path), "-o", str(tmp_path / "page.html")]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def leaves(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, *path, key)
    yield path


def outcome(contents: Any, more: Json) -> str:
    """All the text of a report of two files, or the sentence that refuses them."""
    try:
        results = put_together([checked(contents, "r.json"), checked(more, "all.json")])
    except FusionError as error:
        return f"REFUSED: {error}"
    return Page(page(results)).text + markdown(results)


def test_whatever_is_put_in_place_of_a_value_is_a_report_or_one_sentence() -> None:
    small = configuration("small", 1.0, samples=[sample(0, 1.0)])
    small["facts"]["published_convention"] = {"operations": 1.0}
    judged = evaluation({"small": 40.0, "large": 50.0})
    texts = [
        outcome(json.loads(altered({"": contents}, "", *path, value=junk))[""], judged)
        for contents in (benchmark(small), judged)
        for path in leaves(contents)
        for junk in (None, True, -1, 0, 0.5, 1e300, "x", [], {}, [1, 2], {"x": "y"})
    ]
    refused = [text for text in texts if text.startswith("REFUSED")]
    assert 100 < len(refused) < len(texts) - 100
    assert all("\n" not in text for text in refused)
    assert not any("nan" in text.lower() for text in texts if text not in refused)


def test_what_can_be_read_is_read(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps({**MEASURED, "more": "of a later version"}))
    found = read_saved(tmp_path / "r.json")
    assert found == checked({**MEASURED, "more": "of a later version"}, "r.json")


@pytest.mark.parametrize(
    ("contents", "options", "sentence"),
    [
        ([MEASURED], ["-o", "page.pdf"], "name it .html or .md"),
        ([MEASURED], ["-o", "no/page.html"], "does not exist"),
        ([MEASURED], ["-o", "folder.md"], "is a folder"),
        ([MEASURED], ["-o", "0.md"], "is one of"),
        ([MEASURED, OTHER_SIZE], ["-o", "p.html"], "0.json has 40x48 and 1.json 80x80: measure both"),
        ([MEASURED, JUDGED], ["-o", "p.html", "--metric", "Q_X"], "choose among Q_G, PSNR"),
        ([MEASURED], ["-o", "p.html", "--metric", "PSNR"], "No evaluation has 'PSNR'"),
    ],
)  # fmt: skip
def test_what_makes_no_report_is_told(
    tmp_path: Path, contents: list[Json], options: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("folder.md").mkdir()
    for number, content in enumerate(contents):
        Path(f"{number}.json").write_text(json.dumps(content))
    Path("0.md").symlink_to("0.json")
    assert main(["report", *(f"{number}.json" for number in range(len(contents))), *options]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.splitlines()) == 1
    assert json.loads(Path("0.json").read_text()) == contents[0]


def test_an_evaluation_as_it_is_written_can_be_reported(
    tmp_path: Path, photographs: tuple[Any, Any], report: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for side, picture in zip("ab", photographs, strict=True):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        write_image(tmp_path / "pairs" / side / "1.png", picture)
    file = tmp_path / "all.json"
    pairs = str(tmp_path / "pairs")
    assert main(["evaluate", "--pairs", pairs, "--method", "laplacian,guided", "--json", str(file)]) == 0
    page = Page(report(json.loads(file.read_text())))
    assert "Q_G against time of fusing these pairs, s" in page.text
    assert page.row("fused")["guided"] == "1 of 1"


ESTIMATES: dict[str, Any] = {
    "kind": "fusiongcn estimate", "schema": 1, "version": "0.1.0", "size": [520, 520], "boards": ["Zero", "Pi <4>"],
    "band": [1.5, 3.0], "method": "Not measured: <counted>.",
    "models": [{"model": "lite", "engine": "onnx", "seconds": {"Zero": 0.2, "Pi <4>": 0.1}}],
}  # fmt: skip


@pytest.mark.parametrize("ending", ["html", "md"])
def test_estimates_for_boards_say_that_they_are(ending: str, tmp_path: Path) -> None:
    (tmp_path / "boards.json").write_text(json.dumps(ESTIMATES))
    assert main(["report", str(tmp_path / "boards.json"), "-o", str(tmp_path / f"report.{ending}")]) == 0
    text = (tmp_path / f"report.{ending}").read_text()
    for told in ("Boards, estimated for a pair of 520x520", "estimated s", "Zero", "0.15 to 0.3", "0.3 to 0.6"):
        assert told in text
    assert "<4>" not in text
    assert "<counted>" not in text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("boards", ["Zero", "another"]),
        ("boards", ["Zero", "another?"]),
        ("band", [1.5]),
        ("band", "wide"),
        ("method", None),
        ("size", [520]),
        ("models", [{"model": "lite", "engine": "onnx", "seconds": {"Zero": "short", "Pi <4>": 1}}]),
        ("schema", 2),
    ],
)
def test_damaged_estimates_are_refused(
    key: str, value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "boards.json").write_text(json.dumps({**ESTIMATES, key: value}))
    assert main(["report", str(tmp_path / "boards.json"), "-o", str(tmp_path / "report.md")]) == 2
    assert "boards.json" in capsys.readouterr().err
    assert not (tmp_path / "report.md").exists()
