"""``fusiongcn capture``."""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from fusiongcn_edge.runtime.camera import photographs_at
from fusiongcn_edge.runtime.commands import chosen_encoding, open_fuser
from fusiongcn_edge.runtime.errors import OutputError
from fusiongcn_edge.runtime.files import make_folder
from fusiongcn_edge.runtime.images import Encoding, check_writable, write_images
from fusiongcn_edge.runtime.progress import Progress
from fusiongcn_edge.runtime.stack_commands import add_stack_options, check_maps, fuse_files

CAPTURE_EXAMPLE = """examples:
  fusiongcn capture --positions 0.5,2,6 -o fused.jpg
  fusiongcn capture --positions 1,2,4,8 -o fused.png --keep-frames frames --depth depth.png

On a Raspberry Pi with a camera whose lens can be moved, and picamera2. The camera should stand still. Exposure and
white balance are those of the first position for all of them. A position is one over the distance in metres: 0.5 is
2 m, 10 is 10 cm. The photographs are fused as 'fusiongcn stack' does it.
"""


def add_capture_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn capture``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = CAPTURE_EXAMPLE
    parser.add_argument(
        "--positions",
        type=_positions,
        required=True,
        metavar="D,D,...",
        help="of the lens, in dioptres, a photograph for each",
    )
    parser.add_argument(
        "--keep-frames", metavar="DIR", type=Path, help="keep the photographs in this folder, in the format of OUT"
    )
    add_stack_options(parser, align="similarity")


def _positions(text: str) -> list[float]:
    try:
        positions = [float(part) for part in text.split(",")]
    except ValueError:
        positions = []
    if len(set(positions)) < 2 or len(set(positions)) < len(positions) or not all(0 <= p < 100 for p in positions):
        raise argparse.ArgumentTypeError(f"{text!r} is not possible: give two or more different dioptres, as 0.5,2,6")
    return positions


def run_capture(arguments: argparse.Namespace) -> int:
    """Photograph, fuse, write."""
    check_writable(arguments.output, np.empty((1, 1, 3), np.uint8))
    with tempfile.TemporaryDirectory(prefix="fusiongcn-") as temporary:
        folder, suffix, encoding = Path(temporary), ".tif", Encoding(tiff_compression="none")
        if arguments.keep_frames is not None:
            folder, suffix, encoding = arguments.keep_frames, Path(arguments.output).suffix, chosen_encoding(arguments)
            make_folder(folder)
        positions = arguments.positions
        names = [f"{number:02}-{position:g}-dioptres{suffix}" for number, position in enumerate(positions, start=1)]
        paths = [str(folder / name) for name in names]
        for path in filter(os.path.lexists, paths):
            raise OutputError(f"{path} is there already, and photographs are not replaced: keep these elsewhere.")
        check_maps(arguments, paths)
        try:
            open_fuser(arguments)  # what is wrong with it shows before there are photographs
            with Progress() as progress, closing(photographs_at(positions)) as photographs:
                for number, path in enumerate(paths, start=1):
                    progress(f"[{number}/{len(paths)}] photograph at {positions[number - 1]:g} dioptres")
                    write_images({path: next(photographs)}, encoding)
        except BaseException:
            if arguments.keep_frames is not None:
                with suppress(OSError):  # unless there is something in it
                    folder.rmdir()
            raise
        return fuse_files(arguments, paths)
