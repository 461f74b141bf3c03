"""Figures of experiments, drawn with matplotlib."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from fusiongcn_edge.runtime.errors import OutputError
from fusiongcn_edge.runtime.io.files import check_folder, write_files


def check_figure(path: Path) -> None:
    """Refuse, with an OutputError and before anything is measured, a place that no figure can be written to, and a
    name that says no format; a ModuleNotFoundError without matplotlib."""
    from matplotlib.figure import Figure

    if path.suffix[1:].lower() not in Figure().canvas.get_supported_filetypes():
        raise OutputError(f"{path} is not the name of a picture that can be drawn", fix="end it with .png or .svg")
    check_folder(path)


def write_figure(path: Path, figure: Any) -> None:
    """Write a matplotlib Figure in the format that the name says, whole or not at all."""
    found = io.BytesIO()
    figure.savefig(found, format=path.suffix[1:].lower())
    write_files({path: found.getvalue()})
