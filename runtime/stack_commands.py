"""``fusiongcn stack``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.commands import (
    add_encoding_arguments,
    add_fuser_arguments,
    chosen_encoding,
    open_fuser,
    refuse_overwriting,
)
from fusiongcn_edge.runtime.images import Layout, check_layouts, check_writable, read_photograph, write_images
from fusiongcn_edge.runtime.metadata import Metadata
from fusiongcn_edge.runtime.progress import Progress
from fusiongcn_edge.runtime.silence import libraries_silenced
from fusiongcn_edge.runtime.stack import frame_colours

STACK_EXAMPLE = """examples:
  fusiongcn stack 1.jpg 2.jpg 3.jpg -o fused.png
  fusiongcn stack *.tif -o fused.tif --depth depth.png --depth-preview depth.jpg

The photographs must be aligned and of the same size. Two of them are in memory at a time, however many there are. The
fused photograph does not depend on their order; if they are given in the order of focus, the map of frames is a map of
depth. EXIF and colour profile are those of the first.
"""


def add_stack_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``fusiongcn stack``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = STACK_EXAMPLE
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="photographs, each focused at another depth")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="file for the fused photograph")
    parser.add_argument(
        "--depth", metavar="FILE", help="also write which photograph each pixel is from, 16 bits gray; 0 is the first"
    )
    parser.add_argument(
        "--depth-preview", metavar="FILE", help="also write that in colours, from blue (the first) to red (the last)"
    )
    add_fuser_arguments(parser)
    add_encoding_arguments(parser)


class Files:
    """The photographs of a stack, read when they are asked for; ``metadata`` is the first one's."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self.metadata = Metadata()
        self._layouts: dict[str, Layout] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[Any]:
        with libraries_silenced():
            photograph = read_photograph(self.paths[index])
        self._layouts[self.paths[index]] = photograph.layout
        check_layouts(self._layouts)
        if index == 0:
            self.metadata = photograph.metadata
        return photograph.pixels


def run_stack(arguments: argparse.Namespace) -> int:
    """Read one after the other, fuse, write: all of the files asked for, or none."""
    start = perf_counter()
    maps = [(arguments.depth, np.uint16), (arguments.depth_preview, np.uint8)]
    wanted = [(path, kind) for path, kind in maps if path is not None]
    refuse_overwriting(arguments.images, [arguments.output, *(path for path, _ in wanted)])
    files = Files(arguments.images)
    check_writable(arguments.output, files[0])
    for path, kind in wanted:
        check_writable(path, np.empty((1, 1), kind))
    with Progress() as progress:  # the fuser is not kept: the memory it holds is needed for writing
        result = open_fuser(arguments).fuse_stack(files, names=files.paths, progress=progress)
    pictures = {arguments.output: result.image}
    if arguments.depth is not None:
        pictures[arguments.depth] = result.frame
    if arguments.depth_preview is not None:
        pictures[arguments.depth_preview] = frame_colours(result.frame, len(files))
    with libraries_silenced():
        write_images(pictures, chosen_encoding(arguments), {arguments.output: files.metadata})
    height, width = result.frame.shape
    print(f"{arguments.output}: {width}x{height} from {len(files)} photographs, {perf_counter() - start:.1f} s")
    return 0
