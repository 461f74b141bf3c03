"""Time, memory and energy of fusing pairs on this device, from file to file, with every sample kept.

Each round starts a fresh process for each configuration in turn, so that what slows the machine down for a while
falls on all of them. A process imports the runtime, opens the model and fuses a first pair, each timed apart; warms up
for a second at least; then fuses pairs until it has 10 runs, or 3 and two seconds. By default that makes, in five
rounds, 50 runs or ten seconds. A run is reading two files, fusing and writing one; its peak memory is that of its
process. Times are wall clock seconds.

A result that was measured while the machine was busy, throttled or lowered its clock is marked invalid, with the
reason (:func:`fusiongcn_edge.benchmarks.latency.device.disturbances`), and kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np

from fusiongcn_edge import __version__
from fusiongcn_edge.benchmarks.latency.device import ROOT, clock_fell, condition, disturbances, facts
from fusiongcn_edge.benchmarks.latency.power import PowerLog, find_sensor
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.images import read_image, write_images
from fusiongcn_edge.runtime.io.pairs import find_pairs
from fusiongcn_edge.runtime.io.synthetic import synthetic_pair
from fusiongcn_edge.runtime.text import pluralize
from fusiongcn_edge.runtime.types import OnStage

KIND, SCHEMA = "fusiongcn benchmark", 1
WORKER = "fusiongcn_edge.benchmarks.latency.worker"
WARM_UP_SECONDS, ENOUGH_SECONDS, LEAST_RUNS, MOST_RUNS = 1.0, 2.0, 3, 10
IDLE_SECONDS = 2.0  # of watching the power before anything runs
PHASES = ("warm-up", "warm", "sustained")


@dataclass
class Configuration:
    """What is measured together, and what was found: ``pairs`` are files, ``facts`` come from the opened model."""

    model: str
    engine: str | None
    threads: int | None
    size: tuple[int, int]
    pairs: list[tuple[str, str]]
    facts: dict[str, Any] = field(default_factory=dict)
    starts: list[dict[str, float]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    reasons: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As the table shows it."""
        engine = self.facts.get("engine", self.engine)
        threads = self.facts.get("threads", self.threads)
        parts = [Path(self.model).name or self.model, engine, f"{self.size[0]}x{self.size[1]}"]
        return " ".join([part for part in parts if part] + ([pluralize(threads, "thread")] if threads else []))

    def warm(self) -> list[dict[str, Any]]:
        """The samples that count for the steady state."""
        return [sample for sample in self.samples if sample["phase"] == "warm"]

    def as_json(self) -> dict[str, Any]:
        """For the file: all samples, and a summary of the warm ones."""
        cost = {key: self.facts[key] for key in ("params", "macs", "file_bytes") if key in self.facts}
        return {
            "name": self.name, **asdict(self), "size": list(self.size), "pairs": len(self.pairs),
            "cost": cost, "valid": not self.reasons and self.error is None, "summary": summary(self),
        }  # fmt: skip


def matrix(
    models: Sequence[str],
    engines: Sequence[str | None],
    threads: Sequence[int | None],
    inputs: Sequence[tuple[tuple[int, int], list[tuple[str, str]]]],
) -> list[Configuration]:
    """Every model on every engine at every size (with its pairs of files) with every number of threads."""
    return [
        Configuration(model, engine, count, size, pairs)
        for size, pairs in inputs
        for model in models
        for engine in engines
        for count in threads
    ]


def made_inputs(sizes: Sequence[tuple[int, int]], folder: Path) -> list[tuple[tuple[int, int], list[tuple[str, str]]]]:
    """A made pair of each size, written into a folder."""
    found = []
    for height, width in sizes:
        names = str(folder / f"{height}x{width}-a.png"), str(folder / f"{height}x{width}-b.png")
        write_images(dict(zip(names, synthetic_pair(height, width), strict=True)))
        found.append(((height, width), [names]))
    return found


def photo_inputs(folder: Path) -> list[tuple[tuple[int, int], list[tuple[str, str]]]]:
    """Pairs of photographs below a folder, by their sizes.

    Raises
    ------
    FusionError
        If there is none, or the two of a pair differ in size.
    """
    by_size: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for pair in find_pairs(folder):
        first, second = (read_image(path).shape[:2] for path in (pair.a, pair.b))
        if first != second:
            raise FusionError(
                f"{pair.a} and {pair.b} differ in size",
                found=f"{second[1]}x{second[0]}",
                allowed=f"{first[1]}x{first[0]}",
                fix="crop or resize one of them",
            )
        by_size.setdefault((first[0], first[1]), []).append((str(pair.a), str(pair.b)))
    return list(by_size.items())


