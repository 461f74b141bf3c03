"""Photographs in and out: files, arrays, and what the network sees of them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import ImageError
from fusiongcn_edge.runtime.files import check_folder, write_files

SIXTEEN_BIT = {".png", ".tif", ".tiff"}  # formats that keep 16 bits per channel
TRANSPARENT = SIXTEEN_BIT | {".webp"}  # formats that keep an alpha channel
WRITABLE = TRANSPARENT | {".jpg", ".jpeg", ".bmp"}


def read_image(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read a photograph as OpenCV does: uint8 or uint16, H x W (gray), H x W x 3 (BGR) or H x W x 4 (BGR and alpha).

    Raises
    ------
    ImageError
        If the file is missing, unreadable, no image, or of a sample type other than 8 or 16 bits.
    """
    path = Path(path)
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except FileNotFoundError:
        raise ImageError(f"There is no file {path}: check the path.") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder: name one photograph.") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}): check its permissions.") from None
    # a JPEG is turned upright by its EXIF orientation; formats that may carry alpha are read unchanged
    is_jpeg = data[:2].tobytes() == b"\xff\xd8"
    mode = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if is_jpeg else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(data, mode) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(
            f"{path} is no image that can be read, or is damaged: give a JPEG, PNG, TIFF, BMP or WebP file."
        )
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{path} has samples of type {image.dtype}: convert it to 8 or 16 bits per channel.")
    return image


def write_image(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Write a photograph in the format its name ends with; whole or not at all.

    Raises
    ------
    ImageError
        If the format is unknown or cannot hold the image.
    OutputError
        If the file cannot be written.
    """
    write_images({path: image})


def write_images(images: Mapping[str | os.PathLike[str], NDArray[Any]]) -> None:
    """Write several pictures as :func:`write_image` does; all of them or none."""
    files: dict[str | os.PathLike[str], bytes] = {}
    for path, image in images.items():
        check_writable(path, image)
        try:
            ok, data = cv2.imencode(Path(path).suffix.lower(), image)
        except cv2.error:
            ok = False
        if not ok:
            raise ImageError(f"{path} could not be encoded: choose another format, .png for example.")
        files[path] = data.tobytes()
    write_files(files)


def check_writable(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Refuse, before any work is done, a name whose format cannot hold ``image`` or a folder that is not there."""
    check_folder(path)
    suffix = Path(path).suffix.lower()
    if suffix not in WRITABLE:
        raise ImageError(
            f"{path} does not end in the name of a known image format: use one of {', '.join(sorted(WRITABLE))}."
        )
    if image.dtype == np.uint16 and suffix not in SIXTEEN_BIT:
        raise ImageError(f"{path} cannot hold 16 bits per channel: use .png or .tif.")
    if image.ndim == 3 and image.shape[2] == 4 and suffix not in TRANSPARENT:
        raise ImageError(f"{path} cannot hold the photographs' alpha channel: use .png, .tif or .webp.")


def check_pair(first: NDArray[Any], second: NDArray[Any], minimum_size: int) -> None:
    """Refuse two arrays that cannot be fused.

    Raises
    ------
    ImageError
        If they are not uint8 or uint16 arrays H x W, H x W x 3 or H x W x 4 of the same shape and type, or smaller
        than ``minimum_size`` pixels on a side.
    """
    for which, image in (("first", first), ("second", second)):
        if not isinstance(image, np.ndarray) or image.dtype not in (np.uint8, np.uint16):
            found = getattr(image, "dtype", type(image).__name__)
            raise ImageError(f"The {which} photograph is {found}: give a numpy array of uint8 or uint16.")
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (3, 4)):
            raise ImageError(
                f"The {which} photograph has shape {image.shape}: give height x width (gray), "
                "height x width x 3 (BGR) or x 4 (BGR and alpha)."
            )
    if first.shape[:2] != second.shape[:2]:
        raise ImageError(
            f"The photographs differ in size ({_size(first)} and {_size(second)} pixels): "
            "crop or resize them to the same size, aligned to each other."
        )
    if first.shape != second.shape:
        raise ImageError(
            f"The photographs differ in their channels ({_kind(first)} and {_kind(second)}): convert one to the other."
        )
    if first.dtype != second.dtype:
        raise ImageError(
            f"The photographs differ in depth ({first.dtype} and {second.dtype}): convert one to the other."
        )
    if min(first.shape[:2]) < minimum_size:
        raise ImageError(
            f"The photographs have {_size(first)} pixels, and this model needs at least "
            f"{minimum_size} on each side: use larger ones."
        )


def _size(image: NDArray[Any]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def _kind(image: NDArray[Any]) -> str:
    return "gray" if image.ndim == 2 else {3: "colour", 4: "colour with alpha"}[image.shape[2]]


def network_input(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float32]:
    """What the network sees of a pair: float32 2 x 3 x H x W, RGB in [-1, 1]. Gray is repeated, alpha is left out."""
    images = np.empty((2, 3, *first.shape[:2]), np.float32)
    for planes, image in zip(images, (first, second), strict=True):
        full = np.float32(np.iinfo(image.dtype).max)
        for c in range(3):  # BGR to RGB
            plane = image if image.ndim == 2 else image[:, :, 2 - c]
            planes[c] = (plane / full - np.float32(0.5)) / np.float32(0.5)
    return images


def psnr(image: NDArray[Any], truth: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 255; 100 for equal images."""
    error = float(np.mean(np.square(image.astype(np.float64) - truth)))
    return 100.0 if error == 0 else 10 * math.log10(255**2 / error)
