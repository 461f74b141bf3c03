"""What a photograph's file tells beside its pixels: EXIF and colour profile, out of JPEG, PNG, TIFF and WebP files, and
into those of the first three.

OpenCV reads and writes pixels alone in the versions that this package serves. Nothing here raises for damaged metadata:
what makes no sense is left out.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from fusiongcn_edge.runtime.io.exif import (
    PROFILE,
    UNDEFINED,
    Exif,
    Field,
    exif_block,
    exif_of_result,
    read_exif,
    write_directory,
)

JPEG, PNG, RIFF = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF"
TIFF = b"II*\0", b"MM\0*"
EXIF_HEADER, PROFILE_HEADER = b"Exif\0\0", b"ICC_PROFILE\0"
SEGMENT = 0xFFFF - 2  # bytes that a segment of a JPEG holds
LARGEST_PROFILE = 1 << 24  # bytes, unpacked


@dataclass(frozen=True)
class Metadata:
    """EXIF tags and ICC colour profile of a photograph, as they stand in its file."""

    exif: Exif | None = None
    profile: bytes | None = None

    @property
    def orientation(self) -> int | None:
        """How a viewer turns the stored picture, 1 (not at all) to 8; None if it is not said."""
        return None if self.exif is None else self.exif.orientation


def read_metadata(data: bytes) -> Metadata:
    """The metadata of a JPEG, PNG, TIFF or WebP file, given whole; of other files, none."""
    if data.startswith(JPEG):
        return _from_jpeg(data)
    if data.startswith(PNG):
        return _from_png(data)
    if data.startswith(TIFF):
        exif = read_exif(data)
        profile = exif.tags.get(PROFILE) if exif else None
        return Metadata(exif and exif.descriptive(), profile.data if isinstance(profile, Field) else None)
    if data.startswith(RIFF) and data[8:12] == b"WEBP":
        return _from_webp(data)
    return Metadata()


def with_metadata(data: bytes, source: Metadata, shape: tuple[int, ...]) -> bytes:
    """A file just encoded by OpenCV, with the metadata of the photograph that it was made from.

    Parameters
    ----------
    data : bytes
        A JPEG, PNG or TIFF file; others are returned as they are.
    source : Metadata
        Its orientation is not taken over, because pixels are always upright here, and its software becomes this one.
        A colour profile that is not for gray or colour, as the picture is, is left out.
    shape : tuple of int
        Of the picture: height, width and, in colour, channels.
    """
    exif = exif_of_result(source.exif, *shape[:2])
    profile = source.profile if source.profile is not None and _fits(source.profile, len(shape) == 2) else None
    if data.startswith(JPEG):
        return _into_jpeg(data, exif, profile)
    if data.startswith(PNG):
        return _into_png(data, exif, profile)
    if data.startswith(TIFF):
        return _into_tiff(data, exif, profile)
    return data


def _fits(profile: bytes, gray: bool) -> bool:
    whole = len(profile) > 128 and int.from_bytes(profile[:4], "big") == len(profile) and profile[36:40] == b"acsp"
    return whole and profile[16:20] == (b"GRAY" if gray else b"RGB ")


def _from_jpeg(data: bytes) -> Metadata:
    exif, parts = None, {}
    for marker, content in _jpeg_segments(data):
        if marker == 0xE1 and content.startswith(EXIF_HEADER) and exif is None:
            exif = read_exif(content[len(EXIF_HEADER) :])
        elif marker == 0xE2 and content.startswith(PROFILE_HEADER) and len(content) > len(PROFILE_HEADER) + 2:
            number, count = content[len(PROFILE_HEADER) : len(PROFILE_HEADER) + 2]
            parts[number, count] = content[len(PROFILE_HEADER) + 2 :]
    complete = sorted(parts) == [(n, len(parts)) for n in range(1, len(parts) + 1)]
    return Metadata(exif, b"".join(parts[key] for key in sorted(parts)) if parts and complete else None)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment before the pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:  # a marker may be preceded by any number of these
            at += 1
            continue
        length = struct.unpack_from(">H", data, at + 2)[0]
        yield data[at + 1], data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def _into_jpeg(data: bytes, exif: Exif, profile: bytes | None) -> bytes:
    def segment(marker: int, content: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content

    added = segment(0xE1, EXIF_HEADER + exif_block(exif, SEGMENT - len(EXIF_HEADER)))
    step = SEGMENT - len(PROFILE_HEADER) - 2
    pieces = [profile[i : i + step] for i in range(0, len(profile), step)] if profile else []
    if len(pieces) < 256:
        for number, piece in enumerate(pieces, start=1):
            added += segment(0xE2, PROFILE_HEADER + bytes([number, len(pieces)]) + piece)
    at = 4 + struct.unpack_from(">H", data, 4)[0] if data[3] == 0xE0 else 2  # JFIF's own segment comes first
    return data[:at] + added + data[at:]


def _from_png(data: bytes) -> Metadata:
    exif = profile = None
    for kind, content in _png_chunks(data):
        if kind == b"eXIf" and exif is None:
            exif = read_exif(content)
        elif kind == b"iCCP" and profile is None:
            packed = content.partition(b"\0")[2][1:]  # after the profile's name and the number of the method
            try:
                profile = zlib.decompressobj().decompress(packed, LARGEST_PROFILE) or None
            except zlib.error:
                profile = None
    return Metadata(exif, profile)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"eXIf", b"iCCP"):
            yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _from_webp(data: bytes) -> Metadata:
    chunks, at = dict[bytes, bytes](), 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        chunks.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    exif = read_exif(chunks.get(b"EXIF", b"").removeprefix(EXIF_HEADER))  # some programs write that
    return Metadata(exif, chunks.get(b"ICCP"))


def _into_png(data: bytes, exif: Exif, profile: bytes | None) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    added = chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)) if profile else b""
    added += chunk(b"eXIf", exif_block(exif))
    at = len(PNG) + 25  # the header, always the first chunk
    return data[:at] + added + data[at:]


def _into_tiff(data: bytes, exif: Exif, profile: bytes | None) -> bytes:
    """All tags are written anew at the end; those about the pixels stay what they are."""
    stored = read_exif(data)
    if stored is None:
        return data
    tags = stored.tags | exif.in_order(stored.order).tags
    tags |= {PROFILE: Field(UNDEFINED, profile)} if profile else {}
    start = len(data) + len(data) % 2
    head = data[:4] + struct.pack(stored.order + "I", start)
    return (head + data[8:]).ljust(start, b"\0") + write_directory(tags, stored.order, start)
