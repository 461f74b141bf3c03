"""Decode HEIC and camera RAW, which OpenCV does not read, with libraries that are installed with an extra."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import ImageError
from fusiongcn_edge.runtime.io.exif import ORIENTATION, Exif, read_exif
from fusiongcn_edge.runtime.io.headers import Header, check_memory, damaged
from fusiongcn_edge.runtime.io.metadata import EXIF_HEADER, Metadata, read_metadata
from fusiongcn_edge.runtime.text import install_hint

HEIC = (".heic", ".heif", ".hif")
RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw")

RAW_PIXEL_BYTES = 16  # four samples of 16 bits that are developed, and the result

Decoder = Callable[[bytes, str], tuple[NDArray[Any], Metadata]]


def decoder(suffix: str) -> Decoder | None:
    """Return the function that decodes files whose name ends with ``suffix`` (lower case); None if OpenCV does.

    It takes their bytes, and their name for messages, and returns upright pixels, as
    :class:`fusiongcn_edge.runtime.io.images.Photograph` has them, and metadata. It raises DamagedImageError.

    Raises
    ------
    ImageError
        If the library for this format is not installed.
    """
    if suffix not in HEIC + RAW:
        return None
    kind, library, extra, read = ("HEIC", "pillow-heif", "heic", _read_heic)
    if suffix in RAW:
        kind, library, extra, read = ("Camera RAW", "rawpy", "raw", _read_raw)
    try:
        __import__(library.replace("-", "_"))
    except ImportError:
        raise ImageError(
            f"{kind} ({suffix}) needs {library}, which is not installed", fix=f"{install_hint(extra)}"
        ) from None
    return read


def _read_heic(data: bytes, name: str) -> tuple[NDArray[Any], Metadata]:
    """8 bits, or 10 and 12 as 16; turned by the decoder, whatever EXIF says of the orientation."""
    import pillow_heif

    try:
        photograph = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, bgr_mode=True)
        if not len(photograph):
            raise damaged(name)
        width, height = photograph.size
        check_memory(name, Header(width, height, 8))
        pixels = np.array(photograph)
    except (ValueError, RuntimeError, EOFError, SyntaxError):
        raise damaged(name) from None
    exif = read_exif((photograph.info.get("exif") or b"").removeprefix(EXIF_HEADER))
    if exif is not None:
        exif = Exif(exif.order, {tag: value for tag, value in exif.tags.items() if tag != ORIENTATION})
    return pixels, Metadata(exif, photograph.info.get("icc_profile"))


def _read_raw(data: bytes, name: str) -> tuple[NDArray[Any], Metadata]:
    """Developed to sRGB, 16 bits, with the camera's white balance; nothing depends on what is seen, so that the frames
    of a stack stay alike."""
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            check_memory(name, Header(raw.sizes.raw_width, raw.sizes.raw_height, RAW_PIXEL_BYTES))
            pixels = raw.postprocess(use_camera_wb=True, no_auto_bright=True, adjust_maximum_thr=0.0, output_bps=16)
    except rawpy.LibRawError:
        raise damaged(name) from None
    pixels = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, ::-1]  # one channel: of a camera without colours
    return np.ascontiguousarray(pixels), Metadata(read_metadata(data).exif)
