"""Arguments that commands share, what they mean, and what is told of those that change nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from fusiongcn_edge.runtime.engines.base import ACCELERATED, ENGINES
from fusiongcn_edge.runtime.errors import printable
from fusiongcn_edge.runtime.fuser import DEFAULT_MODEL
from fusiongcn_edge.runtime.io.headers import MOST_PIXELS
from fusiongcn_edge.runtime.io.images import KEEPING_METADATA, TIFF_COMPRESSIONS, Encoding
from fusiongcn_edge.runtime.io.metadata import Metadata
from fusiongcn_edge.runtime.registration.estimate import MODELS
from fusiongcn_edge.runtime.types import USUAL_SIZE

# option (also a field of Encoding) -> formats that it is about
ENCODING_OPTIONS = {
    "jpeg_quality": (".jpg", ".jpeg"),
    "png_compression": (".png",),
    "tiff_compression": (".tif", ".tiff"),
}


def add_fusing_arguments(parser: argparse.ArgumentParser, align: str = "none", *, stack: bool) -> None:
    """How to align, fuse and write, as every command that fuses photographs takes it."""
    add_alignment_arguments(parser, align, stack=stack)
    add_fuser_arguments(parser)
    add_encoding_arguments(parser)


def add_fuser_arguments(parser: argparse.ArgumentParser) -> None:
    """What to fuse with, as every command that fuses takes it; see :func:`open_fuser`."""
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
    """How photographs are aligned, as every command that fuses takes it; see :func:`aligned`. ``model``: the default;
    ``stack``: frames may be left out."""
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
    """What the arguments of :func:`add_encoding_arguments` say."""
    given = {option: getattr(arguments, option) for option in ENCODING_OPTIONS}
    return Encoding(**{option: value for option, value in given.items() if value is not None})


def unused_encoding(arguments: argparse.Namespace, outputs: Iterable[str]) -> list[str]:
    """A sentence on each of these options that was given for files of a format that is not written."""
    suffixes = {Path(output).suffix.lower() for output in outputs}
    return [
        f"--{option.replace('_', '-')} changes nothing, for no {formats[0]} file is written."
        for option, formats in ENCODING_OPTIONS.items()
        if getattr(arguments, option) is not None and suffixes.isdisjoint(formats)
    ]


def lost_metadata(metadata: Metadata, output: str) -> list[str]:
    """A sentence if there is metadata, and the format of the result keeps none."""
    if metadata == Metadata() or Path(output).suffix.lower() in KEEPING_METADATA:
        return []
    return [f"{output} keeps neither EXIF nor colour profile: use .jpg, .png or .tif if they matter."]


def unused_alignment(arguments: argparse.Namespace) -> list[str]:
    """A sentence on each of the options of :func:`add_alignment_arguments` that was given and cannot do anything."""
    if arguments.align != "none":
        return []
    given = [name for name in ("no_crop", "skip_failed") if getattr(arguments, name, False)]
    return [f"--{name.replace('_', '-')} changes nothing without --align." for name in given]


def tell(remarks: Iterable[str]) -> None:
    """Beside the result: what is odd, though it could be done."""
    for remark in remarks:
        print(f"fusiongcn: note: {printable(remark)}", file=sys.stderr)


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
