"""A picture of training runs.

    python -m fusiongcn_edge.benchmarks.experiments.training_curves LOG [LOG …] -o FILE

LOG is the ``log.csv`` that 'fusiongcn train' writes into a run's folder: the loss, and the score on held-out scenes,
over the steps. Needs matplotlib.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from fusiongcn_edge.benchmarks.experiments.plots import check_figure, write_figure
from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime import FusionError

COLUMNS = ("step", "loss", "held_out_psnr_soft")


def main() -> int:
    """Read the logs and draw them."""
    parser = new_parser("experiments.training_curves", __doc__)
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    return exit_code(lambda: draw(arguments.logs, arguments.output))


def draw(logs: list[Path], output: Path) -> None:
    """Loss on the left, held-out PSNR on the right; one line per log."""
    from matplotlib.figure import Figure

    check_figure(output)
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for path in logs:
        rows = read_log(path)
        steps = [int(row["step"]) for row in rows]
        left.plot(
            steps, [float(row["loss"]) for row in rows], label=path.stem if path.stem != "log" else path.parent.name
        )
        right.plot(steps, [float(row["held_out_psnr_soft"]) for row in rows])
    left.set(xlabel="step", ylabel="loss (mean since the last point)")
    right.set(xlabel="step", ylabel="held-out scenes, PSNR dB")
    if len(logs) > 1:
        left.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    write_figure(output, figure)


def read_log(path: Path) -> list[dict[str, str]]:
    """The rows of a log that have a loss."""
    try:
        with open(path, newline="") as file:
            rows = [row for row in csv.DictReader(file) if all(row.get(name) for name in COLUMNS)]
    except (OSError, UnicodeDecodeError):
        raise FusionError(f"{path} cannot be read", fix="give the log.csv of a run") from None
    if not rows:
        raise FusionError(f"{path} holds no rows of a training run", fix="give the log.csv of a run")
    return rows


if __name__ == "__main__":
    sys.exit(main())
