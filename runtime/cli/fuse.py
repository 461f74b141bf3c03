"""``fusiongcn fuse``."""

from __future__ import annotations

import argparse
from time import perf_counter

import numpy as np

from fusiongcn_edge.runtime.cli.options import (
    add_fusing_arguments,
    chosen_encoding,
    lost_metadata,
    tell,
    unused_alignment,
    unused_encoding,
)
from fusiongcn_edge.runtime.cli.process import configure_malloc
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.errors import printable
from fusiongcn_edge.runtime.fuser import STAGES
from fusiongcn_edge.runtime.fusion.preview import row
from fusiongcn_edge.runtime.io.files import check_no_overwrite
from fusiongcn_edge.runtime.io.images import PhotographFiles, check_writable, write_images
from fusiongcn_edge.runtime.pipeline import aligned, alignment_report, open_fuser
from fusiongcn_edge.runtime.registration.checks import input_warnings, thumbnail_of
from fusiongcn_edge.runtime.registration.focus_order import check_named

PREVIEW_HEIGHT = 400  # pixels
FUSE_EXAMPLE = """example:
  fusiongcn fuse near.jpg far.jpg -o fused.png --decision-map map.png

The photographs must be of the same size and lie on each other; where they do not quite, --align similarity turns the
second one. JPEG, PNG, TIFF, BMP and WebP are read and, with the extras heic and raw, HEIC and camera RAW. In the
decision map, white is where the first is the sharper. 16 bits stay 16 bits in .png and .tif; EXIF and colour profile of
the first photograph go into .jpg, .png and .tif, and the result is upright.
"""


def add_fuse_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn fuse``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = FUSE_EXAMPLE
    parser.set_defaults(too_many="more than two photographs are a stack, for 'fusiongcn stack'")
    parser.add_argument("a", metavar="A", help="first photograph")
    parser.add_argument("b", metavar="B", help="second photograph, focused at another depth")
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


def run_fuse(arguments: argparse.Namespace) -> int:
    """Read, fuse, write: all of the files asked for, or none."""
    start = perf_counter()
    extras = (arguments.decision_map, arguments.probability, arguments.preview)
    outputs = [arguments.output, *(output for output in extras if output is not None)]
    check_no_overwrite([arguments.a, arguments.b], outputs)
    files = PhotographFiles([arguments.a, arguments.b])
    pair = [files[0], files[1]]
    check_writable(arguments.output, pair[0])
    for output in outputs[1:]:
        check_writable(output, np.empty((1, 1), np.uint8))
    configure_malloc()
    fuser = open_fuser(arguments)
    check_named(files.paths, pair[0], pair[1], fuser.bundle.minimum_size)
    looks = [thumbnail_of(photograph) for photograph in pair]
    with Progress() as progress:
        turned = aligned(arguments, pair, files.paths, progress, reference=0)
        lines = [] if turned is None else alignment_report(arguments, turned, files.paths)
        first, second = pair if turned is None else (turned[0], turned[1])
        del pair, turned  # photographs as they were: their memory is needed
        steps = {stage: f"[{number}/{len(STAGES)}] {stage}" for number, stage in enumerate(STAGES, start=1)}
        result = fuser.fuse(
            first,
            second,
            progress=lambda stage: progress(steps[stage]),
            share=lambda done: progress(f"{steps['cnn']}, {done:.0%}"),
        )
    pictures = {arguments.output: result.image}
    if arguments.decision_map is not None:
        pictures[arguments.decision_map] = result.decision.astype(np.uint8) * 255
    if arguments.probability is not None:
        pictures[arguments.probability] = np.rint(result.probability * 255).astype(np.uint8)
    if arguments.preview is not None:
        panels = [("first photograph", first), ("second photograph", second)]
        panels += [("decision (white: first)", result.decision.astype(np.uint8) * 255), ("fused", result.image)]
        pictures[arguments.preview] = row(panels, PREVIEW_HEIGHT)
    write_images(pictures, chosen_encoding(arguments), {arguments.output: files.metadata()})
    odd = input_warnings(files.paths, looks, aligned=arguments.align != "none", match_exposure=arguments.match_exposure)
    odd += files.warnings() + lost_metadata(files.metadata(), arguments.output)
    tell([*odd, *unused_alignment(arguments), *unused_encoding(arguments, outputs)])
    height, width = result.decision.shape
    print(
        *lines,
        printable(
            f"{arguments.output}: {width}x{height}, {result.decision.mean():.0%} from {arguments.a}, "
            f"{perf_counter() - start:.1f} s"
        ),
        sep="\n",
    )
    return 0
