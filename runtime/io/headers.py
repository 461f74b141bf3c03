"""Read the size of a picture from its file's header, and refuse implausible files before they are decoded.

A decoder allocates what a file states. OpenCV's takes 4 GB for a PNG of 500 bytes if a chunk in there claims to be that
long, and 6 GB and a minute for a JPEG that claims to be 32,000 pixels high and wide.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from fusiongcn_edge.runtime.errors import DamagedImageError, ImageError, ImageTooLargeError
from fusiongcn_edge.runtime.io import containers
from fusiongcn_edge.runtime.system.resources import free_memory

MOST_PIXELS = 1 << 30  # that OpenCV reads
MOST_SCANNED = 1 << 33  # pixels of a JPEG, times its scans; a progressive one has about ten, each over all pixels
JPEG_SIZES = {0xC0, 0xC1, 0xC2}  # markers of the segments that state it; of the others, no camera writes any
JPEG_OTHER_SIZES = {*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC}
TIFF_WIDTH, TIFF_HEIGHT = 256, 257  # tags


class Header(NamedTuple):
    """Size of a picture in pixels, and the bytes that each takes in memory, at most."""

    width: int
    height: int
    pixel_bytes: int

    @property
    def bytes(self) -> int:
        """Bytes that the whole picture takes."""
        return self.width * self.height * self.pixel_bytes


def read_header(data: bytes) -> Header | None:
    """Read the size of the picture in a JPEG, PNG, TIFF, BMP or WebP file, given whole; in a TIFF, of the first one.

    None if it is of none of these formats, states no size, or is damaged in its structure: a decoder must not get it.
    """
    for start, read in READERS.items():
        if data.startswith(start):
            try:
                found = read(data)
            except struct.error:  # it ends too early
                return None
            return found if found is not None and min(found.width, found.height) > 0 else None
    return None


def check_memory(name: str, header: Header) -> None:
    """Refuse a picture that cannot be decoded in the memory that is free; ``name``: of its file.

    Raises
    ------
    ImageError
        If it has more than ``MOST_PIXELS``.
    ImageTooLargeError
        If decoding and turning it takes more memory than is free.
    """
    size = f"{header.width}x{header.height} pixels"
    if header.width * header.height > MOST_PIXELS:
        raise ImageError(
            f"{name} has too many pixels", found=size, allowed=f"at most {MOST_PIXELS:,}", fix="use a smaller one"
        )
    needed, free = 2 * header.bytes, free_memory()
    if needed > free:
        raise ImageTooLargeError(
            f"{name} does not fit into memory",
            found=f"{size}, which take {needed / 1e6:,.0f} MB to read",
            allowed=f"at most {free / 1e6:,.0f} MB, which are free",
            fix="use a smaller one or close other programs",
        )


def damaged(name: str) -> DamagedImageError:
    """Make the error for a file that :func:`read_header` or a decoder does not accept."""
    return DamagedImageError(
        f"{name} is no image that can be read, or is damaged",
        fix="give a JPEG, PNG, TIFF, BMP, WebP, HEIC or RAW file",
    )


def _jpeg(data: bytes) -> Header | None:
    """Of several sizes, the largest."""
    found = None
    for marker, place in containers.jpeg_segments(data):
        if marker in JPEG_OTHER_SIZES:
            break
        if marker in JPEG_SIZES:
            height, width, components = struct.unpack_from(">xHHB", data[place])
            samplings = data[place][7 : 6 + 3 * components : 3]
            if len(samplings) < components or not _plausible_jpeg(data, width, height, samplings):
                return None
            found = max(found or Header(0, 0, 3), Header(width, height, 3), key=lambda own: own.bytes)
    return found


def _plausible_jpeg(data: bytes, width: int, height: int, samplings: bytes) -> bool:
    """Whether the file is long enough to have a bit for each 8 x 8 block of each component, and its scans are few."""
    across, down = max((s >> 4 for s in samplings), default=1), max((s & 15 for s in samplings), default=1)
    sampled = sum((s >> 4) * (s & 15) for s in samplings) / max(1, across * down)  # samples per pixel
    scans = data.count(b"\xff\xda")
    return width * height / 64 * sampled <= 8 * len(data) and scans * width * height <= MOST_SCANNED


def _png(data: bytes) -> Header | None:
    """Every chunk must end within the file."""
    first = None
    for kind, place in containers.png_chunks(data):
        if (first is None) != (kind == b"IHDR") or place.stop + 4 > len(data):
            return None
        first = first or place
        if kind == b"IEND":
            break
    width, height, depth = struct.unpack_from(">IIB", data[first] if first else b"")
    return Header(width, height, 8 if depth == 16 else 4)


def _tiff(data: bytes) -> Header | None:
    """Of tags that occur several times, the largest."""
    numbers = [(tag, value) for tag, value, _ in containers.tiff_integers(data)]
    width, height = (max((n for t, n in numbers if t == tag), default=0) for tag in (TIFF_WIDTH, TIFF_HEIGHT))
    return Header(width, height, 8)


def _bmp(data: bytes) -> Header | None:
    old = struct.unpack_from("<I", data, 14)[0] == 12  # OS/2's header
    width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    return Header(width, abs(height), 4)


def _webp(data: bytes) -> Header | None:
    kind, place = next(containers.riff_chunks(data), (b"", slice(0)))
    content = data[place]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(side, "little") for side in struct.unpack_from("<4x3s3s", content))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<xI", content)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<6xHH", content))
    else:
        return None
    return Header(width, height, 4)


READERS: dict[bytes, Callable[[bytes], Header | None]] = {
    containers.JPEG: _jpeg,
    containers.PNG: _png,
    b"BM": _bmp,
    containers.RIFF: _webp,
    **dict.fromkeys(containers.TIFF + containers.BIG_TIFF, _tiff),
}