def measure(
    configurations: Sequence[Configuration],
    rounds: int,
    sustained_minutes: float = 0,
    *,
    progress: OnStage = lambda text: None,
    root: Path = ROOT,
) -> dict[str, Any]:
    """The report. An interruption (Ctrl-C) ends it early and is noted in it."""
    sensor = find_sensor(root)
    before, began = condition(root), monotonic()
    report: dict[str, Any] = {
        "kind": KIND,
        "schema": SCHEMA,
        "version": __version__,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],  # the folders above the program say who uses it
        "device": facts(root),
        "rounds": rounds,
        "sustained_minutes": sustained_minutes,
        "interrupted": False,
        "sensor": None if sensor is None else sensor.name,
        "idle_watts": None,
    }
    cores = report["device"]["cores"]
    with PowerLog(sensor) as power, tempfile.TemporaryDirectory(prefix="fusiongcn-") as folder:
        try:
            if sensor is not None:
                progress("idle power")
                sleep(IDLE_SECONDS)
                report["idle_watts"] = power.watts(began, monotonic())
            visits = [(f"round {number + 1} of {rounds}", 0.0) for number in range(rounds)]
            visits += [(f"sustained, {sustained_minutes:g} min", 60 * sustained_minutes)] * (sustained_minutes > 0)
            for number, (what, seconds) in enumerate(visits):
                for configuration in configurations:
                    if configuration.error is None:
                        progress(f"{what}: {configuration.name}")
                        _visit(configuration, number, seconds, Path(folder) / "fused.png", power, root, cores)
        except KeyboardInterrupt:
            report["interrupted"] = True
    after = condition(root)
    reasons = disturbances(before, after, monotonic() - began, cores)
    for configuration in configurations:
        fell = clock_fell([s["mhz"] for s in configuration.samples if s["mhz"] is not None and s["phase"] != "warm-up"])
        own = [*reasons, *configuration.reasons, *([fell] if fell else [])]
        configuration.reasons = list(dict.fromkeys(own))
    report |= {"before": before, "after": after}
    report["configurations"] = [configuration.as_json() for configuration in configurations]
    everything = [*reasons, *(reason for configuration in configurations for reason in configuration.reasons)]
    report["reasons"] = list(dict.fromkeys(everything))
    report["valid"] = not report["reasons"]
    return report


def _visit(
    configuration: Configuration, number: int, sustained: float, output: Path, power: PowerLog, root: Path, cores: int
) -> None:
    """One fresh process for a configuration; what it tells is taken down as it comes."""
    task = {
        "model": configuration.model, "engine": configuration.engine, "threads": configuration.threads,
        "size": configuration.size, "pairs": configuration.pairs, "output": str(output),
        "warm_up_seconds": WARM_UP_SECONDS, "enough_seconds": ENOUGH_SECONDS, "least_runs": LEAST_RUNS,
        "most_runs": MOST_RUNS, "sustained_seconds": sustained, "pictures": number == 0,
    }  # fmt: skip
    before = condition(root)
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as complaints:
        json.dump(task, given)
        given.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", WORKER],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,  # Ctrl-C is for us; we end it
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                _take_down(configuration, number, line)
            process.wait()
            _add_energy([sample for sample in configuration.samples if sample["round"] == number], power)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        complaints.seek(0)
        if process.returncode and configuration.error is None:
            configuration.error = _why(process.returncode, complaints.read())
    again = {**before, "load_average": None, "busy_seconds": None}  # the load is judged over all the time
    configuration.reasons += disturbances(again, condition(root), 0, cores)


def _take_down(configuration: Configuration, number: int, line: str) -> None:
    try:
        ((what, value),) = json.loads(line).items()
    except (ValueError, AttributeError):  # something that a library printed
        return
    if what == "facts":
        configuration.facts = value
    elif what == "start":
        configuration.starts.append({"round": number, **value})
    elif what == "sample":
        configuration.samples.append({"round": number, **value, "joules": None})
    elif what == "peak":
        configuration.peak_bytes.append(value)
    elif what == "pictures":
        configuration.pictures = value
    elif what == "error":
        configuration.error = value


def _add_energy(samples: Sequence[dict[str, Any]], power: PowerLog) -> None:
    """A run's energy is its time by the mean power of all the runs on end that it belongs to."""
    for phase in PHASES:
        runs = [sample for sample in samples if sample["phase"] == phase]
        watts = power.watts(runs[0]["began"], runs[-1]["began"] + runs[-1]["seconds"]) if runs else None
        if watts is not None:
            for sample in runs:
                sample["joules"] = watts * sample["seconds"]


def _why(code: int, complaints: str) -> str:
    if code < 0:
        return f"Its process was killed (signal {-code}), perhaps for want of memory: try smaller photographs."
    lines = complaints.strip().splitlines()
    return f"Its process failed: {lines[-1] if lines else f'code {code}'}"


