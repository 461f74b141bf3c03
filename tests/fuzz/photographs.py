"""Photographs: JPEG, PNG, TIFF, BMP and WebP, their EXIF and colour profile, HEIC and camera RAW."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from fusiongcn_edge.runtime.io.images import Encoding, encode_images, read_photograph
from fusiongcn_edge.runtime.io.metadata import Metadata, insert_metadata, read_metadata
from fuzz.reader import Reader, written

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "example"
PROFILE = struct.pack(">I", 200) + b"lcms" + bytes(8) + b"RGB XYZ " + bytes(12) + b"acsp" + bytes(160)


def small(shape: tuple[int, ...] = (16, 24, 3), kind: type[np.unsignedinteger] = np.uint8) -> np.ndarray:
    """A part of the example photograph."""
    picture = cv2.resize(cv2.imread(str(EXAMPLE / "near.jpg")), shape[1::-1], interpolation=cv2.INTER_AREA)
    if len(shape) == 2:
        picture = picture[:, :, 1]
    elif shape[2] == 4:
        picture = np.dstack([picture, picture[:, :, 0]])
    return picture if kind is np.uint8 else picture.astype(np.uint16) * 257


def exif(orientation: int = 6, order: str = "<") -> bytes:
    """A block with an inner list, a maker's note and a value that stands elsewhere."""
    first = [(0x010F, 2, 6, struct.pack(order + "I", 100)), (0x0112, 3, 1, struct.pack(order + "HH", orientation, 0))]
    first += [(0x8769, 4, 1, struct.pack(order + "I", 50)), (0x8825, 4, 1, struct.pack(order + "I", 80))]
    inner = [(0x9000, 7, 4, b"0230"), (0x927C, 7, 8, struct.pack(order + "I", 112))]
    block = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8)
    for at, tags in ((8, first), (62, inner)):
        block = block.ljust(at, b"\0") + struct.pack(order + "H", len(tags))
        block += b"".join(struct.pack(order + "HHI", *tag[:3]) + tag[3] for tag in tags) + bytes(4)
    return block.ljust(100, b"\0") + b"maker\0" + bytes(6) + b"notehere" + bytes(80)


def _encoded(suffix: str, picture: np.ndarray, *parameters: int) -> bytes:
    return cv2.imencode(suffix, picture, list(parameters))[1].tobytes()


def _seeds() -> list[bytes]:
    gray, deep, clear = small((16, 24)), small((12, 10, 3), np.uint16), small((9, 7, 4))
    described = Metadata(read_metadata(with_exif_jpeg()).exif, PROFILE)
    plain = [_encoded(suffix, picture) for suffix in (".jpg", ".png", ".tif", ".bmp", ".webp") for picture in
             (small(), gray)]  # fmt: skip
    plain += [_encoded(suffix, picture) for suffix in (".png", ".tif") for picture in (deep, clear)]
    plain += [_encoded(".jpg", small(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)]
    plain += [_encoded(".tif", deep, cv2.IMWRITE_TIFF_COMPRESSION, number) for number in (1, 5, 8, 32773)]
    plain += [_encoded(".webp", clear, cv2.IMWRITE_WEBP_QUALITY, 101), with_exif_jpeg()]
    plain += [_encoded(suffix, small((64, 64, 3))) for suffix in (".jp2", ".gif", ".ppm", ".sr", ".hdr", ".avif")
              if cv2.haveImageWriter(f"x{suffix}")]  # fmt: skip
    return plain + [insert_metadata(data, described, (16, 24, 3)) for data in plain[:6]]


def with_exif_jpeg() -> bytes:
    """The example, small, turned by its EXIF."""
    plain, block = _encoded(".jpg", small()), b"Exif\0\0" + exif()
    return plain[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(block) + 2) + block + plain[2:]


def read_file(data: bytes, name: str = "photograph") -> None:
    """What was read is a photograph."""
    found = read_photograph(written(data, name))
    assert found.pixels.ndim in (2, 3)
    assert found.pixels.dtype in (np.uint8, np.uint16)
    assert found.pixels.size > 0
    assert found.pixels.ndim == 2 or found.pixels.shape[2] in (3, 4), found.pixels.shape
    assert found.metadata.orientation in (None, *range(1, 9))


def _metadata_seeds() -> list[bytes]:
    icc = b"name\0\0" + zlib.compress(PROFILE)
    return [*_seeds(), exif(), exif(3, ">"), b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", len(icc), b"iCCP") + icc]


PICTURES = {suffix: small((8, 6, 3)) for suffix in (".jpg", ".png", ".tif")}


def read_tags(data: bytes) -> None:
    """Whatever the tags are, they go into files that can be read, and come back the same."""
    source = read_metadata(data)
    for suffix, picture in PICTURES.items():
        path = Path(f"made{suffix}")
        ((_, file),) = encode_images({path: picture}, Encoding(), {path: source}).items()
        again = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
        assert again is not None, suffix
        assert again.shape == picture.shape, suffix
        if suffix != ".jpg":
            np.testing.assert_array_equal(again, picture)
        back = read_metadata(file)
        assert back.orientation == 1, suffix
        once_more = insert_metadata(cv2.imencode(suffix, picture)[1].tobytes(), back, picture.shape)
        assert read_metadata(once_more).orientation == 1, suffix


def _heic_seeds() -> list[bytes]:
    import pillow_heif

    pillow_heif.register_heif_opener()
    from PIL import Image

    found = []
    for picture in (small(), small((16, 24))):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "HEIF", quality=50, exif=b"Exif\0\0" + exif())
        found.append(file.getvalue())
    return found


def _raw_seeds() -> list[bytes]:
    """A DNG as small as can be, made here."""
    import tifffile

    file = io.BytesIO()
    mosaic = small((32, 48), np.uint16)
    matrix = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags = [
        (50706, 1, 4, bytes([1, 4, 0, 0]), True), (50708, 2, 0, "fuzz", True), (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, bytes([0, 1, 1, 2]), True), (50721, 10, 9, matrix, True), (50717, 3, 1, 65535, True),
        (50778, 3, 1, 21, True), (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
    ]  # fmt: skip
    tifffile.imwrite(file, mosaic, photometric=32803, extratags=tags)
    return [file.getvalue(), exif()]


READERS = [
    Reader("photographs", _seeds, read_file),
    Reader("metadata", _metadata_seeds, read_tags),
    Reader("heic", _heic_seeds, lambda data: read_file(data, "photograph.heic")),
    Reader("raw", _raw_seeds, lambda data: read_file(data, "photograph.dng")),
]
