"""Walk through image files: JPEG segments, PNG chunks, RIFF chunks (WebP) and TIFF directories; build pieces of them.

There is one walker per format. It yields what each piece is and the place of its content, a slice of the file. In a
damaged file the slice may reach beyond the end; ``data[place]`` is what is there. No walker raises for damage: it stops
where no further piece can be read, and its caller decides whether to refuse the file (``headers.py``) or to do without
what is missing (``metadata.py``).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

JPEG, PNG, RIFF = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF"  # that files begin with
TIFF, BIG_TIFF = (b"II*\0", b"MM\0*"), (b"II+\0", b"MM\0+")  # the latter for more than 4 GB

JPEG_APP0, JPEG_APP1, JPEG_APP2, JPEG_SCAN, JPEG_END = 0xE0, 0xE1, 0xE2, 0xDA, 0xD9
JPEG_SEGMENT_SIZE = 0xFFFF - 2  # bytes of content, at most
# the other markers have no length, and 0xff may stand before a marker any number of times
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])(..)", re.DOTALL)

MOST_TIFF_ENTRIES = 1000  # of a directory; photographs have some dozens
# bytes per value, by TIFF's number of the type; a rational (5, 10) is two numbers
TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q", 17: "q"}


def jpeg_segments(data: bytes) -> Iterator[tuple[int, slice]]:
    """Yield marker and place of each segment up to the first scan's, which comes last.

    Looks for the next marker wherever it is, as decoders do.
    """
    at = len(JPEG)
    while found := _JPEG_MARKER.search(data, at):
        marker = found[1][0]
        at = found.start() + 2 + max(2, int.from_bytes(found[2], "big"))
        yield marker, slice(found.end(), at)
        if marker in (JPEG_SCAN, JPEG_END):
            return


def jpeg_segment(marker: int, content: bytes) -> bytes:
    """Build a segment of at most ``JPEG_SEGMENT_SIZE`` bytes."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def png_chunks(data: bytes) -> Iterator[tuple[bytes, slice]]:
    """Yield kind and place of each chunk; a checksum of four bytes follows the place."""
    at = len(PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, slice(at + 8, at + 8 + length)
        at += 12 + length


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Build a chunk with its checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, slice]]:
    """Yield kind and place of each chunk of a WebP file; none of another kind of RIFF."""
    at = 12
    while data[8:12] == b"WEBP" and at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, slice(at + 8, at + 8 + length)
        at += 8 + length + length % 2


def tiff_order(data: bytes) -> str | None:
    """Return the byte order of a TIFF file or EXIF block as ``struct`` has it, ``"<"`` or ``">"``; None of others."""
    return {b"II": "<", b"MM": ">"}.get(data[:2])


def tiff_header(order: str, offset: int) -> bytes:
    """Build the eight bytes that a TIFF file or EXIF block with its first directory at ``offset`` begins with."""
    return {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, offset)


def tiff_entries(data: bytes, offset: int | None = None) -> Iterator[tuple[int, int, slice]]:
    """Yield tag, type and place of the value of each entry of a directory, by default the first, of a TIFF or BigTIFF
    file or an EXIF block. The place is empty where the type is none that TIFF knows.
    """
    order, big = tiff_order(data), data.startswith(BIG_TIFF)
    if order is None or len(data) < 16:
        return
    number, entry, long, inline = ("Q", "HHQ", "Q", 8) if big else ("H", "HHI", "I", 4)
    offset = struct.unpack_from(order + long, data, 8 if big else 4)[0] if offset is None else offset
    start, step = offset + struct.calcsize(order + number), struct.calcsize(order + entry) + inline
    entries = struct.unpack_from(order + number, data, offset)[0] if start <= len(data) else 0
    for at in range(start, min(start + step * min(entries, MOST_TIFF_ENTRIES), len(data) - step + 1), step):
        tag, kind, count = struct.unpack_from(order + entry, data, at)
        size, value = TIFF_SIZES.get(kind, 0) * count, at + step - inline
        if size > inline:
            (value,) = struct.unpack_from(order + long, data, value)
        yield tag, kind, slice(value, value + size)


def tiff_integers(data: bytes) -> Iterator[tuple[int, int, slice]]:
    """Yield tag, value and place of each entry of a TIFF or BigTIFF file's first directory that is one whole number."""
    for tag, kind, place in tiff_entries(data):
        if kind in _TIFF_INTEGERS and place.stop - place.start == TIFF_SIZES[kind] and place.stop <= len(data):
            yield tag, struct.unpack(f"{tiff_order(data)}{_TIFF_INTEGERS[kind]}", data[place])[0], place