def summary(configuration: Configuration) -> dict[str, Any]:
    """Least, quantiles and mean of the warm runs' seconds, medians of the rest; empty if nothing was measured."""
    samples, starts = configuration.warm(), configuration.starts
    found: dict[str, Any] = {}
    if starts:
        found |= {step: float(np.median([start[step] for start in starts])) for step in ("import", "open", "first")}
    if configuration.peak_bytes:
        found["peak_bytes"] = max(configuration.peak_bytes)
    if samples:
        seconds = np.array([sample["seconds"] for sample in samples])
        found["runs"] = len(samples)
        found |= {"min": float(seconds.min()), "mean": float(seconds.mean())}
        found |= {f"p{share}": float(np.percentile(seconds, share)) for share in (50, 90, 99)}
        stages = samples[0]["stages"]
        found["stages"] = {name: float(np.median([sample["stages"][name] for sample in samples])) for name in stages}
        joules = [sample["joules"] for sample in samples if sample["joules"] is not None]
        found["joules"] = float(np.median(joules)) if joules else None
    long = [sample["seconds"] for sample in configuration.samples if sample["phase"] == "sustained"]
    if len(long) > 1:
        tenth = max(1, len(long) // 10)
        found["sustained_slowdown"] = float(np.median(long[-tenth:]) / np.median(long[:tenth]))
    return found


def table(report: dict[str, Any]) -> str:
    """The closing table: ratios to the first configuration that was measured, round by round."""
    rows, base = [], list[dict[str, Any]]()
    for entry in report["configurations"]:
        samples, found = entry["samples"], entry["summary"]
        if "p50" not in found:
            rows.append(f"{entry['name'][:40]:<41}{entry['error'] or 'not measured'}")
            continue
        base = base or samples
        times = ratio_by_round(samples, base)
        ratio = "–" if times is None else f"{times[0]:.2f} ({times[1]:.2f} to {times[2]:.2f})"
        joules = found.get("joules")
        idle = report["idle_watts"]
        energy = "–" if joules is None else f"{joules:.2f}"
        if joules is not None and idle is not None:
            energy += f" ({net_joules(samples, idle):.2f})"
        peak = f"{found['peak_bytes'] / 1e6:.0f}" if "peak_bytes" in found else "–"
        rows.append(
            f"{entry['name'][:40]:<41}{ratio:>20}{found['p50']:>9.3f}{found['p90']:>9.3f}{found['import']:>8.2f}"
            f"{found['open']:>8.2f}{found['first']:>8.2f}{peak:>8}{energy:>14}"
        )
        rows.append(
            "  " + ", ".join(f"{name} {seconds / found['p50']:.0%}" for name, seconds in found["stages"].items())
        )
        if "sustained_slowdown" in found:
            rows.append(f"  at the end of {report['sustained_minutes']:g} minutes {found['sustained_slowdown']:.2f} of "
                        "the time at their beginning")  # fmt: skip
        if entry["error"]:
            rows.append(f"  {entry['error']}")
    head = f"{'':<41}{'time, first = 1':>20}{'p50 s':>9}{'p90 s':>9}{'import':>8}{'open':>8}{'first':>8}{'MB':>8}"
    lines = [f"{report['device']['model']}, {report['device']['cpu']}", head + f"{'J (net)':>14}", *rows]
    if report["sensor"] is None:
        lines.append("Energy: no sensor.")
    if report["interrupted"]:
        lines.append("Interrupted: what was measured until then.")
    return "\n".join([*lines, *(f"INVALID: {reason}." for reason in report["reasons"])])


def net_joules(samples: Sequence[dict[str, Any]], idle_watts: float) -> float:
    """Median over the warm runs of what a pair took beyond what the device takes when it does nothing; at least one run
    has ``joules``."""
    warm = [sample for sample in samples if sample["phase"] == "warm" and sample["joules"] is not None]
    net = [sample["joules"] - idle_watts * sample["seconds"] for sample in warm]
    return max(0.0, float(np.median(net)))


def ratio_by_round(
    samples: Sequence[dict[str, Any]], base: Sequence[dict[str, Any]]
) -> tuple[float, float, float] | None:
    """How many times the time of ``base``: median, least and most over the rounds that both have warm runs in."""
    own, other = _by_round(samples), _by_round(base)
    ratios = [seconds / other[number] for number, seconds in own.items() if other.get(number)]
    return (float(np.median(ratios)), min(ratios), max(ratios)) if ratios else None


def _by_round(samples: Sequence[dict[str, Any]]) -> dict[int, float]:
    """Median seconds of the warm runs of each round."""
    found: dict[int, list[float]] = {}
    for sample in samples:
        if sample["phase"] == "warm":
            found.setdefault(sample["round"], []).append(sample["seconds"])
    return {number: float(np.median(seconds)) for number, seconds in found.items()}
