"""Walkers of image files: the pieces that Pillow and tifffile find, and whatever damage leaves of them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fusiongcn_edge.runtime.io.containers import (
    BIG_TIFF,
    JPEG,
    JPEG_SCAN,
    MOST_TIFF_ENTRIES,
    PNG,
    TIFF,
    jpeg_segment,
    jpeg_segments,
    png_chunk,
    png_chunks,
    riff_chunks,
    tiff_entries,
    tiff_header,
    tiff_integers,
)
from helpers.camera_files import SRGB, camera_exif

Walker = Callable[[bytes], Iterator[tuple[Any, ...]]]
WALKERS: dict[Walker, list[bytes]] = {
    jpeg_segments: [JPEG],
    png_chunks: [PNG],
    riff_chunks: [b"RIFF\x40\0\0\0WEBP"],
    tiff_entries: [signature + offset for signature in TIFF + BIG_TIFF for offset in (b"\x08\0\0\0", b"\0\0\0\x08")],
    tiff_integers: [*TIFF, *BIG_TIFF],
}


def saved(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture = np.random.default_rng(5).integers(0, 255, (32, 48, 3), np.uint8)
    Image.fromarray(picture).save(file, kind, exif=camera_exif().tobytes(), icc_profile=SRGB, **options)
    return file.getvalue()


def test_the_segments_of_a_jpeg_are_those_that_pillow_finds() -> None:
    data = saved("jpeg", progressive=True)
    found = list(jpeg_segments(data))
    with Image.open(io.BytesIO(data)) as image:
        applications = image.applist  # type: ignore[attr-defined]
    assert [(f"APP{m - 0xE0}", data[p]) for m, p in found if 0xE0 <= m < 0xF0] == applications
    assert found[0][1].start == 6
    assert all(before.stop + 4 == after.start for (_, before), (_, after) in pairwise(found))
    assert found[-1][0] == JPEG_SCAN


@pytest.mark.parametrize("between", [b"\xff" * 9, b"junk", b"\xff\x00\xff\x01", b"\xff\xd0\xff\xd7", b"\x00\xff"])
def test_what_stands_between_the_segments_of_a_jpeg_is_skipped(between: bytes) -> None:
    segments = [(0xE0, b"first"), (0xE1, b""), (0xFE, b"last")]
    data = JPEG + b"".join(between + jpeg_segment(*segment) for segment in segments)
    assert [(marker, data[place]) for marker, place in jpeg_segments(data)] == segments


def test_the_chunks_of_a_png_make_up_the_file() -> None:
    data = saved("png")
    chunks = [(kind, data[place]) for kind, place in png_chunks(data)]
    assert [kind for kind, _ in chunks] == [b"IHDR", b"iCCP", b"eXIf", b"IDAT", b"IEND"]
    assert PNG + b"".join(png_chunk(*chunk) for chunk in chunks) == data


def test_the_chunks_of_a_webp_are_found_behind_odd_lengths() -> None:
    exif = camera_exif().tobytes().removeprefix(b"Exif\0\0")
    data = saved("webp")
    found = {kind: data[place] for kind, place in riff_chunks(data)}
    assert (found[b"EXIF"], found[b"ICCP"]) == (exif, SRGB)
    odd = b"RIFF\0\0\0\0WEBP" + struct.pack("<4sI4s", b"odd ", 3, b"abc\0") + struct.pack("<4sI", b"next", 0)
    assert list(riff_chunks(odd)) == [(b"odd ", slice(20, 23)), (b"next", slice(32, 32))]
    assert list(riff_chunks(data.replace(b"WEBP", b"WAVE", 1))) == []


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_the_entries_of_a_tiff_are_those_that_tifffile_finds(order: str, big: bool) -> None:
    file = io.BytesIO()
    tags = [(271, "s", 0, "A maker", True), (33434, 5, 1, (1, 250), True), (37386, 12, 1, 7.5, True)]
    with tifffile.TiffWriter(file, byteorder=order, bigtiff=big) as writer:
        for width in (9, 7):  # the second page is not looked at
            writer.write(np.zeros((5, width, 3), np.uint16), photometric="rgb", extratags=tags)
    data = file.getvalue()
    with tifffile.TiffFile(io.BytesIO(data)) as read:
        expected = list(read.pages.first.tags)
    places = [slice(tag.valueoffset, tag.valueoffset + tag.valuebytecount) for tag in expected]
    assert list(tiff_entries(data)) == [
        (tag.code, tag.dtype, place) for tag, place in zip(expected, places, strict=True)
    ]
    numbers = {tag.code: int(np.squeeze(tag.value)) for tag in expected if tag.count == 1 and tag.dtype in (3, 4, 16)}
    assert {tag: value for tag, value, _ in tiff_integers(data)} == numbers
    assert numbers[256] == 9


def test_more_entries_than_a_photograph_has_are_not_read() -> None:
    data = tiff_header("<", 8) + struct.pack("<H", 0xFFFF) + struct.pack("<HHII", 256, 4, 1, 7) * 0xFFFF
    assert sum(1 for _ in tiff_entries(data)) == MOST_TIFF_ENTRIES


@pytest.mark.parametrize(("walk", "kind"), [(jpeg_segments, "jpeg"), (png_chunks, "png"), (riff_chunks, "webp")])
def test_a_file_that_is_cut_off_has_the_pieces_before_the_cut(walk: Walker, kind: str) -> None:
    data = saved(kind)
    whole = list(walk(data))
    for length in range(len(data)):
        found = list(walk(data[:length]))
        assert found == whole[: len(found)]
        assert all(place.stop <= length for _, place in found[:-1])


@pytest.mark.parametrize("walk", WALKERS)
@given(st.data())
def test_no_damage_stops_a_walker_or_makes_it_walk_without_end(walk: Walker, data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(WALKERS[walk])) + data.draw(st.binary(max_size=200))
    file = file[: data.draw(st.integers(0, len(file)))]
    found = list(walk(file))
    assert len(found) <= len(file)
    if walk not in (tiff_entries, tiff_integers):
        starts = [place.start for *_, place in found]
        assert starts == sorted(set(starts))
