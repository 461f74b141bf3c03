"""Check arrays and files that are to be fused with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import ImageError

Layout = tuple[int | None, int, int]  # orientation, height and width


def check_layouts(layouts: Mapping[str, Layout]) -> None:
    """Refuse photographs, by name, that lie alike in their files and are turned differently: the camera was not sure
    which way it was held, and nobody knows how they belong together.

    Raises
    ------
    ImageError
        Naming two of them.
    """
    (name, (orientation, *size)), *others = layouts.items()
    for other, (other_orientation, *other_size) in others:
        known = orientation is not None and other_orientation is not None
        if known and orientation != other_orientation and size == other_size:
            raise ImageError(
                f"{name} and {other} lie alike in their files, but have different EXIF orientations",
                found=f"{orientation} and {other_orientation}",
                fix="give both the same, with 'exiftool -n -Orientation=1' for example",
            )


def check_pair(first: NDArray[Any], second: NDArray[Any], minimum_size: int) -> None:
    """Refuse two arrays that cannot be fused.

    Raises
    ------
    ImageError
        If they are not uint8 or uint16 arrays H x W, H x W x 3 or H x W x 4 of the same shape and type, or smaller
        than ``minimum_size`` pixels on a side.
    """
    check_array(first, "first photograph")
    check_array(second, "second photograph")
    if first.shape[:2] != second.shape[:2]:
        turned = first.shape[:2] == second.shape[1::-1]
        remedy = "turn one of them" if turned else "crop or resize them to the same size, aligned to each other"
        raise ImageError(
            "The photographs differ in size", found=f"{size_text(first)} and {size_text(second)} pixels", fix=remedy
        )
    if first.shape != second.shape:
        raise ImageError(
            "The photographs differ in their channels",
            found=f"{kind_text(first)} and {kind_text(second)}",
            fix="convert one to the other",
        )
    if first.dtype != second.dtype:
        raise ImageError(
            "The photographs differ in bits per channel",
            found=f"{8 * first.itemsize} and {8 * second.itemsize}",
            fix="convert one to the other",
        )
    if min(first.shape[:2]) < minimum_size:
        raise ImageError(
            "The photographs are too small for this model",
            found=f"{size_text(first)} pixels",
            allowed=f"at least {minimum_size} on each side",
            fix="use larger ones",
        )


def check_array(image: Any, what: str) -> None:
    """Refuse, with an ImageError, what is no uint8 or uint16 array of a photograph; ``what`` it is called."""
    if image is None:
        raise ImageError(
            f"The {what} is None, which is what cv2.imread gives for a file that it cannot read", fix="check its path"
        )
    if not isinstance(image, np.ndarray) or image.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"The {what} is of the wrong type",
            found=getattr(image, "dtype", type(image).__name__),
            allowed="a numpy array of uint8 or uint16",
            fix="convert it (a probability times 255, for example)",
        )
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (3, 4)):
        raise ImageError(
            f"The {what} has the wrong shape",
            found=image.shape,
            allowed="height x width (gray), height x width x 3 (BGR) or x 4 (BGR and alpha)",
        )


def size_text(image: NDArray[Any]) -> str:
    """Format the size of an image as ``WIDTHxHEIGHT``."""
    return f"{image.shape[1]}x{image.shape[0]}"


def kind_text(image: NDArray[Any]) -> str:
    """Name the channels of an image."""
    return "gray" if image.ndim == 2 else {3: "colour", 4: "colour with alpha"}[image.shape[2]]
