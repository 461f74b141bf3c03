"""Read EXIF and colour profile from image files, and insert them into the files that OpenCV encodes.

JPEG   APP1 and APP2 segments  ``_read_jpeg``  ``_insert_into_jpeg``: after JFIF's segment
PNG    eXIf and iCCP chunks    ``_read_png``   ``_insert_into_png``: after the IHDR chunk
TIFF   tags of the first page  ``_read_tiff``  ``_insert_into_tiff``: all tags anew, at the end
WebP   EXIF and ICCP chunks    ``_read_webp``  (not inserted)

Which tags a result keeps, and the bytes of an EXIF block, are made in ``exif.py``. OpenCV reads and writes pixels alone
in the versions that this package serves. Nothing here raises for damaged metadata: what makes no sense is left out.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from fusiongcn_edge.runtime.io import containers
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

EXIF_HEADER, PROFILE_HEADER = b"Exif\0\0", b"ICC_PROFILE\0"
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
    """Read the metadata of a JPEG, PNG, TIFF or WebP file, given whole; of other files, none."""
    if data.startswith(containers.JPEG):
        return _read_jpeg(data)
    if data.startswith(containers.PNG):
        return _read_png(data)
    if data.startswith(containers.TIFF):
        return _read_tiff(data)
    if data.startswith(containers.RIFF):
        return _read_webp(data)
    return Metadata()


def insert_metadata(data: bytes, source: Metadata, shape: tuple[int, ...]) -> bytes:
    """Insert metadata into an encoded file: EXIF and ICC profile of the photograph that it was made from.

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
    if data.startswith(containers.JPEG):
        return _insert_into_jpeg(data, exif, profile)
    if data.startswith(containers.PNG):
        return _insert_into_png(data, exif, profile)
    if data.startswith(containers.TIFF):
        return _insert_into_tiff(data, exif, profile)
    return data


def _fits(profile: bytes, gray: bool) -> bool:
    whole = len(profile) > 128 and int.from_bytes(profile[:4], "big") == len(profile) and profile[36:40] == b"acsp"
    return whole and profile[16:20] == (b"GRAY" if gray else b"RGB ")


def _read_jpeg(data: bytes) -> Metadata:
    exif, parts = None, dict[bytes, bytes]()  # of the profile, by number and count
    for marker, place in containers.jpeg_segments(data):
        content = data[place]
        if marker == containers.JPEG_APP1 and content.startswith(EXIF_HEADER) and exif is None:
            exif = read_exif(content[len(EXIF_HEADER) :])
        elif marker == containers.JPEG_APP2 and content.startswith(PROFILE_HEADER):
            content = content.removeprefix(PROFILE_HEADER)
            parts |= {content[:2]: content[2:]} if content[2:] else {}
    complete = len(parts) < 256 and sorted(parts) == [bytes([n, len(parts)]) for n in range(1, len(parts) + 1)]
    return Metadata(exif, b"".join(parts[key] for key in sorted(parts)) if parts and complete else None)


def _insert_into_jpeg(data: bytes, exif: Exif, profile: bytes | None) -> bytes:
    """EXIF in an APP1 segment, the profile in as many APP2 segments as it takes; JFIF's own APP0 stays the first."""
    exif_segment = EXIF_HEADER + exif_block(exif, containers.JPEG_SEGMENT_SIZE - len(EXIF_HEADER))
    added = containers.jpeg_segment(containers.JPEG_APP1, exif_segment)
    step = containers.JPEG_SEGMENT_SIZE - len(PROFILE_HEADER) - 2
    pieces = [profile[i : i + step] for i in range(0, len(profile), step)] if profile else []
    for number, piece in enumerate(pieces if len(pieces) < 256 else [], start=1):
        head = PROFILE_HEADER + bytes([number, len(pieces)])
        added += containers.jpeg_segment(containers.JPEG_APP2, head + piece)
    marker, first = next(containers.jpeg_segments(data))
    at = first.stop if marker == containers.JPEG_APP0 else len(containers.JPEG)
    return data[:at] + added + data[at:]


def _read_png(data: bytes) -> Metadata:
    exif = profile = None
    for kind, place in containers.png_chunks(data):
        if kind == b"eXIf" and exif is None:
            exif = read_exif(data[place])
        elif kind == b"iCCP" and profile is None:
            packed = data[place].partition(b"\0")[2][1:]  # after the profile's name and the number of the method
            try:
                profile = zlib.decompressobj().decompress(packed, LARGEST_PROFILE) or None
            except zlib.error:
                profile = None
    return Metadata(exif, profile)


def _insert_into_png(data: bytes, exif: Exif, profile: bytes | None) -> bytes:
    """The profile in an iCCP chunk, EXIF in an eXIf chunk, both between the IHDR chunk and the pixels."""
    added = containers.png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)) if profile else b""
    added += containers.png_chunk(b"eXIf", exif_block(exif))
    _, header = next(containers.png_chunks(data))
    at = header.stop + 4  # its checksum
    return data[:at] + added + data[at:]


def _read_tiff(data: bytes) -> Metadata:
    exif = read_exif(data)
    profile = exif.tags.get(PROFILE) if exif else None
    return Metadata(exif and exif.descriptive(), profile.data if isinstance(profile, Field) else None)


def _insert_into_tiff(data: bytes, exif: Exif, profile: bytes | None) -> bytes:
    """All tags are written anew at the end; those about the pixels stay what they are."""
    stored = read_exif(data)
    if stored is None:
        return data
    tags = stored.tags | exif.in_order(stored.order).tags
    tags |= {PROFILE: Field(UNDEFINED, profile)} if profile else {}
    start = len(data) + len(data) % 2
    head = containers.tiff_header(stored.order, start)
    return (head + data[len(head) :]).ljust(start, b"\0") + write_directory(tags, stored.order, start)


def _read_webp(data: bytes) -> Metadata:
    places = dict[bytes, slice]()
    for kind, place in containers.riff_chunks(data):
        places.setdefault(kind, place)
    exif = read_exif(data[places.get(b"EXIF", slice(0))].removeprefix(EXIF_HEADER))  # some programs write that
    return Metadata(exif, data[places[b"ICCP"]] if b"ICCP" in places else None)
