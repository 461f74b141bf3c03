"""What a photograph's file says of its picture, looked at before a decoder believes it.

A decoder makes room for what a file says. OpenCV's takes 4 GB for a PNG of 500 bytes if a chunk in there claims to be
that long, and 6 GB and a minute for a JPEG that claims to be 32,000 pixels high and wide.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from fusiongcn_edge.runtime.errors import ImageError, ImageTooLargeError
from fusiongcn_edge.runtime.io.exif import MOST_TAGS
from fusiongcn_edge.runtime.io.metadata import JPEG, PNG, RIFF, TIFF
from fusiongcn_edge.runtime.system.resources import free_memory

MOST_PIXELS = 1 << 30  # that OpenCV reads
MOST_SCANNED = 1 << 33  # pixels of a JPEG, times its scans; a progressive one has about ten, each over all pixels
SIZES = {0xC0, 0xC1, 0xC2}  # the segments of a JPEG that tell its size; of the others, no camera writes any
OTHER_SIZES = {*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC}
WIDTH, HEIGHT, CHANNELS, COLOURS, PLANES, FOURTH = 256, 257, 277, 262, 284, 338  # tags of a TIFF file
WHITE_IS_ZERO, SEPARATE, UNASSOCIATED = 0, 2, 2  # values of the last three
TIFFS = *TIFF, b"II+\0", b"MM\0+"  # and those for more than 4 GB
INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # by TIFF's number of the type


class Header(NamedTuple):
    """Size of a picture in pixels, and the bytes that each takes in memory, at most; and what OpenCV would get wrong in
    it if it had 16 bits per channel, if there is something."""

    width: int
    height: int
    pixel_bytes: int
    wrong_with_16_bits: str = ""

    @property
    def bytes(self) -> int:
        """Of the whole picture."""
        return self.width * self.height * self.pixel_bytes


def read_header(data: bytes) -> Header | None:
    """What a JPEG, PNG, TIFF, BMP or WebP file, given whole, says of its picture; of TIFF's several, of the first.

    None if it is of none of these formats, says nothing, or is damaged in its structure: a decoder must not get it.
    """
    for start, read in READERS.items():
        if data.startswith(start):
            try:
                found = read(data)
            except struct.error:  # it ends too early
                return None
            return found if found is not None and min(found.width, found.height) > 0 else None
    return None


def check_memory(name: str, picture: Header) -> None:
    """Refuse a picture that cannot be decoded in the memory that is free; ``name``: of its file.

    Raises
    ------
    ImageError
        If it has more than ``MOST_PIXELS``, or decoding and turning it takes more than what is free.
    """
    width, height = picture.width, picture.height
    if width * height > MOST_PIXELS:
        raise ImageError(
            f"{name} says that it has {width}x{height} pixels, and {MOST_PIXELS:,} can be read",
            fix="use a smaller one",
        )
    needed, free = 2 * picture.bytes, free_memory()
    if needed > free:
        raise ImageTooLargeError(
            f"{name} says that it has {width}x{height} pixels, which take {needed / 1e6:,.0f} MB to read, and "
            f"{free / 1e6:,.0f} MB are free",
            fix="use a smaller one or close other programs",
        )


def _jpeg(data: bytes) -> Header | None:
    """Of several sizes, the largest. Each 8 x 8 block takes a bit of the file at least."""
    found, at = None, len(JPEG)
    while at + 4 <= len(data):
        at = data.find(b"\xff", at)  # a decoder looks for the next marker, wherever it is
        if at < 0 or at + 4 > len(data):
            break
        marker = data[at + 1]
        if marker in (0xFF, 0x00, 0x01, *range(0xD0, 0xD9)):  # without a length
            at += 1 if marker == 0xFF else 2
            continue
        if marker in (0xDA, 0xD9) or marker in OTHER_SIZES:
            break
        if marker in SIZES:
            height, width, components = struct.unpack_from(">HHB", data, at + 5)
            samplings = [data[place] for place in range(at + 11, at + 10 + 3 * components, 3) if place < len(data)]
            across, down = max((s >> 4 for s in samplings), default=1), max((s & 15 for s in samplings), default=1)
            blocks = width * height / 64 * sum((s >> 4) * (s & 15) for s in samplings) / max(1, across * down)
            if blocks > 8 * len(data) or data.count(b"\xff\xda") * width * height > MOST_SCANNED:
                return None
            found = max(found or Header(0, 0, 3), Header(width, height, 3), key=lambda own: own.bytes)
        at += 2 + max(2, struct.unpack_from(">H", data, at + 2)[0])
    return found


def _png(data: bytes) -> Header | None:
    width, height, depth = struct.unpack_from(">IIB", data, len(PNG) + 8)
    at = len(PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if (at == len(PNG)) != (kind == b"IHDR") or at + 12 + length > len(data):
            return None
        if kind == b"IEND":
            break
        at += 12 + length
    return Header(width, height, 8 if depth == 16 else 4)


def _tiff(data: bytes) -> Header | None:
    """Of tags that are there several times, the largest."""
    found = dict[int, int]()
    for tag, value, _ in _tiff_numbers(data):
        found[tag] = max(found.get(tag, 0), value)
    wrong = ""
    if found.get(PLANES) == SEPARATE and found.get(CHANNELS, 1) > 1:
        wrong = "its colours lie one after the other, not side by side"
    elif found.get(COLOURS) == WHITE_IS_ZERO:
        wrong = "white is 0 in it"
    return Header(found.get(WIDTH, 0), found.get(HEIGHT, 0), 8, wrong)


def _tiff_numbers(data: bytes) -> Iterator[tuple[int, int, slice]]:
    """Of the first picture, each tag that is one whole number: tag, value, and where the value's bytes are."""
    order = "<" if data.startswith(b"II") else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    count, entry, value = ("Q", "HHQ", 12) if big else ("H", "HHI", 8)
    start = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    tags = struct.unpack_from(order + count, data, start)[0] if start + 8 <= len(data) else 0
    at = start + struct.calcsize(order + count)
    for _ in range(min(tags, MOST_TAGS)):
        tag, kind, number = struct.unpack_from(order + entry, data, at)
        if kind in INTEGERS and number == 1:
            form = order + INTEGERS[kind]
            place = slice(at + value, at + value + struct.calcsize(form))
            yield tag, struct.unpack_from(form, data, at + value)[0], place
        at += 20 if big else 12


