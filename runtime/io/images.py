"""Photographs in and out: files, arrays, and what the network sees of them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import ImageError
from fusiongcn_edge.runtime.io.files import check_folder, read_file, write_files
from fusiongcn_edge.runtime.io.headers import check_memory, read_header, strip_alpha_association
from fusiongcn_edge.runtime.io.heif_raw import HEIC, RAW, decoder
from fusiongcn_edge.runtime.io.metadata import TIFF, Metadata, read_metadata, with_metadata
from fusiongcn_edge.runtime.io.validation import Layout, check_array, check_layouts, size_text

SIXTEEN_BIT = {".png", ".tif", ".tiff"}  # formats that keep 16 bits per channel
TRANSPARENT = SIXTEEN_BIT | {".webp"}  # formats that keep an alpha channel
KEEPING_METADATA = SIXTEEN_BIT | {".jpg", ".jpeg"}  # formats that EXIF and colour profile are written into
WRITABLE = TRANSPARENT | {".jpg", ".jpeg", ".bmp"}
READABLE = {*WRITABLE, *HEIC, *RAW}
LONGEST_SIDE = {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500}  # pixels; the format's, or its encoder's
TIFF_COMPRESSIONS = {"none": 1, "lzw": 5, "deflate": 8}  # by their numbers in the format


@dataclass(frozen=True)
class Photograph:
    """A photograph as it is read.

    Attributes
    ----------
    pixels : uint8 or uint16, H x W (gray), H x W x 3 (BGR) or H x W x 4 (BGR and alpha)
        Upright: turned as the file's orientation says.
    metadata : Metadata
        What the file tells besides, its orientation included.
    """

    pixels: NDArray[Any]
    metadata: Metadata

    @property
    def layout(self) -> Layout:
        """How the file stores it: EXIF orientation, and size before turning."""
        orientation, (height, width) = self.metadata.orientation, self.pixels.shape[:2]
        return (orientation, height, width) if (orientation or 1) <= 4 else (orientation, width, height)


@dataclass(frozen=True)
class Encoding:
    """How pictures are written, where their format leaves a choice.

    Attributes
    ----------
    jpeg_quality : int
        1 to 100.
    png_compression : int
        0 (none, fast) to 9 (slow).
    tiff_compression : str
        One of ``TIFF_COMPRESSIONS``; all of them are lossless.
    """

    jpeg_quality: int = 95
    png_compression: int = 3
    tiff_compression: str = "lzw"

    def __post_init__(self) -> None:
        """Raises :class:`ImageError` for a value that there is not."""
        for name, given, least, most in (
            ("JPEG quality", self.jpeg_quality, 1, 100),
            ("PNG compression", self.png_compression, 0, 9),
        ):
            if not isinstance(given, Integral) or not least <= given <= most:
                raise ImageError(f"{given!r} is no {name}", fix=f"give a whole number from {least} to {most}")
        if self.tiff_compression not in TIFF_COMPRESSIONS:
            raise ImageError(
                f"{self.tiff_compression!r} is no TIFF compression", fix=f"use one of {', '.join(TIFF_COMPRESSIONS)}"
            )

    def parameters(self, suffix: str) -> list[int]:
        """As OpenCV takes them, for a file name that ends with ``suffix``."""
        if suffix in {".jpg", ".jpeg"}:
            return [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
        if suffix == ".png":
            return [cv2.IMWRITE_PNG_COMPRESSION, self.png_compression]
        if suffix in {".tif", ".tiff"}:
            return [cv2.IMWRITE_TIFF_COMPRESSION, TIFF_COMPRESSIONS[self.tiff_compression]]
        return []


def read_image(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The pixels of a photograph, upright; see :func:`read_photograph`."""
    return read_photograph(path).pixels


def read_photograph(path: str | os.PathLike[str]) -> Photograph:
    """Read a photograph with its metadata.

    Raises
    ------
    ImageError
        If the file is missing, unreadable, no image, of a sample type other than 8 or 16 bits, or says that it has
        more pixels than fit into the memory that is free.
    """
    if not isinstance(path, str | os.PathLike):
        raise ImageError(f"{path!r} is no path", fix="give the name of a file")
    path = Path(path)
    try:
        data = read_file(path)
    except FileNotFoundError:
        pattern = any(character in str(path) for character in "*?")
        raise ImageError(
            f"There is no file {path}", fix=f"{'nothing matches it' if pattern else 'check the path'}"
        ) from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder", fix="name one photograph") from None
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read",
            found=error.strerror,
            fix="give a file, of a size that fits into memory, and check its permissions",
        ) from None
    decode = decoder(path.suffix.lower()) or _decode
    found = decode(data, str(path))
    if found is None:
        raise ImageError(
            f"{path} is no image that can be read, or is damaged",
            fix="give a JPEG, PNG, TIFF, BMP, WebP, HEIC or RAW file",
        )
    image, metadata = found
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{path} has samples of type {image.dtype}", fix="convert it to 8 or 16 bits per channel")
    return Photograph(image, metadata)


