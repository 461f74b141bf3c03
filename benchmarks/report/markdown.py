"""A report as Markdown tables, for a README."""

from __future__ import annotations

import re

from fusiongcn_edge.benchmarks.evaluation.summary import INTERRUPTED
from fusiongcn_edge.benchmarks.report import tables
from fusiongcn_edge.benchmarks.report.results import Results, size_text
from fusiongcn_edge.benchmarks.report.tables import INVALID, Table


def markdown(results: Results) -> str:
    """Each device and size, devices side by side, and each evaluated folder."""
    parts = []
    together = tables.side_by_side(results)
    if together is not None:
        parts.append(_table(together))
    for section in results.sections:
        report = section.benchmark.report
        cpu = report["device"]["cpu"]
        parts.append(f"**{plain(results.device(section.benchmark))}**, {plain(cpu)}, {size_text(section.size)}:")
        parts.append(_table(tables.configurations(section, results)))
        parts += [f"{row.number}: {plain(row.configuration.error)}" for row in section.rows if row.configuration.error]
        parts += [f"**{INVALID}:** {plain(reason)}." for reason in report["reasons"]]
        parts += ["Interrupted: what was measured until then."] * report["interrupted"]
    for evaluation in results.evaluations:
        for group in evaluation.facts["groups"]:
            parts.append(f"Quality on {len(group['pairs'])} pairs ({plain(group['title'])}), means:")
            parts.append(_table(tables.quality(group, evaluation)))
            parts.append(f"In brackets: images better : worse than the reference; {plain(evaluation.facts['test'])}.")
        parts += [f"Absent: {plain(why)}" for why in evaluation.facts["absent"].values()]
        parts += [INTERRUPTED] * evaluation.facts.get("interrupted", False)
    for estimate in results.estimates:
        size = size_text((estimate.facts["size"][0], estimate.facts["size"][1]))
        parts += [f"**Boards, estimated for a pair of {size}:**", _table(tables.estimates(estimate))]
        parts.append(plain(estimate.facts["method"]))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    lines = [table.head, ["---", *["---:"] * (len(table.head) - 1)]]
    texts = [[plain(cell) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([plain(h) for h in table.head], lines[1], *texts))


def plain(text: str) -> str:
    """Text that Markdown and the HTML in it leave as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|&#])", r"\\\1", " ".join(text.split()))
