"""Command-line options that commands share, and what they make of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

from fusiongcn_edge.runtime.engines.base import ACCELERATED, ENGINES
from fusiongcn_edge.runtime.errors import printable
from fusiongcn_edge.runtime.fuser import DEFAULT_MODEL
from fusiongcn_edge.runtime.io.headers import MOST_PIXELS
from fusiongcn_edge.runtime.io.images import TIFF_COMPRESSIONS, Encoding
from fusiongcn_edge.runtime.pipeline import FuseOptions, StackOutputs
from fusiongcn_edge.runtime.registration.estimate import MODELS
from fusiongcn_edge.runtime.types import USUAL_SIZE

# option (also a field of Encoding) -> formats that it is about
ENCODING_OPTIONS = {
    "jpeg_quality": (".jpg", ".jpeg"),
    "png_compression": (".png",),
    "tiff_compression": (".tif", ".tiff"),
}


def add_fusing_arguments(parser: argparse.ArgumentParser, align: str = "none", *, stack: bool) -> None:
    """Add how to align, fuse and write, as every command that fuses photographs takes it; see :func:`fuse_options`."""
    add_alignment_arguments(parser, align, stack=stack)
    add_fuser_arguments(parser)
    add_encoding_arguments(parser)


def add_fuser_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to fuse with, as every command that fuses takes it."""
    add_model_argument(parser)
    parser.add_argument(
        "--engine",
        choices=[*ENGINES, *ACCELERATED],
        help="what computes: onnx is ONNX Runtime, litert runs TFLite (default: the bundle's; of a shipped model, onnx "
        "or litert, whichever there is)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: the fast physical cores)")
    parser.add_argument(
        "--max-memory",
        type=_megabytes,
        metavar="MB",
        help="memory that may be used, in 10^6 bytes; less is slower, with the same result (default: what is free)",
    )


def _megabytes(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of MB: give 250 for example") from None


def add_alignment_arguments(parser: argparse.ArgumentParser, model: str = "none", *, stack: bool) -> None:
    """Add how photographs are registered. ``model``: the default of ``--align``; ``stack``: frames may be left out."""
    parser.add_argument(
        "--align",
        choices=MODELS,
        default=model,
        help="turn the photographs onto each other, by no more than this; for a lens that breathes, similarity: shift, "
        "rotation and scale (default: %(default)s)",
    )
    parser.add_argument("--match-exposure", action="store_true", help="make the photographs equally bright")
    parser.add_argument(
        "--no-crop",
        action="store_true",
        help="do not crop to what all photographs show; where one shows nothing, its pixels are another's",
    )
    parser.add_argument(
        "--check-registration",
        action="store_true",
        help="without --align, look for differences in scale and rotation, too, and warn about them; takes longer",
    )
    if stack:
        parser.add_argument(
            "--skip-failed", action="store_true", help="leave out a photograph that cannot be aligned, and say so"
        )


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """``--model``, as every command that opens a model takes it."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="a shipped model or a bundle made by 'fusiongcn export' (default: %(default)s)",
    )


def add_engine_argument(parser: argparse.ArgumentParser) -> None:
    """``--engine``, as commands take it that open a bundle and compute nothing of their own."""
    parser.add_argument("--engine", choices=list(ENGINES), help="of a shipped model, the bundle for this engine")


def add_encoding_arguments(parser: argparse.ArgumentParser) -> None:
    """How pictures are written, as every command that writes photographs takes it; see :func:`chosen_encoding`."""
    usual = Encoding()
    parser.add_argument(
        "--jpeg-quality",
        type=whole_number(1, 100),
        metavar="1...100",
        help=f"of a .jpg file (default: {usual.jpeg_quality})",
    )
    parser.add_argument(
        "--png-compression",
        type=whole_number(0, 9),
        metavar="0...9",
        help=f"of a .png file, 9 is the smallest and slowest (default: {usual.png_compression})",
    )
    parser.add_argument(
        "--tiff-compression",
        choices=list(TIFF_COMPRESSIONS),
        help=f"of a .tif file, without loss (default: {usual.tiff_compression})",
    )


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """What reads a whole number in a range from the command line."""
    wanted = f"of at least {least}" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int:
        if not text.isdecimal() or len(text) > 9 or not least <= int(text) <= (int(text) if most is None else most):
            raise argparse.ArgumentTypeError(f"{text!r} is not possible: give a whole number {wanted}")
        return int(text)

    return parse


def chosen_encoding(arguments: argparse.Namespace) -> Encoding:
    """Collect the arguments of :func:`add_encoding_arguments`."""
    given = {option: getattr(arguments, option) for option in ENCODING_OPTIONS}
    return Encoding(**{option: value for option, value in given.items() if value is not None})


def add_stack_options(parser: argparse.ArgumentParser, align: str = "none") -> None:
    """Add what commands that fuse one stack take; ``align``: the default of ``--align``. See :func:`stack_outputs`."""
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="fused photograph, written over an older one"
    )
    parser.add_argument(
        "--depth-map",
        metavar="FILE",
        help="also write which photograph each pixel is from, 16 bits gray; 0 is the first",
    )
    parser.add_argument(
        "--depth-preview",
        metavar="FILE",
        help="also write that in colours, from violet (the first) over green to dark red (the last)",
    )
    add_fusing_arguments(parser, align, stack=True)


def stack_outputs(arguments: argparse.Namespace) -> StackOutputs:
    """Collect the files that the arguments of :func:`add_stack_options` name."""
    return StackOutputs(arguments.output, arguments.depth_map, arguments.depth_preview)


def fuse_options(arguments: argparse.Namespace) -> FuseOptions:
    """Collect the arguments of :func:`add_fusing_arguments`."""
    given = {field.name: getattr(arguments, field.name) for field in fields(FuseOptions) if field.name in arguments}
    return FuseOptions(**given, encoding=chosen_encoding(arguments))


def unused_options(arguments: argparse.Namespace, outputs: Iterable[str]) -> list[str]:
    """Say of each option of :func:`add_fusing_arguments` that was given whether it changes nothing."""
    aligned, suffixes = arguments.align != "none", {Path(output).suffix.lower() for output in outputs}
    unused = {
        name: f" {'with' if aligned else 'without'} --align"
        for name in (["check_registration"] if aligned else ["no_crop", "skip_failed"])
        if getattr(arguments, name, False)
    } | {
        name: f", for no {formats[0]} file is written"
        for name, formats in ENCODING_OPTIONS.items()
        if getattr(arguments, name) is not None and suffixes.isdisjoint(formats)
    }
    return [f"--{name.replace('_', '-')} changes nothing{why}." for name, why in unused.items()]


def print_warnings(warnings: Iterable[str]) -> None:
    """Print a line on standard error for each thing that can be done but is odd."""
    for warning in warnings:
        print(f"fusiongcn: warning: {printable(warning)}", file=sys.stderr)


def add_size_argument(parser: argparse.ArgumentParser) -> None:
    """``--size``, as commands take it that measure with made photographs."""
    usual = "x".join(map(str, USUAL_SIZE))
    parser.add_argument("--size", type=parse_size, default=USUAL_SIZE, metavar="HxW", help=f"default: {usual}")


def parse_size(text: str) -> tuple[int, int]:
    """``520x640`` to (height, width)."""
    try:
        height, width = (int(part) for part in text.lower().split("x"))
        if min(height, width) < 1 or height * width > MOST_PIXELS:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: give height x width, 520x520 for example") from None
    return height, width
