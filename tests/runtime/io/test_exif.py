"""EXIF: the maker's note, thumbnails, either byte order, too much of it, and what is broken."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from fusiongcn_edge.runtime.io.exif import Exif, Field, exif_block, read_exif
from fusiongcn_edge.runtime.io.metadata import Metadata, read_metadata
from helpers.camera_files import FORMATS, NOTE, SOFTWARE, SRGB, Tag, camera_exif, copied, save, told

Picture = NDArray[Any]


def test_the_maker_s_note_keeps_its_place_in_a_jpeg(picture: Picture, tmp_path: Path) -> None:
    def place(path: Path) -> int:
        return path.read_bytes().index(NOTE) - path.read_bytes().index(b"Exif\0\0")

    save(tmp_path / "a.jpg", picture, camera_exif())
    copied(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert place(tmp_path / "b.jpg") == place(tmp_path / "a.jpg")


def test_a_thumbnail_of_the_source_does_not_stand_for_the_result(picture: Picture, tmp_path: Path) -> None:
    small = io.BytesIO()
    Image.fromarray(picture).save(small, "jpeg")
    tags = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<HHHII", 1, 0x112, 3, 1, 1) + struct.pack("<I", 26)
    tags += struct.pack("<HHHIIHHIII", 2, 0x201, 4, 1, 56, 0x202, 4, 1, len(small.getvalue()), 0) + small.getvalue()
    save(tmp_path / "a.jpg", picture, b"Exif\0\0" + tags)
    assert told(tmp_path / "a.jpg")["thumbnail"]
    found = told(copied(tmp_path / "a.jpg", tmp_path / "b.jpg"))
    assert found["thumbnail"] == {}
    assert small.getvalue() not in (tmp_path / "b.jpg").read_bytes()


def test_more_exif_than_a_jpeg_can_hold_loses_its_largest_values_alone(picture: Picture, tmp_path: Path) -> None:
    exif = camera_exif()
    exif.get_ifd(ExifTags.IFD.Exif)[Tag.UserComment] = bytes(40_000)
    exif.get_ifd(ExifTags.IFD.Exif)[Tag.MakerNote] = bytes(50_000)
    save(tmp_path / "a.png", picture, exif)
    found = told(copied(tmp_path / "a.png", tmp_path / "b.jpg"))
    assert Tag.MakerNote not in found["photo"]
    assert len(found["photo"][Tag.UserComment]) == 40_000
    assert found["photo"][Tag.ISOSpeedRatings] == 400


def test_both_byte_orders_tell_the_same(picture: Picture, tmp_path: Path) -> None:
    little = camera_exif()
    little.endian = "<"
    for name, exif in (("little", little.tobytes()), ("big", read_swapped(little.tobytes()))):
        save(tmp_path / f"{name}.jpg", picture, b"Exif\0\0" + exif.removeprefix(b"Exif\0\0"))
        for target in FORMATS:
            copied(tmp_path / f"{name}.jpg", tmp_path / f"{name}{target}.{target[1:]}")
    for target in FORMATS:
        one, other = (told(tmp_path / f"{name}{target}.{target[1:]}") for name in ("little", "big"))
        assert one == other
        assert one["photo"][Tag.ISOSpeedRatings] == 400


def read_swapped(data: bytes) -> bytes:
    """Pillow writes its own byte order: the other one of the same tags."""
    exif = read_exif(data.removeprefix(b"Exif\0\0"))
    assert exif is not None
    return exif_block(exif.in_order({"<": ">", ">": "<"}[exif.order]))


BROKEN = {
    "no tags at all": b"",
    "no byte order": b"XX*\0\x08\0\0\0" + bytes(20),
    "tags beyond the end": b"II*\0\xff\xff\xff\xff",
    "many tags announced": b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0",
    "values beyond the end": b"II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\0\0\0\xff\xff\0\0\0\0\0\0",
    "a list within itself": b"MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\0",
    "an orientation that is none": b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
}


@pytest.mark.parametrize("source", [".jpg", ".png"])
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_exif_stops_nothing(kind: str, source: str, picture: Picture, tmp_path: Path) -> None:
    save(tmp_path / f"a{source}", picture, b"Exif\0\0" + BROKEN[kind])
    for target in FORMATS:
        found = told(copied(tmp_path / f"a{source}", tmp_path / f"b{target}"))
        assert (found["Software"], found["Orientation"], found["profile"]) == (SOFTWARE, 1, SRGB)


def test_values_that_all_overlap_do_not_fill_the_memory() -> None:
    size, count = 1 << 20, 900
    entries = b"".join(struct.pack("<HHII", 0x0100 + i, 7, size - 100_000, 50_000) for i in range(count))
    exif = read_exif((struct.pack("<2sHIH", b"II", 42, 8, count) + entries).ljust(size, b"\0"))
    assert exif is not None
    assert sum(len(field.data) for field in exif.tags.values() if isinstance(field, Field)) <= size


def test_tags_are_none_where_there_are_none() -> None:
    assert read_exif(b"") is None
    assert read_metadata(b"BM" + bytes(60)) == Metadata()
    assert Exif("<", {}).orientation is None
