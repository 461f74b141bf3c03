"""``fusiongcn fuse``."""

from __future__ import annotations

import argparse
from typing import NoReturn

from fusiongcn_edge.runtime.cli.options import add_fusing_arguments, fuse_options, unused_options
from fusiongcn_edge.runtime.cli.process import before_fusion
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.cli.report import alignment_report
from fusiongcn_edge.runtime.errors import printable
from fusiongcn_edge.runtime.pipeline import PairOutputs, fuse_files

FUSE_EXAMPLE = """example:
  fusiongcn fuse near.jpg far.jpg -o fused.png --decision-map map.png

The photographs must be of the same size and lie on each other; where they do not quite, --align similarity turns the
second one. JPEG, PNG, TIFF, BMP and WebP are read and, with the extras heic and raw, HEIC and camera RAW. In the
decision map, white is where the first is the sharper. 16 bits stay 16 bits in .png and .tif; EXIF and colour profile of
the first photograph go into .jpg, .png and .tif, and the result is upright.
"""


def add_fuse_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fusiongcn fuse``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = FUSE_EXAMPLE
    parser.add_argument("a", metavar="A", help="first photograph")
    parser.add_argument("b", metavar="B", help="second photograph, focused at another depth")
    parser.add_argument("more", metavar="C", nargs="*", type=_one_too_many, default=[], help=argparse.SUPPRESS)
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="fused photograph, written over an older one"
    )
    parser.add_argument("--decision-map", metavar="FILE", help="also write which photograph is the sharper one where")
    parser.add_argument("--probability", metavar="FILE", help="also write the focus probability, 8 bits gray")
    parser.add_argument(
        "--preview",
        metavar="FILE",
        help="also write both photographs, the decision map and the result side by side, small",
    )
    add_fusing_arguments(parser, stack=False)


def _one_too_many(name: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f"{name}: more than two photographs are a stack, for 'fusiongcn stack'")


def run_fuse(arguments: argparse.Namespace) -> int:
    """Fuse two files: write all of the files asked for, or none."""
    outputs = PairOutputs(arguments.output, arguments.decision_map, arguments.probability, arguments.preview)
    unused = unused_options(arguments, outputs.paths)
    with Progress() as progress:
        result = fuse_files(
            [arguments.a, arguments.b],
            outputs,
            fuse_options(arguments),
            progress=progress,
            warn=before_fusion(progress, unused),
        )
    summary = (
        f"{arguments.output}: {result.width}x{result.height}, {result.first_share:.0%} from {arguments.a}, "
        f"{result.seconds:.1f} s"
    )
    print(*alignment_report(result, arguments.align), printable(summary), sep="\n")
    return 0
