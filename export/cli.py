"""``fusiongcn export``."""

from __future__ import annotations

import argparse
import os
import sys

from fusiongcn_edge.export.formats import FORMATS, TOLERANCES, check_options
from fusiongcn_edge.runtime.bundle.validation import MOST_SUPERPIXELS
from fusiongcn_edge.runtime.bundle.writer import check_target
from fusiongcn_edge.runtime.cli.options import parse_size, whole_number
from fusiongcn_edge.runtime.errors import BundleError

EXAMPLE = """example:
  fusiongcn export --checkpoint fusiongcn.ckpt --format onnx -o my-bundle
  fusiongcn fuse near.jpg far.jpg -o fused.png --model my-bundle

TFLite graphs have fixed sizes. By default the CNN is made for small tiles (Lite: for windows), in which the runtime
computes photographs of any size with the same result (Lite: but for the edges of ones smaller than a window).
--superpixels bounds how large a photograph may be: a model has about half as many superpixels as the longer side has
pixels.
"""


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE
    parser.add_argument(
        "--checkpoint", required=True, metavar="FILE", help="weights: the authors' checkpoint, or one of our own"
    )
    parser.add_argument(
        "--format",
        type=_formats,
        default=["onnx"],
        metavar="FORMAT[,FORMAT]",
        help="what to export to: onnx, tflite (for the engine litert), or onnx,tflite for a bundle of each (default: "
        "onnx)",
    )
    parser.add_argument(
        "--precision",
        choices=list(TOLERANCES),
        default="fp32",
        help="of the weights; fp16 takes about a quarter off the files (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=parse_size,
        action="append",
        default=[],
        metavar="HxW",
        help="TFLite: what the CNN computes at once, tiles or, with --whole-cnn, photographs; may be given several "
        "times (default: tiles of 40x104; for Lite, windows of 520x520 and 648x648)",
    )
    parser.add_argument(
        "--superpixels",
        type=whole_number(1, MOST_SUPERPIXELS),
        action="append",
        default=[],
        metavar="N",
        help="TFLite: superpixels that a photograph has at most; may be given several times (default: enough for 8,000 "
        "pixels a side)",
    )
    parser.add_argument(
        "--whole-cnn",
        action="store_true",
        help="the CNN as one graph, for other programs; 'fusiongcn fuse' needs more time and memory with it, and in "
        "TFLite it answers photographs of other sizes only nearly (some per cent of pixels decided otherwise)",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="BUNDLE",
        help="folder to make, nothing is written over; for several formats BUNDLE-onnx and BUNDLE-tflite",
    )


def _formats(text: str) -> list[str]:
    """``onnx,tflite`` to its parts."""
    formats = list(dict.fromkeys(text.lower().split(",")))
    if not set(formats) <= set(FORMATS):
        raise argparse.ArgumentTypeError(f"{text!r} is no format: give onnx, tflite or onnx,tflite")
    return formats


def run_export(arguments: argparse.Namespace) -> int:
    from fusiongcn_edge.export.pipeline import export_bundle  # with torch, which --help does without

    formats = arguments.format
    check_options(formats, arguments.whole_cnn, arguments.size, arguments.superpixels)
    outputs = {
        format: arguments.output if len(formats) == 1 else f"{os.path.normpath(arguments.output)}-{format}"
        for format in formats
    }
    if not arguments.output:
        raise BundleError("No folder was named", fix="give one with -o")
    for output in outputs.values():
        check_target(output)
    for format, output in sorted(outputs.items(), reverse=True):  # TFLite first: it refuses more
        if sys.stderr.isatty():
            print(f"exporting {output} (about half a minute) …", file=sys.stderr)
        for_tflite = {"sizes": arguments.size, "superpixels": arguments.superpixels} if format == "tflite" else {}
        difference = export_bundle(
            arguments.checkpoint,
            output,
            format=format,
            precision=arguments.precision,
            whole_cnn=arguments.whole_cnn,
            **for_tflite,
        )
        print(f"{output}: {arguments.precision} {format}, greatest difference from torch {difference:.1e}")
    return 0
