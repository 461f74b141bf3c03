"""``fusiongcn report``: the page, the Markdown, two devices, boards. No time counts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusiongcn_edge.benchmarks.report.svg import Scale, pareto
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime.io.images import write_image
from helpers.reports import ESTIMATES, PICTURES, Page, benchmark, configuration, evaluation, sample

HOSTILE = "<script>alert(1)</script>\"'&|`[x](javascript:y)\n# _z_"


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
    twins = report(one, {**one, "started": "2026-01-02"}, output="twins.md")
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


@pytest.mark.parametrize("ending", ["html", "md"])
def test_estimates_for_boards_say_that_they_are(ending: str, tmp_path: Path) -> None:
    (tmp_path / "boards.json").write_text(json.dumps(ESTIMATES))
    assert main(["report", str(tmp_path / "boards.json"), "-o", str(tmp_path / f"report.{ending}")]) == 0
    text = (tmp_path / f"report.{ending}").read_text()
    for told in ("Boards, estimated for a pair of 520x520", "estimated s", "Zero", "0.15 to 0.3", "0.3 to 0.6"):
        assert told in text
    assert "<4>" not in text
    assert "<counted>" not in text
