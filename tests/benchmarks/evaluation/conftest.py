"""Three pairs with their truth, and the command that evaluates them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime.io.images import write_image

Picture = NDArray[Any]
Run = Callable[..., str]


@pytest.fixture
def truth(photographs: tuple[Picture, Picture]) -> Picture:
    first, second = photographs
    whole = first.copy()
    whole[:, 64:] = second[:, 64:]
    return whole


@pytest.fixture
def folder(
    tmp_path: Path, photographs: tuple[Picture, Picture], truth: Picture, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The working directory with three pairs and their truth in ``data/set``; no program of others is on PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name, image in (("a", photographs[0]), ("b", photographs[1]), ("truth", truth)):
        place = tmp_path / "data" / "set" / name
        place.mkdir(parents=True)
        for number, turned in enumerate((image, image[::-1], image[:48]), start=1):
            write_image(place / f"{number}.png", turned)
    return tmp_path


@pytest.fixture
def evaluated(folder: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs ``fusiongcn evaluate``, which must end with this code, and gives what it prints."""

    def run(*arguments: str, code: int = 0) -> str:
        capfd.readouterr()
        assert main(["evaluate", *arguments]) == code
        return capfd.readouterr().out

    return run
