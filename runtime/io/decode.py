"""Decode image files to upright pixels and metadata: JPEG, PNG, TIFF, BMP and WebP with OpenCV."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import ImageError
from fusiongcn_edge.runtime.io.containers import TIFF
from fusiongcn_edge.runtime.io.headers import check_memory, damaged, read_header
from fusiongcn_edge.runtime.io.heif_raw import decoder
from fusiongcn_edge.runtime.io.metadata import Metadata, read_metadata
from fusiongcn_edge.runtime.io.tiff_quirks import sixteen_bit_fault, strip_alpha_association


def decode(data: bytes, name: str, suffix: str) -> tuple[NDArray[Any], Metadata]:
    """Decode a file, given whole, whose ``name`` ends with ``suffix`` (lower case).

    HEIC and camera RAW are known by the suffix, other formats by what the file begins with. For the pixels see
    :class:`fusiongcn_edge.runtime.io.images.Photograph`.

    Raises
    ------
    DamagedImageError
        If it is no image, or damaged.
    ImageError
        If its samples are of another type than 8 or 16 bits, it does not fit into the memory that is free, or the
        library for its format is not installed.
    """
    read = decoder(suffix) or _decode_with_opencv
    image, metadata = read(data, name)
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"{name} has samples of type {image.dtype}",
            allowed="uint8 or uint16",
            fix="convert it to 8 or 16 bits per channel",
        )
    return image, metadata


def _decode_with_opencv(data: bytes, name: str) -> tuple[NDArray[Any], Metadata]:
    header = read_header(data)
    if header is None:
        raise damaged(name)
    check_memory(name, header)
    try:
        image = cv2.imdecode(np.frombuffer(strip_alpha_association(data), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise damaged(name)
    if image.dtype == np.uint16 and (fault := sixteen_bit_fault(data)):
        raise ImageError(
            f"{name} is a TIFF with 16 bits of a kind that cannot be read",
            found=fault,
            fix="save it as usual, or as PNG",
        )
    metadata = read_metadata(data)
    # OpenCV turns the pictures of TIFF files itself
    return (image if data.startswith(TIFF) else upright(image, metadata.orientation)), metadata


def upright(image: NDArray[Any], orientation: int | None) -> NDArray[Any]:
    """Turn a stored picture as a viewer shows it, by its EXIF orientation (1 to 8; None: as it is stored)."""
    if orientation in (5, 6, 7, 8):
        image = cv2.transpose(image)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation or 1)
    return image if flip is None else cv2.flip(image, flip)
