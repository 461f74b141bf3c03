"""What a file tells beside its pixels, told again by the file that is written: read with Pillow and tifffile."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime.errors import ImageError
from fusiongcn_edge.runtime.io.exif import exif_of_result
from fusiongcn_edge.runtime.io.images import Encoding, read_image, read_photograph, write_image, write_images
from fusiongcn_edge.runtime.io.metadata import Metadata, insert_metadata, read_metadata
from fusiongcn_edge.runtime.io.validation import check_layouts
from helpers.camera_files import FORMATS, NOTE, SOFTWARE, SRGB, Tag, camera_exif, copied, save, told
from helpers.refusals import refused

Picture = NDArray[Any]


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", [*FORMATS, ".webp"])
def test_exif_and_profile_survive(source: str, target: str, picture: Picture, tmp_path: Path) -> None:
    save(tmp_path / f"source{source}", picture, camera_exif())
    found = told(copied(tmp_path / f"source{source}", tmp_path / f"target{target}"))
    assert (found["Make"], found["Model"]) == ("Maker", "Camera 7")
    assert found["Orientation"] == 1
    assert found["DateTime"] == "2024:05:06 07:08:09"
    assert found["Software"] == SOFTWARE
    assert found["photo"][Tag.ExposureTime] == pytest.approx(1 / 250)
    assert found["photo"][Tag.FNumber] == pytest.approx(2.8)
    assert found["photo"][Tag.ISOSpeedRatings] == 400
    assert found["photo"][Tag.MakerNote] == NOTE
    assert (found["photo"][Tag.ExifImageWidth], found["photo"][Tag.ExifImageHeight]) == (48, 32)
    assert found["gps"][1] == "N"
    assert [float(part) for part in found["gps"][2]] == [47, 22, 30]
    assert found["profile"] == SRGB


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_photograph_is_turned_upright_once(
    mode: str, orientation: int, source: str, picture: Picture, tmp_path: Path
) -> None:
    shown = picture if mode == "RGB" else picture[:, :, 0]
    save(tmp_path / f"source{source}", np.ascontiguousarray(shown), camera_exif(orientation), profile=None)
    # Pillow turns some TIFF files while it loads them: it judges by the same picture as PNG
    save(tmp_path / "lossless.png", np.ascontiguousarray(shown), camera_exif(orientation), profile=None)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "lossless.png")))
    found = read_image(tmp_path / f"source{source}")
    found = found if mode == "L" else found[:, :, ::-1]
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 3
    copied(tmp_path / f"source{source}", tmp_path / "target.png")
    with Image.open(tmp_path / "target.png") as written:
        assert written.getexif()[Tag.Orientation] == 1
        np.testing.assert_array_equal(np.asarray(written), found)
        assert written.getexif().get_ifd(ExifTags.IFD.Exif)[Tag.ExifImageWidth] == found.shape[1]


@pytest.mark.parametrize("header", [b"", b"Exif\0\0"])  # which is not a WebP file's, but some have it
@pytest.mark.parametrize("orientation", range(1, 9))
def test_webp_is_turned_upright(orientation: int, header: bytes, picture: Picture, tmp_path: Path) -> None:
    exif = camera_exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    Image.fromarray(picture).save(tmp_path / "a.webp", lossless=True, exif=header + exif)
    save(tmp_path / "b.png", picture, camera_exif(orientation))
    np.testing.assert_array_equal(read_image(tmp_path / "a.webp"), read_image(tmp_path / "b.png"))


@pytest.mark.parametrize("target", FORMATS)
def test_a_file_without_metadata_gives_one_that_names_the_software(
    target: str, picture: Picture, tmp_path: Path
) -> None:
    save(tmp_path / "source.png", picture, profile=None)
    found = told(copied(tmp_path / "source.png", tmp_path / f"target{target}"))
    assert (found["Software"], found["Orientation"], found["profile"]) == (SOFTWARE, 1, None)
    assert found["photo"] == found["gps"] == {}


@pytest.mark.parametrize("command", ["fuse", "stack", "batch"])
def test_profiles_that_differ_are_told_of(
    command: str, picture: Picture, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    large = np.tile(picture, (2, 2, 1))
    for side, profile in (("a", SRGB), ("b", None)):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        save(tmp_path / "pairs" / side / "x.png", np.roll(large, 3 * (side == "b"), 0), profile=profile)
    a, b = (str(tmp_path / "pairs" / side / "x.png") for side in "ab")
    output = ["-o", str(tmp_path / ("out" if command == "batch" else "out.png"))]
    sources = [str(tmp_path / "pairs")] if command == "batch" else [a, b]
    assert main([command, *sources, *output]) == 0
    assert "different colour profiles" in "".join(capfd.readouterr())
    save(Path(b), np.roll(large, 3, 0))
    assert main([command, *sources, *output]) == 0
    assert "colour profiles" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate"])
@pytest.mark.parametrize("shape", [(32, 48), (32, 48, 3), (32, 48, 4)])
def test_sixteen_bits_survive_from_tiff_to_tiff(shape: tuple[int, ...], compression: str, tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 65_536, shape, dtype=np.uint16)
    colour = "minisblack" if image.ndim == 2 else "rgb"
    profile = SRGB if image.ndim == 3 else None
    tags: dict[str, Any] = {"extratags": [(271, "s", 0, "Maker", True)], "iccprofile": profile}
    tags |= {"extrasamples": ["unassalpha"]} if shape[-1] == 4 else {}
    tifffile.imwrite(tmp_path / "a.tif", image, photometric=colour, byteorder=">", **tags)
    photograph = read_photograph(tmp_path / "a.tif")
    encoding = Encoding(tiff_compression=compression)
    write_images({tmp_path / "b.tif": photograph.pixels}, encoding, {tmp_path / "b.tif": photograph.metadata})
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        page = file.pages.first
        assert page.tags["Make"].value == "Maker"
        assert page.tags["Software"].value == SOFTWARE
        assert (page.tags["InterColorProfile"].value if profile else None) == profile
        assert page.compression.name == {"none": "NONE", "lzw": "LZW", "deflate": "ADOBE_DEFLATE"}[compression]
        if compression != "lzw":  # which tifffile reads with another library only
            np.testing.assert_array_equal(page.asarray(), image)
    bgr = image if image.ndim == 2 else image[:, :, [2, 1, 0, 3][: shape[2]]]
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif"), bgr)


@pytest.mark.parametrize("shape", [(32, 48), (32, 48, 3)])
def test_sixteen_bits_survive_from_tiff_to_png(shape: tuple[int, ...], tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 65_536, shape, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack" if image.ndim == 2 else "rgb")
    data = copied(tmp_path / "a.tif", tmp_path / "b.png").read_bytes()
    assert struct.unpack_from(">IIBB", data, 16) == (48, 32, 16, 0 if image.ndim == 2 else 2)
    stored = read_image(tmp_path / "b.png")
    np.testing.assert_array_equal(stored if image.ndim == 2 else stored[:, :, ::-1], image)


@pytest.mark.parametrize(("format_", "size"), [(".jpg", 100_000), (".jpg", 700_000), (".png", 700_000)])
def test_a_large_profile_survives(format_: str, size: int, picture: Picture, tmp_path: Path) -> None:
    profile = bytearray(SRGB + np.random.default_rng(0).bytes(size - len(SRGB)))
    profile[:4] = struct.pack(">I", len(profile))
    save(tmp_path / f"a{format_}", picture, profile=bytes(profile))
    assert told(copied(tmp_path / f"a{format_}", tmp_path / f"b{format_}"))["profile"] == profile


def test_a_profile_for_other_channels_is_left_out(tmp_path: Path) -> None:
    cmyk = bytearray(SRGB)
    cmyk[16:20] = b"CMYK"
    Image.new("CMYK", (16, 16), (10, 200, 30, 0)).save(tmp_path / "a.jpg", icc_profile=bytes(cmyk))
    assert read_image(tmp_path / "a.jpg").shape == (16, 16, 3)
    assert told(copied(tmp_path / "a.jpg", tmp_path / "b.png"))["profile"] is None


@given(st.data())
def test_no_damage_to_a_file_s_metadata_raises(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["jpeg", "png", "tiff"]))
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, kind, exif=camera_exif(), icc_profile=SRGB)
    damaged = bytearray(file.getvalue())
    start = 12 if kind != "tiff" else 4
    for place in data.draw(st.lists(st.integers(start, len(damaged) - 1), max_size=20)):
        damaged[place] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(start, len(damaged)))])
    metadata = read_metadata(cut)
    for target in ("jpeg", "png"):
        clean = io.BytesIO()
        Image.new("RGB", (16, 16)).save(clean, target)
        with Image.open(io.BytesIO(insert_metadata(clean.getvalue(), metadata, (16, 16, 3)))) as written:
            assert written.getexif()[Tag.Software] == SOFTWARE
            written.load()


def test_a_profile_that_unpacks_without_end_is_cut_off() -> None:
    content = b"p\0\0" + zlib.compress(bytes(1 << 26))
    chunk = struct.pack(">I", len(content)) + b"iCCP" + content + bytes(4)
    profile = read_metadata(b"\x89PNG\r\n\x1a\n" + chunk).profile
    assert profile is not None
    assert len(profile) <= 1 << 24


def test_other_formats_are_written_without_metadata(picture: Picture, tmp_path: Path) -> None:
    source = Metadata(exif_of_result(None, 32, 48), SRGB)
    for name in ("a.webp", "a.bmp"):
        write_image(tmp_path / name, picture)
        before = (tmp_path / name).read_bytes()
        assert insert_metadata(before, source, picture.shape) == before


def test_what_is_written_twice_tells_the_same(picture: Picture, tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", picture, camera_exif(6))
    copied(tmp_path / "a.jpg", tmp_path / "b.tif")
    copied(tmp_path / "b.tif", tmp_path / "c.tif")
    assert told(tmp_path / "b.tif") == told(tmp_path / "c.tif")


# orientations that contradict each other


def test_photographs_stored_alike_and_turned_differently_are_refused() -> None:
    error = refused(ImageError, check_layouts, {"a.jpg": (1, 30, 40), "b.jpg": (1, 30, 40), "c.jpg": (6, 30, 40)})
    assert "a.jpg and c.jpg" in error.problem
    assert error.found == "1 and 6"


@pytest.mark.parametrize("other", [(1, 40, 30), (None, 30, 40), (6, 30, 40)])
def test_photographs_that_were_turned_by_an_editor_are_not(other: tuple[int | None, int, int]) -> None:
    check_layouts({"a.jpg": (6, 30, 40), "b.jpg": other})


# the command


@pytest.fixture
def folder(tmp_path: Path, photographs: tuple[Picture, Picture], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, holding the pair ``a.jpg`` and ``b.jpg``, stored on their sides."""
    monkeypatch.chdir(tmp_path)
    for name, image in zip(("a.jpg", "b.jpg"), photographs, strict=True):
        save(Path(name), np.rot90(image[:, :, ::-1]), camera_exif(6))
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("target", FORMATS)
def test_fuse_tells_what_the_first_photograph_told(target: str, random_bundle: Path) -> None:
    outputs = ["-o", f"fused{target}", "--decision-map", "map.png"]
    assert main(["fuse", "a.jpg", "b.jpg", *outputs, "--model", str(random_bundle)]) == 0
    found = told(Path(f"fused{target}"))
    assert (found["Model"], found["Software"], found["Orientation"]) == ("Camera 7", SOFTWARE, 1)
    assert found["profile"] == SRGB
    with Image.open(f"fused{target}") as image:
        assert image.size == (128, 96)
    assert "Make" not in told(Path("map.png"))


