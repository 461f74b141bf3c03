"""``fusiongcn export``."""

from __future__ import annotations

import argparse
import sys

from fusiongcn_edge.export.bundler import export_onnx

EXAMPLE = """example:
  fusiongcn export --checkpoint fusiongcn.ckpt --format onnx -o my-bundle
  fusiongcn fuse near.jpg far.jpg -o fused.png --model my-bundle
"""


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE
    parser.add_argument(
        "--checkpoint", required=True, metavar="FILE", help="weights: the authors' checkpoint, or one of our own"
    )
    parser.add_argument("--format", choices=["onnx"], default="onnx", help="what to export to (default: %(default)s)")
    parser.add_argument(
        "--whole-cnn",
        action="store_true",
        help="the CNN as one graph, for other programs; 'fusiongcn fuse' needs more time and memory with it",
    )
    parser.add_argument("-o", "--output", required=True, metavar="BUNDLE", help="folder to make")


def run_export(arguments: argparse.Namespace) -> int:
    if sys.stderr.isatty():
        print("exporting (about half a minute) …", file=sys.stderr)
    difference = export_onnx(arguments.checkpoint, arguments.output, whole_cnn=arguments.whole_cnn)
    print(f"{arguments.output}: float32 ONNX, greatest difference from torch {difference:.1e}")
    return 0
