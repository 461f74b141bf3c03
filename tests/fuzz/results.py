"""What measurements wrote as JSON, and the reports made of it; what a batch notes beside its results."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fusiongcn_edge.runtime.batch.discovery import record_path
from fusiongcn_edge.runtime.batch.records import conflict, is_up_to_date, write_result
from fuzz.reader import Reader, changed_json, scratch, written

ESTIMATES = Path(__file__).resolve().parents[2] / "docs" / "estimates.json"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def _benchmark() -> dict[str, Any]:
    samples = [
        {"round": number, "phase": "warm", "seconds": seconds, "stages": {"read": 0.01, "cnn": 0.1, "write": 0.02},
         "joules": 1.0, "mhz": None}
        for number in range(2) for seconds in (0.2, 0.25)
    ]  # fmt: skip
    facts = {"engine": "onnx", "engine_version": "1", "provider": "CPU", "precision": "fp32", "threads": 2,
             "params": 15080, "macs": 249_000_000, "file_bytes": 77_000, "superpixels": 99,
             "published_convention": {"macs": 1.0, "params": 2.0}}  # fmt: skip
    configurations = [
        {"model": model, "engine": None, "threads": 2, "size": [40, 48], "facts": facts,
         "starts": [{"import": 0.1, "open": 0.2, "first": 0.3}], "samples": samples, "peak_bytes": [150_000_000],
         "pictures": {"first": PIXEL, "second": PIXEL, "fused": PIXEL}, "error": None, "reasons": []}
        for model in ("fusiongcn-lite", "some/path/fusiongcn")
    ]  # fmt: skip
    condition = {"load_average": 0.1, "celsius": {"zone cpu": 50.0}, "mhz": 1000.0, "allowed_mhz": None,
                 "governor": "ondemand", "throttled": None, "throttle_count": 3}  # fmt: skip
    device = {"model": "x86 host", "cpu": "c", "machine": "m", "cores": 4, "memory_bytes": 8_000_000_000, "os": "o",
              "governor": None, "highest_mhz": None, "kernel": "6", "python": "3", "libraries": {"a": "2"}}  # fmt: skip
    return {
        "kind": "fusiongcn benchmark", "schema": 1, "version": "0.1.0", "started": "2026-01-01", "command": ["x"],
        "rounds": 2, "sustained_minutes": 0, "interrupted": False, "sensor": None, "idle_watts": 1.0, "device": device,
        "before": condition, "after": condition, "valid": True, "reasons": ["busy"], "configurations": configurations,
    }  # fmt: skip


def _evaluation() -> dict[str, Any]:
    test = {"PSNR": {"images": 3, "better": 2, "worse": 1, "difference": 0.1, "p": 0.75}}
    methods = {
        name: {"fused": 3, "median_seconds": 0.1, "means": {"Q_G": 0.7, "PSNR": value, "Q_CV": 3.0},
               "against_reference": test if number else {}}
        for number, (name, value) in enumerate({"fusiongcn-lite": 53.0, "fusiongcn": 52.0, "laplacian": 43.0}.items())
    }  # fmt: skip
    return {
        "kind": "fusiongcn evaluation", "schema": 1, "version": "0.1.0", "reference": "fusiongcn-lite",
        "test": "a test",
        "lower_is_better": ["Q_CV"], "absent": {"enfuse": "not installed"}, "interrupted": True,
        "groups": [{"title": "truth", "folder": "pairs", "pairs": [{"name": "1"}] * 3, "methods": methods}],
    }  # fmt: skip


def _seeds() -> list[bytes]:
    from fusiongcn_edge.benchmarks.evaluation import summary

    evaluation = {**_evaluation(), "kind": summary.KIND}
    estimate = json.loads(ESTIMATES.read_bytes())
    files = [_benchmark()], [_benchmark(), evaluation], [evaluation], [estimate, _benchmark()], [estimate]
    return [json.dumps(contents).encode() for contents in files]


class _Page(HTMLParser):
    """Refuses what a page of ours never has."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(html)
        assert self.open == [], "elements are left open"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "iframe", "object", "form", "link", "base"), f"a page with {tag}"
        for name, value in attributes:
            assert not name.startswith("on"), f"a page with {name}"
            assert name not in ("src", "href") or (value or "").startswith(("data:image/", "#")), f"{name}={value}"
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "elements are closed in another order"


def read_results(data: bytes) -> None:
    """A list of files' contents, read back one by one and made into a page and into Markdown."""
    from fusiongcn_edge.benchmarks.report.html import page
    from fusiongcn_edge.benchmarks.report.markdown import markdown
    from fusiongcn_edge.benchmarks.report.results import put_together
    from fusiongcn_edge.benchmarks.report.schema import read_saved

    try:
        contents = json.loads(data)
    except (ValueError, RecursionError):
        contents = None
    if isinstance(contents, list) and 0 < len(contents) < 5:
        files = [json.dumps(content).encode() for content in contents]
    else:
        files = [data]
    saved = [read_saved(written(file, f"{number}.json")) for number, file in enumerate(files)]
    together = put_together(saved)
    html = page(together)
    _Page(html)
    assert "nan" not in html.replace("finance", "").lower().split(), "a page that says nan"
    assert not re.search(r"(?<!\\)<", markdown(together)), "Markdown with HTML"
    html.encode("utf-8", "replace")


def _records() -> list[bytes]:
    write_result(scratch() / "seed.png", b"result", "mark", ["one: aligned"])
    ours = record_path(scratch() / "seed.png").read_bytes()
    return [ours, b"[" * 3000, b"[" * 60_000 + b"]" * 60_000, b'"\\ud800"']


def read_record(data: bytes) -> None:
    """Whatever stands beside a result: it was made so, or it was not."""
    result = written(b"result", "result.png")
    written(data, record_path(result).name)
    made = is_up_to_date(scratch() / "result.png", "mark")
    assert made in (True, False)
    assert not (made and conflict(scratch() / "result.png"))


READERS = [
    Reader(
        "results",
        _seeds,
        read_results,
        changed_json,
        1 << 17,
        ("benchmarks.report.schema", "benchmarks.report.results"),
    ),
    Reader("records", _records, read_record, changed_json, 1 << 17),
]
