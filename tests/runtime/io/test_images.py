from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from fusiongcn_edge.runtime.errors import DamagedImageError, ImageError, OutputError
from fusiongcn_edge.runtime.io.images import (
    LONGEST_SIDE,
    Encoding,
    check_writable,
    read_image,
    read_photograph,
    write_image,
    write_images,
)
from fusiongcn_edge.runtime.io.validation import check_pair
from fusiongcn_edge.runtime.networks.fusiongcn_inputs import network_input
from helpers.disks import fill_after
from helpers.paths import EXAMPLE
from helpers.refusals import refused

Picture = NDArray[Any]

SHAPES = {"gray": (21, 34), "colour": (21, 34, 3), "alpha": (21, 34, 4)}


def noise(kind: str, dtype: type[np.unsignedinteger]) -> Picture:
    return np.random.default_rng(6).integers(0, np.iinfo(dtype).max + 1, SHAPES[kind], dtype=dtype)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
def test_what_is_written_is_what_is_read(
    kind: str, dtype: type[np.unsignedinteger], suffix: str, tmp_path: Path
) -> None:
    image = noise(kind, dtype)
    write_image(tmp_path / f"picture{suffix}", image)
    found = read_image(tmp_path / f"picture{suffix}")
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize(("kind", "suffix"), [("colour", ".webp"), ("colour", ".bmp"), ("gray", ".bmp")])
def test_other_lossless_formats_keep_every_pixel(kind: str, suffix: str, tmp_path: Path) -> None:
    image = noise(kind, np.uint8)
    write_image(tmp_path / f"picture{suffix}", image)
    np.testing.assert_array_equal(read_image(tmp_path / f"picture{suffix}"), image)


def test_webp_keeps_alpha(tmp_path: Path) -> None:
    image = noise("alpha", np.uint8)
    image[:, :, 3] |= 1  # the format does not keep the colour of fully transparent pixels
    write_image(tmp_path / "picture.webp", image)
    np.testing.assert_array_equal(read_image(tmp_path / "picture.webp"), image)


@pytest.mark.parametrize("kind", ["gray", "colour"])
@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_keeps_the_picture_but_not_every_pixel(kind: str, suffix: str, tmp_path: Path) -> None:
    image = cv2.GaussianBlur(noise(kind, np.uint8), (0, 0), 3)
    write_image(tmp_path / f"picture{suffix}", image)
    found = read_image(tmp_path / f"picture{suffix}")
    assert found.shape == image.shape
    assert np.abs(found.astype(int) - image).mean() < 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["unspecified", "assocalpha", "unassalpha"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_alpha_of_tiff_does_not_darken_colours(
    order: str, big: bool, kind: str, dtype: type[np.unsignedinteger], tmp_path: Path
) -> None:
    image = np.random.default_rng(4).integers(0, np.iinfo(dtype).max, (20, 30, 4), dtype=dtype)
    rgba = image[:, :, [2, 1, 0, 3]]
    tifffile.imwrite(
        tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=[kind], bigtiff=big, byteorder=order
    )  # fmt: skip
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), image)


@pytest.mark.parametrize("kind", [{"photometric": "miniswhite"}, {"photometric": "rgb", "planarconfig": "separate"}])
def test_tiff_of_a_kind_that_would_be_read_wrong_is_refused(kind: dict[str, str], tmp_path: Path) -> None:
    image = np.random.default_rng(4).integers(0, 255, (3, 20, 30), dtype=np.uint8)
    image = image if "planarconfig" in kind else image[0]
    seen = 255 - image if "planarconfig" not in kind else image.transpose(1, 2, 0)[:, :, ::-1]
    tifffile.imwrite(tmp_path / "8.tif", image, **kind)
    np.testing.assert_array_equal(read_image(tmp_path / "8.tif"), seen)
    tifffile.imwrite(tmp_path / "16.tif", image.astype(np.uint16) * 257, **kind)
    found = refused(ImageError, read_image, tmp_path / "16.tif").found
    assert found == {"miniswhite": "white is 0 in it"}.get(
        kind["photometric"], "its colours lie one after the other, not side by side"
    )


def test_colour_comes_as_blue_green_red(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (255, 0, 10)).save(tmp_path / "red.png")
    assert read_image(tmp_path / "red.png")[0, 0].tolist() == [10, 0, 255]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    error = refused(ImageError, read_image, tmp_path / "none.png")
    assert str(tmp_path / "none.png") in error.problem
    assert error.fix == "check the path"


