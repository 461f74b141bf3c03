"""``fusiongcn metrics``."""

from __future__ import annotations

import argparse

from fusiongcn_edge.benchmarks.cli.json_output import STDOUT, check_json, write_json
from fusiongcn_edge.benchmarks.metrics.scorer import FusionScorer
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.io.images import read_image

METRICS_EXAMPLE = """example:
  fusiongcn metrics near.jpg far.jpg fused.png --truth all-in-focus.png --json -

what is measured; higher is better, but for Q_CV, and 1 is the most but where it is said:
  Q_MI    normalised mutual information of the result and both photographs (at most 2)
  Q_NCIE  the same for relations of any kind (nonlinear correlation information entropy)
  Q_G     how well edges keep their strength and direction (Xydeas and Petrovic)
  Q_P     how well features are kept (phase congruency)
  Q_S, Q_W, Q_E  likeness to both photographs in small windows; weighted by their contrast; and at edges (Piella)
  Q_C, Q_Y       likeness weighted by how alike photograph and result are (Cvejic; Yang)
  Q_CB    how much contrast that people see is kept (Chen and Blum)
  Q_CV    how much people would see of the difference (Chen and Varshney); lower is better, 0 is none
With --truth:
  PSNR, PSNR_boundary  likeness to it in dB; everywhere, and at most 5 pixels from where the better photograph changes
  SSIM    structural similarity to it
"""


def add_metrics_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn metrics``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = METRICS_EXAMPLE
    parser.add_argument("a", metavar="A", help="first photograph")
    parser.add_argument("b", metavar="B", help="second photograph")
    parser.add_argument("fused", metavar="FUSED", help="what was made of them")
    parser.add_argument("--truth", metavar="T", help="the all-in-focus image: PSNR, SSIM and PSNR_boundary, too")
    parser.add_argument("--json", metavar="FILE|-", help="write the values as JSON, over an older file; - prints it")


def run_metrics(arguments: argparse.Namespace) -> int:
    """Print the values of one fused image."""
    paths = [arguments.a, arguments.b, arguments.fused, *([arguments.truth] if arguments.truth else [])]
    check_json(arguments.json, paths)
    a, b, fused, *truth = (read_image(path) for path in paths)
    with Progress() as progress:
        values = FusionScorer(a, b, *truth).values(fused, lambda metric: progress(f"computing {metric}"))
    if arguments.json != STDOUT:
        print("\n".join(f"{name:<15}{value:>16.10f}" for name, value in values.items()))
    write_json(arguments.json, values)
    return 0
