"""``fusiongcn stack``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
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
from fusiongcn_edge.runtime.errors import ImageError, printable
from fusiongcn_edge.runtime.fusion.depth_map import frame_colours
from fusiongcn_edge.runtime.io.files import check_no_overwrite
from fusiongcn_edge.runtime.io.images import PhotographFiles, check_writable, write_images
from fusiongcn_edge.runtime.pipeline import aligned, alignment_report, check_fuser, open_fuser
from fusiongcn_edge.runtime.registration.checks import FramesWithThumbnails, input_warnings

STACK_EXAMPLE = """examples:
  fusiongcn stack 1.jpg 2.jpg 3.jpg -o fused.png
  fusiongcn stack *.jpg -o fused.jpg --align similarity --match-exposure
  fusiongcn stack *.tif -o fused.tif --depth-map depth.png --depth-preview depth.jpg

The photographs must be of the same size. With --align they are turned onto the one in the middle of the focus; where
they lie on each other already, that is not needed. Two of them are in memory at a time, however many there are. The
fused photograph does not depend on their order; if they are given in the order of focus, the map of frames is a map of
depth. EXIF and colour profile are those of the first.
"""


def add_stack_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn stack``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = STACK_EXAMPLE
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="photographs, each focused at another depth")
    add_stack_options(parser)


def add_stack_options(parser: argparse.ArgumentParser, align: str = "none") -> None:
    """What :func:`fuse_files` looks at; ``align``: the default of ``--align``."""
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


def run_stack(arguments: argparse.Namespace) -> int:
    """Read one after the other, fuse, write: all of the files asked for, or none."""
    folder = next((image for image in arguments.images if os.path.isdir(image)), None)
    if folder is not None:
        raise ImageError(
            f"{folder} is a folder",
            fix=(
                f"name its photographs, {os.path.join(folder, '*')}, or fuse each of the folders in "
                f"it with 'fusiongcn batch {folder} -o ...'"
            ),
        )
    return fuse_files(arguments, arguments.images)


def fuse_files(arguments: argparse.Namespace, paths: Sequence[str]) -> int:
    """Fuse a stack of files as the arguments of :func:`add_stack_options` say; 0, the exit code."""
    start = perf_counter()
    configure_malloc()
    check_maps(arguments, paths)
    files = PhotographFiles(paths)
    frames = FramesWithThumbnails(files)
    check_writable(arguments.output, frames[0])
    check_fuser(arguments)
    with Progress() as progress:  # the fuser is not kept: the memory it holds is needed for writing
        turned = aligned(arguments, frames, files.paths, progress)
        numbers = range(len(files)) if turned is None else turned.numbers
        names = [files.paths[number] for number in numbers]
        result = open_fuser(arguments).fuse_stack(turned or frames, names=names, progress=progress)
    frame = result.frame if turned is None else np.array(numbers, np.uint16)[result.frame]
    pictures = {arguments.output: result.image}
    if arguments.depth_map is not None:
        pictures[arguments.depth_map] = frame
    if arguments.depth_preview is not None:
        pictures[arguments.depth_preview] = frame_colours(frame, len(files))
    metadata = files.metadata(numbers[0])
    write_images(pictures, chosen_encoding(arguments), {arguments.output: metadata})
    order = [numbers[place] for place in result.order]  # of the focus: neighbours are most alike
    odd = input_warnings(
        [files.paths[n] for n in order],
        [frames.looks[n] for n in order],
        aligned=arguments.align != "none",
        match_exposure=arguments.match_exposure,
    )
    odd += files.warnings() + lost_metadata(metadata, arguments.output)
    tell([*odd, *unused_alignment(arguments), *unused_encoding(arguments, pictures)])
    height, width = frame.shape
    print(
        *([] if turned is None else alignment_report(arguments, turned, files.paths)),
        f"{printable(arguments.output)}: {width}x{height} from {len(names)} photographs, "
        f"{perf_counter() - start:.1f} s",
        sep="\n",
    )
    return 0


def check_maps(arguments: argparse.Namespace, paths: Sequence[str]) -> None:
    """Refuse outputs that replace a photograph or another output, and maps that cannot be written."""
    maps = [(arguments.depth_map, np.uint16), (arguments.depth_preview, np.uint8)]
    wanted = [(path, kind) for path, kind in maps if path is not None]
    check_no_overwrite(paths, [arguments.output, *(path for path, _ in wanted)])
    for path, kind in wanted:
        check_writable(path, np.empty((1, 1), kind))
