from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from fusiongcn_edge.runtime import FusionError, ImageError
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
from helpers.paths import EXAMPLE

Picture = NDArray[Any]

SHAPES = {"gray": (21, 34), "colour": (21, 34, 3), "alpha": (21, 34, 4)}


def noise(kind: str, dtype: type[np.unsignedinteger]) -> Picture:
    return np.random.default_rng(6).integers(0, np.iinfo(dtype).max + 1, SHAPES[kind], dtype=dtype)


def refusal(function: Callable[..., object], *arguments: object) -> str:
    """The sentence with which something is refused."""
    with pytest.raises(FusionError) as caught:
        function(*arguments)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


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
    with pytest.raises(ImageError, match=r"16.tif is a TIFF with 16 bits of a kind that cannot be read \(.*PNG"):
        read_image(tmp_path / "16.tif")


def test_colour_comes_as_blue_green_red(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (255, 0, 10)).save(tmp_path / "red.png")
    assert read_image(tmp_path / "red.png")[0, 0].tolist() == [10, 0, 255]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert f"no file {tmp_path / 'none.png'}" in refusal(read_image, tmp_path / "none.png")


def test_a_folder_is_no_photograph(tmp_path: Path) -> None:
    assert "is a folder" in refusal(read_image, tmp_path)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert "cannot be read (Permission denied)" in refusal(read_image, tmp_path / "secret.png")


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture\n", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0" + bytes(60), b"BM" + bytes(99)],
)
def test_a_file_that_is_no_image_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(content)
    assert "is no image that can be read" in refusal(read_image, tmp_path / "picture.png")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_damaged_photograph_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"half{suffix}"
    write_image(path, noise("colour", np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "is damaged" in refusal(read_image, path)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_samples_that_are_neither_8_nor_16_bits_are_refused(dtype: type, tmp_path: Path) -> None:
    Image.fromarray(np.ones((8, 8), dtype)).save(tmp_path / "picture.tif")
    assert f"samples of type {np.dtype(dtype)}" in refusal(read_image, tmp_path / "picture.tif")


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("picture", noise("gray", np.uint8), "known image format"),
        ("picture.xyz", noise("gray", np.uint8), "known image format"),
        ("picture.jpg", noise("colour", np.uint16), "16 bits"),
        ("picture.webp", noise("colour", np.uint16), "16 bits"),
        ("picture.jpg", noise("alpha", np.uint8), "alpha"),
        ("picture.bmp", noise("alpha", np.uint8), "alpha"),
        ("no/such/folder/picture.png", noise("gray", np.uint8), "does not exist"),
        ("folder.png", noise("gray", np.uint8), "is a folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    name: str, image: Picture, message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.png").mkdir()
    assert message in refusal(check_writable, tmp_path / name, image)
    assert message in refusal(write_image, tmp_path / name, image)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((8, 8), np.float32), "picture is float32: give a numpy array of uint8 or uint16"),
        (np.zeros((8, 8), bool), "picture is bool"),
        (np.zeros((8, 8, 2), np.uint8), "picture has shape"),
        (np.zeros((0, 8), np.uint8), "no pixels"),
        (None, "cannot read"),
        ("picture", "picture is str"),
    ],
)
def test_what_is_no_picture_is_not_written(picture: Any, message: str, tmp_path: Path) -> None:
    assert message in refusal(write_image, tmp_path / "x.png", picture)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jpeg_quality": 101}, "101 is no JPEG quality: give a whole number from 1 to 100"),
        ({"png_compression": 1.5}, "1.5 is no PNG compression"),
        ({"tiff_compression": "zip"}, "use one of none, lzw, deflate"),
    ],
)
def test_an_encoding_that_there_is_not_is_refused(options: dict[str, Any], message: str) -> None:
    assert message in refusal(lambda: Encoding(**options))


def test_metadata_of_nothing_that_is_written_is_refused(tmp_path: Path) -> None:
    image, metadata = noise("gray", np.uint8), read_photograph(EXAMPLE / "near.jpg").metadata
    told = refusal(write_images, {tmp_path / "x.png": image}, Encoding(), {tmp_path / "y.png": metadata})
    assert "y.png, which is not written" in told
    assert not list(tmp_path.iterdir())


def test_what_is_no_path_is_no_photograph() -> None:
    assert "None is no path" in refusal(read_image, None)


def test_a_name_that_no_shell_has_expanded_is_told(tmp_path: Path) -> None:
    assert "*.tif: nothing matches it" in refusal(read_image, tmp_path / "*.tif")


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == tmp_path and mode == os.W_OK))
    assert f"{tmp_path} cannot be written to" in refusal(write_image, tmp_path / "a.png", noise("gray", np.uint8))


def test_an_image_larger_than_its_format_allows_is_refused(tmp_path: Path) -> None:
    for suffix, most in LONGEST_SIDE.items():
        longest = np.zeros((most, 1), np.uint8)
        write_image(tmp_path / f"long{suffix}", longest)
        sentence = refusal(check_writable, tmp_path / f"wide{suffix}", np.zeros((1, most + 1), np.uint8))
        assert f"cannot hold {most + 1}x1 pixels, but at most {most:,} a side" in sentence


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_a_full_disk_leaves_no_file(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    sentence = refusal(write_image, tmp_path / "picture.png", noise("gray", np.uint8))
    assert "cannot be written (No space left on device)" in sentence
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_an_older_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "picture.png").write_text("older")
    monkeypatch.setattr(os, "fsync", full)
    refusal(write_image, tmp_path / "picture.png", noise("gray", np.uint8))
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
    original, calls = getattr(os, step), []

    def full_later(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) > successes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments)

    images = {tmp_path / f"{kind}.png": noise(kind, np.uint8) for kind in SHAPES}
    with monkeypatch.context() as patch:
        patch.setattr(os, step, full_later)
        assert "cannot be written" in refusal(write_images, images)
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
    ("first", "second", "message"),
    [
        (colour, colour[:, :-1], "differ in size (34x21 and 33x21 pixels)"),
        (gray, gray[:-1], "differ in size"),
        (gray, colour, "channels (gray and colour)"),
        (colour, alpha, "channels (colour and colour with alpha)"),
        (gray, gray.astype(np.uint16), "bits per channel (8 and 16)"),
        (gray.astype(np.float32), gray, "first photograph is float32"),
        (gray, gray.astype(np.int8), "second photograph is int8"),
        (gray, gray.tolist(), "second photograph is list"),
        (None, gray, "first photograph is None, which is what cv2.imread gives for a file that it cannot read"),
        (gray[0], gray[0], "shape (34,)"),
        (colour[:, :, :2], colour[:, :, :2], "shape (21, 34, 2)"),
        (colour[None], colour[None], "shape (1, 21, 34, 3)"),
        (gray[:15], gray[:15], "34x15 pixels, and this model needs at least 16"),
        (gray[:, :15], gray[:, :15], "15x21 pixels, and this model needs at least 16"),
        (gray[:0], gray[:0], "34x0 pixels"),
    ],
)
def test_a_pair_that_cannot_be_fused_is_refused(first: Any, second: Any, message: str) -> None:
    assert message in refusal(check_pair, first, second, 16)


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