def strip_alpha_association(data: bytes) -> bytes:
    """A file that :func:`read_header` accepts; a TIFF no longer says that its fourth channel is ordinary alpha, for
    OpenCV would multiply 8-bit colours with it."""
    for tag, value, place in _tiff_numbers(data) if data.startswith(TIFFS) else ():
        if (tag, value) == (FOURTH, UNASSOCIATED):
            data = data[: place.start] + bytes(place.stop - place.start) + data[place.stop :]
    return data


def _bmp(data: bytes) -> Header | None:
    old = struct.unpack_from("<I", data, 14)[0] == 12  # OS/2's header
    width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    return Header(width, abs(height), 4)


def _webp(data: bytes) -> Header | None:
    kind, place = data[12:16], data[20:30]
    if data[8:12] != b"WEBP" or len(place) < 10:
        return None
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(place[at : at + 3], "little") for at in (4, 7))
    elif kind == b"VP8L":
        bits = int.from_bytes(place[1:5], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", place, 6))
    else:
        return None
    return Header(width, height, 4)


READERS: dict[bytes, Callable[[bytes], Header | None]] = {
    JPEG: _jpeg, PNG: _png, b"BM": _bmp, RIFF: _webp,
    **dict.fromkeys(TIFFS, _tiff),
}  # fmt: skip