def test_a_folder_is_no_photograph(tmp_path: Path) -> None:
    assert refused(ImageError, read_image, tmp_path).problem == f"{tmp_path} is a folder"


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    error = refused(ImageError, read_image, tmp_path / "secret.png")
    assert str(tmp_path / "secret.png") in error.problem
    assert error.found == "Permission denied"


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture\n", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0" + bytes(60), b"BM" + bytes(99)],
)
def test_a_file_that_is_no_image_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(content)
    assert str(tmp_path / "picture.png") in refused(DamagedImageError, read_image, tmp_path / "picture.png").problem


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_damaged_photograph_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"half{suffix}"
    write_image(path, noise("colour", np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(DamagedImageError, read_image, path)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_samples_that_are_neither_8_nor_16_bits_are_refused(dtype: type, tmp_path: Path) -> None:
    Image.fromarray(np.ones((8, 8), dtype)).save(tmp_path / "picture.tif")
    error = refused(ImageError, read_image, tmp_path / "picture.tif")
    assert str(np.dtype(dtype)) in error.problem
    assert error.allowed == "uint8 or uint16"


@pytest.mark.parametrize(
    ("name", "image", "kind", "part"),
    [
        ("picture", noise("gray", np.uint8), ImageError, "no suffix, expected one of .bmp"),
        ("picture.xyz", noise("gray", np.uint8), ImageError, ".xyz, expected one of .bmp"),
        ("picture.jpg", noise("colour", np.uint16), ImageError, "16 bits"),
        ("picture.webp", noise("colour", np.uint16), ImageError, "16 bits"),
        ("picture.jpg", noise("alpha", np.uint8), ImageError, "alpha"),
        ("picture.bmp", noise("alpha", np.uint8), ImageError, "alpha"),
        ("no/such/folder/picture.png", noise("gray", np.uint8), OutputError, "does not exist"),
        ("folder.png", noise("gray", np.uint8), OutputError, "is a folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    name: str, image: Picture, kind: type[ImageError | OutputError], part: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.png").mkdir()
    assert part in str(refused(kind, check_writable, tmp_path / name, image))
    assert part in str(refused(kind, write_image, tmp_path / name, image))
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (np.zeros((8, 8), np.float32), np.dtype(np.float32)),
        (np.zeros((8, 8), bool), np.dtype(bool)),
        (np.zeros((8, 8, 2), np.uint8), (8, 8, 2)),
        (np.zeros((0, 8), np.uint8), "shape (0, 8)"),
        (None, None),
        ("picture", "str"),
    ],
)
def test_what_is_no_picture_is_not_written(picture: Any, found: object, tmp_path: Path) -> None:
    assert refused(ImageError, write_image, tmp_path / "x.png", picture).found == found
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "found", "allowed"),
    [
        ({"jpeg_quality": 101}, "101", "a whole number from 1 to 100"),
        ({"png_compression": 1.5}, "1.5", "a whole number from 0 to 9"),
        ({"tiff_compression": "zip"}, "'zip'", "one of none, lzw, deflate"),
    ],
)
def test_an_encoding_that_there_is_not_is_refused(options: dict[str, Any], found: str, allowed: str) -> None:
    error = refused(ImageError, Encoding, **options)
    assert (error.found, error.allowed) == (found, allowed)


def test_metadata_of_nothing_that_is_written_is_refused(tmp_path: Path) -> None:
    image, metadata = noise("gray", np.uint8), read_photograph(EXAMPLE / "near.jpg").metadata
    error = refused(ImageError, write_images, {tmp_path / "x.png": image}, Encoding(), {tmp_path / "y.png": metadata})
    assert str(tmp_path / "y.png") in error.problem
    assert not list(tmp_path.iterdir())


def test_what_is_no_path_is_no_photograph() -> None:
    assert refused(ImageError, read_image, None).found == "None"


def test_a_name_that_no_shell_has_expanded_is_told(tmp_path: Path) -> None:
    assert refused(ImageError, read_image, tmp_path / "*.tif").found == "nothing matches it"


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == tmp_path and mode == os.W_OK))
    assert str(tmp_path) in refused(OutputError, write_image, tmp_path / "a.png", noise("gray", np.uint8)).problem


def test_an_image_larger_than_its_format_allows_is_refused(tmp_path: Path) -> None:
    for suffix, most in LONGEST_SIDE.items():
        longest = np.zeros((most, 1), np.uint8)
        write_image(tmp_path / f"long{suffix}", longest)
        error = refused(ImageError, check_writable, tmp_path / f"wide{suffix}", np.zeros((1, most + 1), np.uint8))
        assert (error.found, error.allowed) == (f"{most + 1}x1 pixels", f"at most {most:,} a side")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_no_file(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    error = refused(OutputError, write_image, tmp_path / "picture.png", noise("gray", np.uint8))
    assert error.found == "No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_an_older_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "picture.png").write_text("older")
    monkeypatch.setattr(os, "fsync", full)
    refused(OutputError, write_image, tmp_path / "picture.png", noise("gray", np.uint8))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("picture.png", "older")]


