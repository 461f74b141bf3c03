"""The log of a training run: a CSV file that is whole at any moment."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusiongcn_edge.model.config import learning_rate_factor
from fusiongcn_edge.runtime.io.files import write_files

if TYPE_CHECKING:
    from fusiongcn_edge.model.training import Run

LOG = "log.csv"
SCORES = ("held_out_psnr_soft", "held_out_psnr_hard", "held_out_agreement")
LOG_FIELDS = ("step", "seconds", "learning_rate", "loss", *SCORES)


class Log:
    """Rows of ``LOG_FIELDS``, one a step; what was logged after the state that a run goes on from, or is damaged, is
    dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            with open(path, newline="", encoding="utf-8", errors="replace") as file:
                lines = file.read().replace("\0", "").splitlines()
            found = [row for row in csv.DictReader(lines) if list(row) == list(LOG_FIELDS)]
            self.rows = [row for row in found if str(row["step"]).isdecimal() and int(row["step"]) <= step]

    @property
    def step(self) -> int | None:
        """Of the last row."""
        return int(self.rows[-1]["step"]) if self.rows else None

    def _save(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, LOG_FIELDS)
        writer.writeheader()
        writer.writerows(self.rows)
        write_files({self.path: text.getvalue().encode()})

    def write(self, training: Run, scores: dict[str, float]) -> str:
        """Add a row with the mean loss since the last one, or write that of this step anew; a line on it to show."""
        rate = training.config.learning_rate * learning_rate_factor(training.step, training.config)
        row = {
            "step": training.step,
            "seconds": round(training.seconds),
            "learning_rate": f"{rate:.3g}",
            "loss": f"{training.loss_sum / training.losses:.5f}" if training.losses else "",
            **{name: f"{value:.4f}" for name, value in scores.items()},
        }
        if self.step == training.step:
            last = self.rows.pop()
            row["loss"] = row["loss"] or last["loss"]
        self.rows.append(row)
        training.loss_sum, training.losses = 0.0, 0
        self._save()
        shown = "  ".join(f"{name.replace('held_out_', '')} {value:.3f}" for name, value in scores.items())
        return f"step {training.step}, held-out scenes: {shown}"
