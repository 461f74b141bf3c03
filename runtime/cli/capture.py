"""``fusiongcn capture``."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from fusiongcn_edge.runtime.capture.picamera import photographs_at
from fusiongcn_edge.runtime.cli.options import add_stack_options, fuse_options, stack_outputs, unused_options
from fusiongcn_edge.runtime.cli.process import before_fusion
from fusiongcn_edge.runtime.cli.progress import Progress
from fusiongcn_edge.runtime.cli.report import stack_report
from fusiongcn_edge.runtime.errors import FusionError, Interrupted, OutputError, user_message
from fusiongcn_edge.runtime.io.files import make_folder
from fusiongcn_edge.runtime.io.images import Encoding, check_writable, write_images
from fusiongcn_edge.runtime.pipeline import check_outputs, fuse_files, open_fuser

CAPTURE_EXAMPLE = """examples:
  fusiongcn capture --positions 0.5,2,6 -o fused.jpg
  fusiongcn capture --positions 1,2,4,8 -o fused.png --keep-frames frames --depth-map depth.png

On a Raspberry Pi with a camera whose lens can be moved, and picamera2. The camera should stand still. Exposure and
white balance are those of the first position for all of them. A position is one over the distance in metres: 0.5 is
2 m, 10 is 10 cm. The photographs are fused as 'fusiongcn stack' does it.
"""


def add_capture_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fusiongcn capture``."""
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
    """Photograph, fuse, write. Photographs that could not be fused are kept: their scene may be gone."""
    output, kept = Path(arguments.output), arguments.keep_frames
    outputs, options = stack_outputs(arguments), fuse_options(arguments)
    check_writable(output, np.empty((1, 1, 3), np.uint8))
    suffix, encoding = (output.suffix, options.encoding) if kept else (".tif", Encoding(tiff_compression="none"))
    positions = arguments.positions
    names = [f"{number:02}-{position:g}-dioptres{suffix}" for number, position in enumerate(positions, start=1)]
    for path in [kept / name for name in names if os.path.lexists(kept / name)] if kept else []:
        raise OutputError(f"{path} is there already, and photographs are not replaced", fix="keep these elsewhere")
    check_outputs([str(kept / name) for name in names] if kept else [], outputs)
    open_fuser(options)  # what is wrong with it shows before there are photographs
    made = not (kept and kept.is_dir())
    if kept:
        make_folder(kept)
    folder = kept or Path(tempfile.mkdtemp(prefix=f"{output.stem}-frames-", dir=output.parent))
    paths = [str(folder / name) for name in names]
    try:
        with Progress() as progress, closing(photographs_at(positions)) as photographs:
            for number, path in enumerate(paths, start=1):
                progress(f"[{number}/{len(paths)}] photograph at {positions[number - 1]:g} dioptres")
                write_images({path: next(photographs)}, encoding)
    except BaseException:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
        elif made:
            with suppress(OSError):  # unless there is something in it
                folder.rmdir()
        raise
    where = f"the photographs are in {folder}"
    unused = unused_options(arguments, outputs.paths)
    try:
        with Progress() as progress:
            result = fuse_files(paths, outputs, options, progress=progress, warn=before_fusion(progress, unused))
    except KeyboardInterrupt as stop:
        raise Interrupted(stop, where) from None
    except Exception as error:
        sentence = user_message(error)
        if sentence is None:
            raise
        raise FusionError(f"{sentence.rstrip('.')}; {where}") from None
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)
    print(*stack_report(result, arguments.output, arguments.align), sep="\n")
    return 0
