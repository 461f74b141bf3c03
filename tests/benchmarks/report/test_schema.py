"""Saved measurements: read whole, or refused in one sentence, and what makes no report of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fusiongcn_edge.benchmarks.report.html import page
from fusiongcn_edge.benchmarks.report.markdown import markdown
from fusiongcn_edge.benchmarks.report.results import put_together
from fusiongcn_edge.benchmarks.report.schema import checked, read_saved
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import FusionError
from helpers.common import Json
from helpers.reports import ESTIMATES, Page, benchmark, configuration, evaluation, sample


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
        ([MEASURED, OTHER_SIZE], ["-o", "p.html"], "(80x80, expected 40x48): measure both"),
        ([MEASURED, JUDGED], ["-o", "p.html", "--metric", "Q_X"], "(Q_X, expected one of Q_G, PSNR)"),
        ([MEASURED], ["-o", "p.html", "--metric", "PSNR"], "No evaluation has this --metric (PSNR): also give"),
        ([MEASURED, JUDGED, MEASURED], ["-o", "p.html"], "0.json and 2.json hold the same, which would count twice"),
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
