"""Progress: one line on a terminal, few lines in a log."""

from __future__ import annotations

import io
import sys

import pytest

from fusiongcn_edge.runtime.cli.progress import Progress


def test_without_a_terminal_it_is_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.0, 61.0, 61.0, 100.0, 122.0, 122.0])
    monkeypatch.setattr("fusiongcn_edge.runtime.cli.progress.monotonic", lambda: next(times))
    monkeypatch.setattr(sys, "stderr", told := io.StringIO())
    with Progress() as progress:
        for text in ("one", "two", "three", "four"):
            progress(text)
    assert told.getvalue() == "two …\nfour …\n"


def test_on_a_terminal_it_is_one_line_that_is_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := io.StringIO())
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    with Progress() as progress:
        progress("one")
    assert terminal.getvalue() == "\r\033[Kone …\r\033[K"
