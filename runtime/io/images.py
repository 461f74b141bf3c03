"""Read photographs and write pictures: files to arrays and back.

A file's bytes become pixels and metadata in ``decode.py``, pixels and metadata become bytes in ``encode.py``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import ImageError
from fusiongcn_edge.runtime.io.decode import decode
from fusiongcn_edge.runtime.io.encode import (
    KEEPING_METADATA,
    LONGEST_SIDE,
    TIFF_COMPRESSIONS,
    USUAL_ENCODING,
    WRITABLE,
    Encoding,
    check_writable,
    encode_images,
)
from fusiongcn_edge.runtime.io.files import read_file, write_files
from fusiongcn_edge.runtime.io.heif_raw import HEIC, RAW
from fusiongcn_edge.runtime.io.metadata import Metadata
from fusiongcn_edge.runtime.io.validation import Layout

__all__ = [
    "KEEPING_METADATA",
    "LONGEST_SIDE",
    "READABLE",
    "TIFF_COMPRESSIONS",
    "WRITABLE",
    "Encoding",
    "Photograph",
    "check_writable",
    "encode_images",
    "read_image",
    "read_photograph",
    "write_image",
    "write_images",
]

READABLE = {*WRITABLE, *HEIC, *RAW}


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
        raise ImageError("The path of a photograph is none", found=repr(path), allowed="a str or os.PathLike")
    path = Path(path)
    try:
        data = read_file(path)
    except FileNotFoundError:
        pattern = any(character in str(path) for character in "*?")
        raise ImageError(
            f"There is no file {path}", found="nothing matches it" if pattern else None, fix="check the path"
        ) from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder", fix="name one photograph") from None
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read",
            found=error.strerror,
            fix="give a file, of a size that fits into memory, and check its permissions",
        ) from None
    return Photograph(*decode(data, str(path), path.suffix.lower()))


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
    encoding: Encoding = USUAL_ENCODING,
    metadata: Mapping[str | os.PathLike[str], Metadata] | None = None,
) -> None:
    """Write several pictures as :func:`write_image` does; all of them or none. For the arguments see
    :func:`fusiongcn_edge.runtime.io.encode.encode_images`."""
    write_files(encode_images(images, encoding, metadata))
