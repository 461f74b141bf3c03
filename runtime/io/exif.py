"""Read EXIF tags, which are stored as a TIFF file's, choose those that a result keeps, and write them anew.

Nothing here raises for damaged tags: what makes no sense is left out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from fusiongcn_edge import __version__
from fusiongcn_edge.runtime.io import containers

SOFTWARE = f"fusiongcn-edge {__version__}"

# bytes per number, by TIFF's number of the type: a rational is two; EXIF does not know BigTIFF's types
NUMBERS = {kind: size for kind, size in containers.TIFF_SIZES.items() if kind <= 13} | {5: 4, 10: 4}
ASCII, SHORT, LONG, UNDEFINED = 2, 3, 4, 7

ORIENTATION, SOFTWARE_TAG, PROFILE = 0x0112, 0x0131, 0x8773
PHOTO, GPS, INTEROPERABILITY, MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C
WIDTH, HEIGHT = 0xA002, 0xA003
DIRECTORIES = {PHOTO, GPS, INTEROPERABILITY}  # tags whose value is another list of tags
# what the first list says about the photograph; its other tags are about how a file stores it, and about a thumbnail
DESCRIPTIVE = {
    *(0x010E, 0x010F, 0x0110, ORIENTATION),  # description, make, model
    *(0x011A, 0x011B, 0x0128),  # resolution and its unit
    *(SOFTWARE_TAG, 0x0132, 0x013B, 0x013C),  # date, artist, computer
    *(0x4746, 0x4749, 0x8298, PHOTO, GPS),  # rating, copyright
    *range(0x9C9B, 0x9CA0),  # title, comment, author, keywords and subject as Windows writes them
}


@dataclass(frozen=True)
class Field:
    """The value of a tag: TIFF's number of its type, its bytes in the file's order, and where they stood."""

    kind: int
    data: bytes
    at: int = 0


Directory = dict[int, "Field | Directory"]


@dataclass(frozen=True)
class Exif:
    """Tags in a byte order (``"<"`` or ``">"``)."""

    order: str
    tags: Directory

    @property
    def orientation(self) -> int | None:
        """How a viewer turns the stored picture, 1 (not at all) to 8; None if it is not said."""
        field = self.tags.get(ORIENTATION)
        if not isinstance(field, Field) or field.kind != SHORT:
            return None
        value = int(struct.unpack_from(self.order + "H", field.data)[0])
        return value if 1 <= value <= 8 else None

    def descriptive(self) -> Exif:
        """Without the tags about how a file stores the picture."""
        return Exif(self.order, {tag: value for tag, value in self.tags.items() if tag in DESCRIPTIVE})

    def in_order(self, order: str) -> Exif:
        """The same in a byte order."""
        return self if order == self.order else Exif(order, _swapped(self.tags))


def read_exif(data: bytes) -> Exif | None:
    """Read the tags of an EXIF block or of a TIFF file's first picture; None where there are none."""
    order = containers.tiff_order(data)
    tags = _read_directory(data, order, None, {PHOTO, GPS}) if order else None
    return Exif(order, tags) if order and tags else None


def _read_directory(data: bytes, order: str, offset: int | None, below: set[int]) -> Directory:
    found: Directory = {}
    allowed = len(data)  # bytes; values that overlap to more than that are damage
    for tag, kind, place in containers.tiff_entries(data, offset):
        size = place.stop - place.start
        if kind not in NUMBERS or size == 0 or place.stop > len(data) or size > allowed:
            continue
        allowed -= size
        field = Field(kind, data[place], place.start)
        if tag not in DIRECTORIES:
            found[tag] = field
        elif tag in below and size == 4:
            inner = _read_directory(data, order, struct.unpack(order + "I", field.data)[0], {INTEROPERABILITY})
            found |= {tag: inner} if inner else {}
    return found


def exif_of_result(source: Exif | None, height: int, width: int) -> Exif:
    """Make the tags of an upright result, of this size, from those of the photograph that it was made from."""
    order = "<" if source is None else source.order
    tags: Directory = {} if source is None else dict(source.descriptive().tags)
    tags[ORIENTATION] = Field(SHORT, struct.pack(order + "H", 1))
    tags[SOFTWARE_TAG] = Field(ASCII, SOFTWARE.encode() + b"\0")
    photo = tags.get(PHOTO)
    if isinstance(photo, dict):
        sizes = {WIDTH: width, HEIGHT: height}
        tags[PHOTO] = photo | {t: Field(LONG, struct.pack(order + "I", n)) for t, n in sizes.items() if t in photo}
    return Exif(order, tags)


def exif_block(exif: Exif, limit: int | None = None) -> bytes:
    """Write tags as a block of their own, as JPEG and PNG hold them.

    The maker's note keeps its place, because what it holds often points into the block. If there are more bytes than
    ``limit``, the largest values are left out.
    """
    block = _block(exif)
    while limit is not None and len(block) > limit:
        exif = Exif(exif.order, _without_largest(exif.tags))
        block = _block(exif)
    return block


def _block(exif: Exif) -> bytes:
    photo = exif.tags.get(PHOTO)
    note = photo.get(MAKER_NOTE) if isinstance(photo, dict) else None
    stays = isinstance(note, Field) and len(note.data) > 4 and 8 <= note.at <= 0x8000 - len(note.data)
    head = b""
    if isinstance(note, Field) and stays:
        head = (bytes(note.at - 8) + note.data).ljust((note.at - 8 + len(note.data) + 1) // 2 * 2, b"\0")
    start = 8 + len(head)
    return containers.tiff_header(exif.order, start) + head + write_directory(exif.tags, exif.order, start, stays)


def write_directory(tags: Directory, order: str, start: int, note_stays: bool = False) -> bytes:
    """Write tags as they stand in a file from the (even) offset ``start`` on, each directory followed by its larger
    values."""
    entries, values = b"", b""
    after = start + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        place = struct.pack(order + "I", after + len(values))
        if isinstance(value, dict):
            kind, count, inline = LONG, 1, place
            values += write_directory(value, order, after + len(values), note_stays)
        else:
            kind, count, inline = value.kind, len(value.data) // containers.TIFF_SIZES[value.kind], value.data
            if tag == MAKER_NOTE and note_stays:
                inline = struct.pack(order + "I", value.at)
            elif len(value.data) > 4:
                inline = place
                values += value.data + bytes(len(value.data) % 2)
        entries += struct.pack(order + "HHI", tag, kind, count) + inline.ljust(4, b"\0")
    return struct.pack(order + "H", len(tags)) + entries + bytes(4) + values


def _swapped(tags: Directory) -> Directory:
    def swap(field: Field) -> Field:
        return Field(field.kind, np.frombuffer(field.data, f"u{NUMBERS[field.kind]}").byteswap().tobytes(), field.at)

    return {tag: _swapped(value) if isinstance(value, dict) else swap(value) for tag, value in tags.items()}


def _without_largest(tags: Directory) -> Directory:
    def size(value: Field | Directory) -> int:
        return max(map(size, value.values()), default=0) if isinstance(value, dict) else len(value.data)

    tag, value = max(tags.items(), key=lambda item: size(item[1]))
    rest = {other: kept for other, kept in tags.items() if other != tag}
    return rest | {tag: _without_largest(value)} if isinstance(value, dict) and len(value) > 1 else rest
