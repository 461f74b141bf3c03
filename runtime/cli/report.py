"""Lines that commands print about a fusion."""

from __future__ import annotations

from fusiongcn_edge.runtime.errors import printable
from fusiongcn_edge.runtime.pipeline import FilesResult


def alignment_report(result: FilesResult, align: str) -> list[str]:
    """Return a line on the registration of each photograph, if there was one; ``align``: its model."""
    if result.registration is None:
        return []
    lines: dict[int, object] = {**result.registration.alignments}
    reference = "the others are made as bright" if align == "none" else "the others are aligned to it"
    lines[result.registration.reference] = reference
    left_out = "left out, because it cannot be aligned"
    return [f"{printable(path)}: {lines.get(number, left_out)}" for number, path in enumerate(result.paths)]


def stack_report(result: FilesResult, output: str, align: str) -> list[str]:
    """Return the lines of :func:`alignment_report`, and one on the result, written to ``output``."""
    size = f"{result.width}x{result.height} from {len(result.order)} photographs"
    return [*alignment_report(result, align), f"{printable(output)}: {size}, {result.seconds:.1f} s"]
