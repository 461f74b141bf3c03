"""Read what ``benchmark``, ``evaluate`` and ``arm.latency_model`` wrote as JSON, and check all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusiongcn_edge.benchmarks.evaluation import summary
from fusiongcn_edge.benchmarks.latency import runner
from fusiongcn_edge.benchmarks.latency.runner import PHASES, Configuration
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.files import read_file

ESTIMATE_KIND, ESTIMATE_SCHEMA = "fusiongcn estimate", 1
PICTURE = re.compile(r"data:image/(jpeg|png);base64,[A-Za-z0-9+/]+={0,2}")
MOST = 1e18  # no count, number of bytes or of seconds is larger


@dataclass(frozen=True)
class Benchmark:
    """A report of ``fusiongcn benchmark``; its configurations once more as what they were."""

    name: str  # of the file
    report: dict[str, Any]
    configurations: tuple[Configuration, ...]


@dataclass(frozen=True)
class Evaluation:
    """What ``fusiongcn evaluate`` found."""

    name: str  # of the file
    facts: dict[str, Any]


@dataclass(frozen=True)
class Estimate:
    """What ``python -m fusiongcn_edge.benchmarks.arm.latency_model`` says of boards."""

    name: str  # of the file
    facts: dict[str, Any]


Saved = Benchmark | Evaluation | Estimate
SCHEMAS = {
    runner.KIND: runner.SCHEMA,
    summary.KIND: summary.SCHEMA,
    ESTIMATE_KIND: ESTIMATE_SCHEMA,
}


def read_saved(path: Path) -> Saved:
    """A file of any of these commands.

    Raises
    ------
    FusionError
        If the file cannot be read, is damaged, is something else, or was written by a version of another schema.
    """
    try:
        found = json.loads(read_file(path).decode("utf-8"))
    except OSError as error:
        raise FusionError(
            f"{path} cannot be read", found=error.strerror, fix="give a file that '--json' wrote"
        ) from None
    except (ValueError, RecursionError):
        raise FusionError(f"{path} is no JSON or is cut off", fix="let '--json' write it again") from None
    return checked(found, str(path))


def checked(found: Any, name: str) -> Saved:
    """What JSON holds, if it is of one of them; ``name`` is that of the file. Raises as :func:`read_saved`."""
    kind = found.get("kind") if isinstance(found, dict) else None
    if not isinstance(kind, str) or kind not in SCHEMAS:
        raise FusionError(
            f"{name} is of neither command that can be reported",
            fix="give what 'fusiongcn benchmark --json' or 'fusiongcn evaluate --json' wrote",
        )
    expected = SCHEMAS[kind]
    schema = found.get("schema")
    if isinstance(schema, int) and schema != expected:
        what = "upgrade fusiongcn-edge" if schema > expected else "measure again"
        raise FusionError(f"{name} has another schema", found=schema, allowed=expected, fix=what)
    try:
        if kind == runner.KIND:
            _fit(found, BENCHMARK)
            return Benchmark(Path(name).name, found, tuple(map(_configuration, found["configurations"])))
        if kind == ESTIMATE_KIND:
            _fit(found, ESTIMATE)
            for model in found["models"]:
                if absent := set(found["boards"]) - set(model["seconds"]):
                    raise ValueError(f"{model['model']!r} has no time on {min(absent)}")
            return Estimate(Path(name).name, found)
        _fit(found, EVALUATION)
    except ValueError as error:
        raise FusionError(f"{name} is damaged", found=error, fix="let '--json' write it again") from None
    return Evaluation(Path(name).name, found)


def _configuration(entry: dict[str, Any]) -> Configuration:
    stages = {tuple(sample["stages"]) for sample in entry["samples"]}
    if len(stages) > 1:
        raise ValueError(f"the samples of {entry['model']!r} have different stages")
    return Configuration(
        entry["model"], entry["engine"], entry["threads"], (entry["size"][0], entry["size"][1]), [],
        entry["facts"], entry["starts"], entry["samples"], entry["peak_bytes"], entry.get("pictures", {}),
        entry["error"], entry["reasons"],
    )  # fmt: skip


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST  # NaN is not


def _amount(value: Any) -> bool:
    return _number(value) and value >= 0


def _count(value: Any) -> bool:
    return _amount(value) and isinstance(value, int)


def _size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_count(side) and side > 0 for side in value)


def _band(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_amount, value))


def _picture(value: Any) -> bool:
    return isinstance(value, str) and PICTURE.fullmatch(value) is not None


def _one_of(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


CONDITION = {
    "load_average": (None, _amount), "celsius": {str: _number}, "mhz": (None, _amount), "allowed_mhz": (None, _amount),
    "governor": (None, str), "throttled": (None, _count), "throttle_count": (None, _count),
}  # fmt: skip
FACTS = {
    "engine?": str, "engine_version?": str, "provider?": str, "precision?": str, "threads?": _count, "params?": _count,
    "macs?": _count, "file_bytes?": _count, "superpixels?": _count, "published_convention?": {str: _amount},
}  # fmt: skip
SAMPLE = {
    "round": _count, "phase": _one_of(*PHASES), "seconds": _amount, "stages": {str: _amount}, "joules": (None, _amount),
    "mhz": (None, _amount),
}  # fmt: skip
CONFIGURATION = {
    "model": str, "engine": (None, str), "threads": (None, _count), "size": _size, "facts": FACTS,
    "starts": [{"import": _amount, "open": _amount, "first": _amount}], "samples": [SAMPLE], "peak_bytes": [_count],
    "pictures?": {str: _picture}, "error": (None, str), "reasons": [str],
}  # fmt: skip
BENCHMARK = {
    "schema": int, "version": str, "started": str, "command": [str], "rounds": _count, "sustained_minutes": _amount,
    "interrupted": bool, "sensor": (None, str), "idle_watts": (None, _amount), "before": CONDITION, "after": CONDITION,
    "device": {
        "model": str, "cpu": str, "machine": str, "cores": _count, "memory_bytes": (None, _count), "os": str,
        "governor": (None, str), "highest_mhz": (None, _amount), "kernel": str, "python": str, "libraries": {str: str},
    },
    "configurations": [CONFIGURATION], "valid": bool, "reasons": [str],
}  # fmt: skip
COMPARISON = {"images": _count, "better": _count, "worse": _count, "p": _amount}
GROUP = {
    "title": str, "folder": str, "pairs": [dict],
    "methods": {str: {
        "fused": _count, "median_seconds": (None, _amount), "means": {str: (None, _number)},
        "against_reference": {str: COMPARISON},
    }},
}  # fmt: skip
EVALUATION = {
    "schema": int, "version": str, "reference": str, "test": str, "lower_is_better": [str], "absent": {str: str},
    "interrupted?": bool, "groups": [GROUP],
}  # fmt: skip
ESTIMATE = {
    "schema": int, "version": str, "size": _size, "boards": [str], "band": _band, "method": str,
    "models": [{"model": str, "engine": str, "seconds": {str: _amount}}],
}  # fmt: skip


def _fit(value: Any, pattern: Any, where: str = "it") -> None:
    """A ValueError that says what is wrong, unless a value is as a pattern wants it.

    A pattern is a type, a test, None, a tuple (any of these), a list (of any number of values) or a dict. Keys of a
    dict that it does not name are not looked at; those with ``?`` may be absent; ``str`` stands for any.
    """
    if isinstance(pattern, dict) and isinstance(value, dict):
        for key, inner in pattern.items():
            if key is str:
                for name in value:
                    _fit(value[name], inner, f"{where}[{name!r}]")
            elif key.rstrip("?") in value:
                _fit(value[key.rstrip("?")], inner, f"{where}[{key.rstrip('?')!r}]")
            elif not key.endswith("?"):
                raise ValueError(f"{where} has no {key}")
    elif isinstance(pattern, list) and isinstance(value, list):
        for number, each in enumerate(value):
            _fit(each, pattern[0], f"{where}[{number}]")
    elif not any(_is(value, each) for each in (pattern if isinstance(pattern, tuple) else (pattern,))):
        raise ValueError(f"{where} is {_shortened(value)}")


def _is(value: Any, pattern: Any) -> bool:
    if pattern is None or isinstance(pattern, dict | list):
        return value is pattern
    if isinstance(pattern, type):
        return isinstance(value, pattern) and (pattern is bool or not isinstance(value, bool))
    return pattern(value)


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:37]}…"
