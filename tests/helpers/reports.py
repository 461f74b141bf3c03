"""Made-up measurements to report, and what a browser would find on the page."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np

from fusiongcn_edge.benchmarks.evaluation import summary
from fusiongcn_edge.benchmarks.latency import runner
from fusiongcn_edge.benchmarks.latency.pictures import data_uri
from helpers.common import Json

PICTURES = {
    name: data_uri(np.full((8, 12, 3), shade, np.uint8))
    for name, shade in {"first": 40, "second": 90, "decision": 255, "fused": 140}.items()
}
ESTIMATES: dict[str, Any] = {
    "kind": "fusiongcn estimate", "schema": 1, "version": "0.1.0", "size": [520, 520], "boards": ["Zero", "Pi <4>"],
    "band": [1.5, 3.0], "method": "Not measured: <counted>.",
    "models": [{"model": "lite", "engine": "onnx", "seconds": {"Zero": 0.2, "Pi <4>": 0.1}}],
}  # fmt: skip


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
        "kind": runner.KIND, "schema": 1, "version": "0.1.0", "started": "2026-01-01", "command": ["fusiongcn"],
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
        "kind": summary.KIND, "schema": 1, "version": "0.1.0", "reference": first, "test": "a test",
        "lower_is_better": ["Q_CV"], "absent": {}, "interrupted": False, "groups": [group], **changed,
    }  # fmt: skip


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