class PhotographFiles:
    """Photographs that belong together, by number, each read when it is asked for.

    Attributes
    ----------
    paths : sequence of str
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self._first = Metadata()
        self._layouts: dict[str, Layout] = {}
        self._profiles: dict[str, bytes | None] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[Any]:
        photograph = read_photograph(self.paths[index])
        self._layouts[self.paths[index]] = photograph.layout
        check_layouts(self._layouts)
        self._profiles[self.paths[index]] = photograph.metadata.profile
        if index == 0:
            self._first = photograph.metadata
        return photograph.pixels

    def metadata(self, index: int = 0) -> Metadata:
        """A photograph's own, once the first was read; of others it is read again, since it may be large."""
        return self._first if index == 0 else read_photograph(self.paths[index]).metadata

    def warnings(self) -> list[str]:
        """A sentence, if the same numbers mean different colours in the photographs read so far."""
        first, *others = self._profiles.items()
        for path, profile in others:
            if profile != first[1]:
                return [
                    f"{first[0]} and {path} have different colour profiles: convert them to the same one, or colours "
                    "change where the result changes from one to the other."
                ]
        return []


def _decode(data: bytes, name: str) -> tuple[NDArray[Any], Metadata] | None:
    picture = read_header(data)
    if picture is None:
        return None
    check_memory(name, picture)
    try:
        image = cv2.imdecode(np.frombuffer(strip_alpha_association(data), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        return None
    if image.dtype == np.uint16 and picture.wrong_with_16_bits:
        raise ImageError(
            f"{name} is a TIFF with 16 bits of a kind that cannot be read",
            found=picture.wrong_with_16_bits,
            fix="save it as usual, or as PNG",
        )
    metadata = read_metadata(data)
    # OpenCV turns the pictures of TIFF files itself
    return (image if data.startswith(TIFF) else turned(image, metadata.orientation)), metadata


def turned(image: NDArray[Any], orientation: int | None) -> NDArray[Any]:
    """A stored picture as a viewer shows it, by its EXIF orientation (1 to 8; None: as it is stored)."""
    if orientation in (5, 6, 7, 8):
        image = cv2.transpose(image)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation or 1)
    return image if flip is None else cv2.flip(image, flip)


def write_image(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Write a picture in the format its name ends with; whole or not at all.

    Raises
    ------
    ImageError
        If the format is unknown or cannot hold the image.
    OutputError
        If the file cannot be written.
    """
    write_images({path: image})


def write_images(
    images: Mapping[str | os.PathLike[str], NDArray[Any]],
    encoding: Encoding = Encoding(),
    metadata: Mapping[str | os.PathLike[str], Metadata] | None = None,
) -> None:
    """Write several pictures as :func:`write_image` does; all of them or none. For the arguments see
    :func:`encode_images`."""
    write_files(encode_images(images, encoding, metadata))


def encode_images(
    images: Mapping[str | os.PathLike[str], NDArray[Any]],
    encoding: Encoding = Encoding(),
    metadata: Mapping[str | os.PathLike[str], Metadata] | None = None,
) -> dict[str | os.PathLike[str], bytes]:
    """The files that pictures are, each in the format that its name ends with.

    ``metadata``: of the photographs that some of them were made from, to go with them; see
    :func:`fusiongcn_edge.runtime.io.metadata.with_metadata`.

    Raises
    ------
    ImageError
        If a format is unknown or cannot hold the image.
    OutputError
        If a folder cannot be written to.
    """
    files: dict[str | os.PathLike[str], bytes] = {}
    if strange := set(metadata or {}) - set(images):
        raise ImageError(f"There is metadata for {min(map(str, strange))}, which is not written", fix="name it alike")
    for path, image in images.items():
        check_writable(path, image)
        suffix = Path(path).suffix.lower()
        try:
            ok, encoded = cv2.imencode(suffix, image, encoding.parameters(suffix))
        except cv2.error:
            ok = False
        if not ok:
            raise ImageError(f"{path} could not be encoded", fix="choose another format, .png for example")
        data = encoded.tobytes()
        files[path] = with_metadata(data, metadata[path], image.shape) if metadata and path in metadata else data
    return files


def check_writable(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Refuse, before any work is done, a place that cannot be written to or a format that cannot hold ``image``.

    Raises
    ------
    ImageError, OutputError
    """
    check_array(image, "picture")
    if min(image.shape) < 1:
        raise ImageError(f"The picture for {path} has no pixels", fix="give one that has")
    check_folder(path)
    suffix = Path(path).suffix.lower()
    if suffix not in WRITABLE:
        raise ImageError(
            f"{path} does not end in the name of a known image format",
            fix=f"use one of {', '.join(sorted(WRITABLE))}",
        )
    if image.dtype == np.uint16 and suffix not in SIXTEEN_BIT:
        raise ImageError(f"{path} cannot hold 16 bits per channel", fix="use .png or .tif")
    if image.ndim == 3 and image.shape[2] == 4 and suffix not in TRANSPARENT:
        raise ImageError(f"{path} cannot hold the photographs' alpha channel", fix="use .png, .tif or .webp")
    if max(image.shape[:2]) > LONGEST_SIDE.get(suffix, math.inf):
        raise ImageError(
            f"{path} cannot hold {size_text(image)} pixels, but at most {LONGEST_SIDE[suffix]:,} a side",
            fix="use .png or .tif",
        )