def test_an_interruption_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / "picture.png", noise("gray", np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("successes", [0, 1, 2])
def test_several_images_are_written_all_or_none(
    step: str, successes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {tmp_path / f"{kind}.png": noise(kind, np.uint8) for kind in SHAPES}
    with monkeypatch.context() as patch:
        fill_after(patch, step, successes)
        refused(OutputError, write_images, images)
    assert list(tmp_path.iterdir()) == []
    write_images(images)
    for path, image in images.items():
        np.testing.assert_array_equal(read_image(path), image)


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_image(tmp_path / "picture.png", noise("gray", np.uint8))
    assert (tmp_path / "picture.png").stat().st_mode == (tmp_path / "usual").stat().st_mode


gray, colour, alpha = (np.zeros(shape, np.uint8) for shape in SHAPES.values())


@pytest.mark.parametrize(
    ("first", "second", "found", "remedy"),
    [
        (colour, colour[:, :-1], "34x21 and 33x21 pixels", "crop or resize"),
        (colour, colour.transpose(1, 0, 2), "34x21 and 21x34 pixels", "turn one"),
        (gray, gray[:-1], "34x21 and 34x20 pixels", "crop or resize"),
        (gray, colour, "gray and colour", "convert one"),
        (colour, alpha, "colour and colour with alpha", "convert one"),
        (gray, gray.astype(np.uint16), "8 and 16", "convert one"),
    ],
)
def test_a_pair_that_differs_is_refused(first: Picture, second: Picture, found: str, remedy: str) -> None:
    error = refused(ImageError, check_pair, first, second, 16)
    assert error.found == found
    assert error.fix.startswith(remedy)


@pytest.mark.parametrize(
    ("first", "second", "found", "named"),
    [
        (gray.astype(np.float32), gray, np.dtype(np.float32), "first"),
        (gray, gray.astype(np.int8), np.dtype(np.int8), "second"),
        (gray, gray.tolist(), "list", "second"),
        (None, gray, None, "first photograph is None, which is what cv2.imread gives"),
        (gray[0], gray[0], (34,), "first"),
        (colour[:, :, :2], colour[:, :, :2], (21, 34, 2), "first"),
        (colour[None], colour[None], (1, 21, 34, 3), "first"),
    ],
)
def test_what_is_no_photograph_is_refused(first: Any, second: Any, found: object, named: str) -> None:
    error = refused(ImageError, check_pair, first, second, 16)
    assert error.found == found
    assert named in error.problem


@pytest.mark.parametrize("image", [gray[:15], gray[:, :15], gray[:0]])
def test_photographs_smaller_than_a_model_serves_are_refused(image: Picture) -> None:
    error = refused(ImageError, check_pair, image, image, 16)
    assert (error.found, error.allowed) == (
        f"{image.shape[1]}x{image.shape[0]} pixels",
        "at least 16 on each side",
    )


@pytest.mark.parametrize("image", [gray, colour, alpha, gray.astype(np.uint16), gray[:16, :16]])
def test_a_pair_of_equal_kind_is_accepted(image: Picture) -> None:
    check_pair(image, image, 16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_network_sees_red_green_blue_between_minus_one_and_one(dtype: type[np.unsignedinteger]) -> None:
    top = np.iinfo(dtype).max
    first = np.zeros((2, 2, 3), dtype)
    first[0, 0], first[1, 1] = (0, top, 0), (top, 0, 0)
    images = network_input(first, np.full_like(first, top))
    assert images.dtype == np.float32
    assert images.shape == (2, 3, 2, 2)
    assert images[0, :, 0, 0].tolist() == [-1, 1, -1]
    assert images[0, :, 1, 1].tolist() == [-1, -1, 1]
    assert images[1].min() == images[1].max() == 1


def test_the_network_sees_every_level_as_the_published_scaling_gives_it() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = (levels.astype(np.float64) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(network_input(levels, levels)[1, 2], expected, rtol=0, atol=1e-7)


def test_gray_is_repeated_and_alpha_left_out() -> None:
    picture = noise("alpha", np.uint8)
    np.testing.assert_array_equal(network_input(picture, picture), network_input(picture[:, :, :3], picture[:, :, :3]))
    plane = noise("gray", np.uint8)
    repeated = np.dstack([plane] * 3)
    np.testing.assert_array_equal(network_input(plane, plane), network_input(repeated, repeated))
