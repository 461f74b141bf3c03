"""Pictures that are not what they say: known by their headers, and refused before they are decoded."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusiongcn_edge.runtime.errors import DamagedImageError, ImageError, ImageTooLargeError
from fusiongcn_edge.runtime.io import headers as headers_module
from fusiongcn_edge.runtime.io.headers import Header, read_header
from fusiongcn_edge.runtime.io.images import read_image, write_image
from helpers.refusals import refused


def png(width: int, height: int, depth: int = 8, length: int | None = None) -> bytes:
    def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
        stated = len(content) if length is None else length
        return struct.pack(">I", stated) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99)), length)


def jpeg(width: int, height: int, progressive: int = 0) -> bytes:
    data = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1]
    plain = data.tobytes()
    at = plain.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return plain[: at + 5] + struct.pack(">HH", height, width) + plain[at + 9 :]


def tiff(width: int, height: int, order: str = "<") -> bytes:
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 4, 1, 8), (259, 4, 1, 1), (262, 4, 1, 1), (273, 4, 1, 8)]
    block = b"".join(struct.pack(order + "HHII", *tag) for tag in tags)
    lead = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return lead + block + bytes(200)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp", ".webp"])
@pytest.mark.parametrize("shape", [(5, 9, 3), (5, 9), (300, 1, 3)])
def test_a_picture_says_how_large_it_is(suffix: str, shape: tuple[int, ...]) -> None:
    picture = read_header(cv2.imencode(suffix, np.full(shape, 7, np.uint8))[1].tobytes())
    assert picture is not None
    assert (picture.height, picture.width) == shape[:2]
    assert picture.bytes >= np.prod(shape)


def test_lossless_webp_with_alpha_says_how_large_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 255, (21, 34, 4), np.uint8)
    for quality in (50, 101):
        data = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
        picture = read_header(data)
        assert picture is not None
        assert (picture.width, picture.height) == (34, 21)


def test_a_big_tiff_says_how_large_it_is() -> None:
    import io

    import tifffile

    for byteorder in "<>":
        file = io.BytesIO()
        tifffile.imwrite(file, np.zeros((5, 9, 3), np.uint8), bigtiff=True, byteorder=byteorder)
        assert read_header(file.getvalue()) == Header(9, 5, 8)


@pytest.mark.parametrize("data", [png(60_000, 60_000), tiff(60_000, 60_000), tiff(2**31, 9, ">")])
def test_a_picture_of_more_pixels_than_can_be_read_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(data)
    error = refused(ImageError, read_image, tmp_path / "bomb")
    assert error.found in ("60000x60000 pixels", f"{2**31}x9 pixels")
    assert error.allowed == "at most 1,073,741,824"


@pytest.mark.parametrize("kind", [1, 3, 4, 6, 8, 9, 16, 17])
@pytest.mark.parametrize("order", "<>")
def test_the_larger_of_two_widths_of_a_tiff_is_believed_whatever_type_it_has(kind: int, order: str) -> None:
    """Decoders take the first, and take whole numbers of every type, with signs as well."""
    form, size = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 6: ("b", 1), 8: ("h", 2), 9: ("i", 4)}.get(kind, ("Q", 8))
    width = struct.pack(order + form, 100)
    inline = width.ljust(4, b"\0") if size <= 4 else struct.pack(order + "I", 100)
    first = struct.pack(order + "HHI", 256, kind, 1) + inline
    others = struct.pack(order + "HHII", 256, 4, 1, 10) + struct.pack(order + "HHII", 257, 4, 1, 9)
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 3) + first + others
    assert read_header(data.ljust(100, b"\0") + (width if size > 4 else b"")) == Header(100, 9, 8)


@pytest.mark.parametrize(
    "data",
    [
        png(7, 9, length=0xFF000110),  # OpenCV 5.0 takes 4 GB and 17 s for it
        png(7, 9, length=2**31),
        jpeg(32_000, 32_000),  # 6 GB and 47 s
        jpeg(65_535, 65_535),
        jpeg(32_000, 32_000).replace(b"\xff\xc0\0\x11", b"\xff\xc0\0\x08"),  # says nothing of its components
        jpeg(30_000, 30_000, progressive=1),  # minutes
        jpeg(2000, 2000)[:400] + b"\xff\xda" * 3000 + bytes(20_000),  # each scan takes time
        b"RIFF\x1e\0\0\0WEBPVP8L",
        b"RIFF\x1e\0\0\0WAVE" + bytes(40),
        b"BM" + bytes(20),
        b"II+\0" + bytes(30),
        b"\xff\xd8" + b"\xff" * 5000,
        b"GIF89a" + bytes(40),  # nothing but what is documented is handed to a decoder
        b"P6 9999999 9999999 255 " + bytes(40),
    ],
)
def test_a_picture_that_lies_is_refused_before_it_is_decoded(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cv2, "imdecode")
    (tmp_path / "bomb").write_bytes(data)
    refused(DamagedImageError, read_image, tmp_path / "bomb")


def test_a_picture_larger_than_the_free_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "large.png", np.zeros((100, 200, 3), np.uint8))
    monkeypatch.setattr(headers_module, "free_memory", lambda: 100_000)
    error = refused(ImageTooLargeError, read_image, tmp_path / "large.png")
    assert (error.found, error.allowed) == (
        "200x100 pixels, which take 0 MB to read",
        "at most 0 MB, which are free",
    )
    monkeypatch.setattr(headers_module, "free_memory", lambda: 160_000)
    assert read_image(tmp_path / "large.png").shape == (100, 200, 3)


def test_the_file_of_a_picture_that_is_too_large_is_named() -> None:
    error = refused(ImageError, headers_module.check_memory, "photo.heic", Header(40_000, 40_000, 8))
    assert "photo.heic" in error.problem
    assert error.found == "40000x40000 pixels"
