"""``fusiongcn stack``."""

from __future__ import annotations

import argparse
import os

from fusiongcn_edge.runtime.cli.options import add_stack_options, fuse_options, stack_outputs, unused_options
from fusiongcn_edge.runtime.cli.process import before_fusion
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.cli.report import stack_report
from fusiongcn_edge.runtime.errors import ImageError
from fusiongcn_edge.runtime.pipeline import fuse_files

STACK_EXAMPLE = """examples:
  fusiongcn stack 1.jpg 2.jpg 3.jpg -o fused.png
  fusiongcn stack *.jpg -o fused.jpg --align similarity --match-exposure
  fusiongcn stack *.tif -o fused.tif --depth-map depth.png --depth-preview depth.jpg

The photographs must be of the same size. With --align they are turned onto the one in the middle of the focus; where
they lie on each other already, that is not needed. Two of them are in memory at a time, however many there are. The
fused photograph does not depend on their order; if they are given in the order of focus, the depth-index map is a
map of depth. EXIF and colour profile are those of the first.
"""


def add_stack_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fusiongcn stack``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = STACK_EXAMPLE
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="photographs, each focused at another depth")
    add_stack_options(parser)


def run_stack(arguments: argparse.Namespace) -> int:
    """Fuse files one after the other: write all of the files asked for, or none."""
    folder = next((image for image in arguments.images if os.path.isdir(image)), None)
    if folder is not None:
        raise ImageError(
            f"{folder} is a folder",
            fix=f"name its photographs, {os.path.join(folder, '*')}, or fuse each of the folders in it with "
            f"'fusiongcn batch {folder} -o ...'",
        )
    outputs = stack_outputs(arguments)
    unused = unused_options(arguments, outputs.paths)
    with Progress() as progress:
        result = fuse_files(
            arguments.images,
            outputs,
            fuse_options(arguments),
            progress=progress,
            warn=before_fusion(progress, unused),
        )
    print(*stack_report(result, arguments.output, arguments.align), sep="\n")
    return 0
