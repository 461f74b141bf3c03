"""Encode pictures as image files, in the format that the name ends with."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import ImageError
from fusiongcn_edge.runtime.io.files import check_folder
from fusiongcn_edge.runtime.io.metadata import Metadata, insert_metadata
from fusiongcn_edge.runtime.io.validation import check_array, size_text

SIXTEEN_BIT = {".png", ".tif", ".tiff"}  # formats that keep 16 bits per channel
TRANSPARENT = SIXTEEN_BIT | {".webp"}  # formats that keep an alpha channel
KEEPING_METADATA = SIXTEEN_BIT | {".jpg", ".jpeg"}  # formats that EXIF and colour profile are written into
WRITABLE = TRANSPARENT | {".jpg", ".jpeg", ".bmp"}
LONGEST_SIDE = {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500}  # pixels; the format's, or its encoder's
TIFF_COMPRESSIONS = {"none": 1, "lzw": 5, "deflate": 8}  # by their numbers in the format


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
                raise ImageError(
                    f"The {name} is not possible", found=repr(given), allowed=f"a whole number from {least} to {most}"
                )
        if self.tiff_compression not in TIFF_COMPRESSIONS:
            known = ", ".join(TIFF_COMPRESSIONS)
            raise ImageError(
                "The TIFF compression is not known", found=repr(self.tiff_compression), allowed=f"one of {known}"
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


USUAL_ENCODING = Encoding()


def encode_images(
    images: Mapping[str | os.PathLike[str], NDArray[Any]],
    encoding: Encoding = USUAL_ENCODING,
    metadata: Mapping[str | os.PathLike[str], Metadata] | None = None,
) -> dict[str | os.PathLike[str], bytes]:
    """Encode pictures, by path, each in the format that its path ends with.

    ``metadata``: of the photographs that some of them were made from, to go with them; see
    :func:`fusiongcn_edge.runtime.io.metadata.insert_metadata`.

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
        files[path] = insert_metadata(data, metadata[path], image.shape) if metadata and path in metadata else data
    return files


def check_writable(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Refuse, before any work is done, a place that cannot be written to or a format that cannot hold ``image``.

    Raises
    ------
    ImageError, OutputError
    """
    check_array(image, "picture")
    if min(image.shape) < 1:
        raise ImageError(
            f"The picture for {path} has no pixels", found=f"shape {image.shape}", fix="give one that has pixels"
        )
    check_folder(path)
    check_format(path, image)


def check_format(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Refuse, with an ImageError, a path whose format cannot hold ``image``; the place is not looked at."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITABLE:
        raise ImageError(
            f"{path} does not end in the name of a known image format",
            found=suffix or "no suffix",
            allowed=f"one of {', '.join(sorted(WRITABLE))}",
        )
    if image.dtype == np.uint16 and suffix not in SIXTEEN_BIT:
        raise ImageError(f"{path} cannot hold 16 bits per channel", fix="use .png or .tif")
    if image.ndim == 3 and image.shape[2] == 4 and suffix not in TRANSPARENT:
        raise ImageError(f"{path} cannot hold the photographs' alpha channel", fix="use .png, .tif or .webp")
    if max(image.shape[:2]) > LONGEST_SIDE.get(suffix, math.inf):
        raise ImageError(
            f"{path} cannot hold a picture of this size",
            found=f"{size_text(image)} pixels",
            allowed=f"at most {LONGEST_SIDE[suffix]:,} a side",
            fix="use .png or .tif",
        )