@pytest.mark.usefixtures("folder")
def test_fuse_refuses_contradicting_orientations(
    random_bundle: Path, photographs: tuple[Picture, Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    save(Path("b.jpg"), np.rot90(photographs[1]), camera_exif(8))
    assert main(["fuse", "a.jpg", "b.jpg", "-o", "fused.png", "--model", str(random_bundle)]) == 2
    assert "orientations (6 and 8)" in capfd.readouterr().err
    assert not Path("fused.png").exists()


@pytest.mark.usefixtures("folder")
def test_quality_and_compression_are_options(random_bundle: Path) -> None:
    def fused(name: str, *options: str) -> int:
        assert main(["fuse", "a.jpg", "b.jpg", "-o", name, *options, "--model", str(random_bundle)]) == 0
        return Path(name).stat().st_size

    assert fused("a1.jpg", "--jpeg-quality", "50") < fused("a2.jpg") < fused("a3.jpg", "--jpeg-quality", "100")
    assert fused("a1.png", "--png-compression", "0") > fused("a2.png", "--png-compression", "9")
    np.testing.assert_array_equal(read_image("a1.png"), read_image("a2.png"))
    fused("a.tif", "--tiff-compression", "deflate")
    with tifffile.TiffFile("a.tif") as file:
        assert file.pages.first.compression.name == "ADOBE_DEFLATE"


@pytest.mark.parametrize(
    "option", [["--jpeg-quality", "0"], ["--jpeg-quality", "101"], ["--png-compression", "x"], ["--png-compression=-1"]]
)
def test_a_quality_that_cannot_be_is_refused(option: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fuse", "a.jpg", "b.jpg", "-o", "fused.jpg", *option])
    assert caught.value.code == 2
    assert "give a whole number from" in capfd.readouterr().err
