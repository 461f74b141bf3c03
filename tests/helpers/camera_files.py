"""Photographs with what a camera tells beside their pixels, and what Pillow reads of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

from fusiongcn_edge import __version__
from fusiongcn_edge.runtime.io.images import read_photograph, write_images

Picture = NDArray[Any]
Tag = ExifTags.Base

FORMATS = [".jpg", ".png", ".tif"]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOTE = bytes(range(256)) * 3 + b"odd"
SOFTWARE = f"fusiongcn-edge {__version__}"


def camera_exif(orientation: int = 1) -> Image.Exif:
    """As a camera writes it, with exposure, maker's note and place, and with a thumbnail's size."""
    exif = Image.Exif()
    exif[Tag.Make], exif[Tag.Model], exif[Tag.Orientation] = "Maker", "Camera 7", orientation
    exif[Tag.Software], exif[Tag.DateTime] = "Firmware 1.0", "2024:05:06 07:08:09"
    exif[Tag.XResolution], exif[Tag.ImageWidth] = 72.0, 9999
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            Tag.ExposureTime: 1 / 250,
            Tag.ISOSpeedRatings: 400,
            Tag.DateTimeOriginal: "2024:05:06 07:08:09",
            Tag.ExifImageWidth: 9999,
            Tag.ExifImageHeight: 8888,
            Tag.MakerNote: NOTE,
            Tag.FNumber: 2.8,
        }
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (47.0, 22.0, 30.0)})
    loaded = Image.Exif()
    loaded.load(exif.tobytes())
    return loaded


def save(path: Path, picture: Picture, exif: Image.Exif | bytes | None = None, profile: bytes | None = SRGB) -> Path:
    """With Pillow, RGB or gray."""
    extra: dict[str, Any] = {} if exif is None else {"exif": exif}
    if path.suffix == ".tif" and isinstance(exif, Image.Exif):  # where Pillow leaves out the lists within the list
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        for tag, value in exif.items():
            tags[tag] = exif.get_ifd(tag) if tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo) else value
        del tags[Tag.ImageWidth]
        extra = {"tiffinfo": tags}
    Image.fromarray(picture).save(path, quality=95, icc_profile=profile, **extra)
    return path


def told(path: Path) -> dict[str, Any]:
    """What Pillow reads, without the details of how a file stores the picture."""
    with Image.open(path) as image:
        exif = image.getexif()
        found = {Tag(tag).name: value for tag, value in exif.items() if tag in (0x10F, 0x110, 0x112, 0x131, 0x132)}
        photo, gps = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
        thumbnail = exif.get_ifd(ExifTags.IFD.IFD1)
        return {**found, "photo": photo, "gps": gps, "thumbnail": thumbnail, "profile": image.info.get("icc_profile")}


def copied(source: Path, target: Path) -> Path:
    photograph = read_photograph(source)
    write_images({target: photograph.pixels}, metadata={target: photograph.metadata})
    return target


def bayer_dng(path: Path, sensor: Picture, orientation: int) -> None:
    """A camera's RAW file of 14 bits, whose colours are sRGB's."""
    identity = [number for i in range(9) for number in (int(i % 4 == 0), 1)]
    tags = [
        (50706, "B", 4, (1, 4, 0, 0), True),  # version of DNG
        (50708, "s", 0, "Maker Camera", True),
        (271, "s", 0, "Maker", True),
        (272, "s", 0, "Camera 7", True),
        (274, "H", 1, orientation, True),
        (33421, "H", 2, (2, 2), True),  # the pattern of the filters, red first
        (33422, "B", 4, (0, 1, 1, 2), True),
        (50714, "H", 1, 0, True),  # black and white level
        (50717, "H", 1, 16_383, True),
        (50721, 10, 9, identity, True),
        (50728, 5, 3, (1,) * 6, True),
        (50778, "H", 1, 21, True),
    ]
    tifffile.imwrite(path, sensor, photometric=32_803, planarconfig=1, extratags=tags)
