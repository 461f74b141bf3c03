"""HEIC and camera RAW: read upright with their EXIF, refused when damaged or when a library is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import DamagedImageError, ImageError
from fusiongcn_edge.runtime.io.images import read_image, read_photograph
from helpers.camera_files import NOTE, SOFTWARE, SRGB, Tag, bayer_dng, camera_exif, copied, told
from helpers.refusals import refused

Picture = NDArray[Any]


@pytest.mark.parametrize("depth", [8, 16])
def test_heic_is_read_upright_with_its_exif(depth: int, picture: Picture, tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif, of the extra heic, is not installed")
    samples = picture.astype(np.uint16) * 257 if depth == 16 else picture
    stored = heif.from_bytes("RGB;16" if depth == 16 else "RGB", (48, 32), samples.tobytes())
    stored.info["icc_profile"] = SRGB
    stored.save(tmp_path / "a.heic", quality=-1, exif=camera_exif(6).tobytes())
    photograph = read_photograph(tmp_path / "a.heic")
    assert photograph.pixels.dtype == (np.uint16 if depth == 16 else np.uint8)
    shown = np.rot90(samples, -1)[:, :, ::-1].astype(int)
    assert photograph.pixels.shape == shown.shape
    assert np.abs(photograph.pixels - shown).mean() < np.iinfo(samples.dtype).max / 50
    found = told(copied(tmp_path / "a.heic", tmp_path / "b.png"))
    assert (found["Model"], found["Orientation"], found["photo"][Tag.MakerNote]) == ("Camera 7", 1, NOTE)


def test_camera_raw_is_developed_to_sixteen_bits_upright(tmp_path: Path) -> None:
    pytest.importorskip("rawpy", reason="rawpy, of the extra raw, is not installed")
    sensor = np.full((64, 96), 1000, np.uint16)
    sensor[:16, :32] = 12_000
    bayer_dng(tmp_path / "a.dng", sensor, 6)
    photograph = read_photograph(tmp_path / "a.dng")
    assert photograph.pixels.dtype == np.uint16
    assert photograph.pixels.shape == (96, 64, 3)
    corners = photograph.pixels[5, -5], photograph.pixels[5, 5], photograph.pixels[-5, 5]
    assert corners[0].min() > 3 * corners[1].max()
    np.testing.assert_array_equal(corners[1], corners[2])
    sensor[40:, 40:] = 16_000  # a highlight elsewhere, as one frame of a stack may have it, changes nothing
    bayer_dng(tmp_path / "b.dng", sensor, 6)
    np.testing.assert_array_equal(read_photograph(tmp_path / "b.dng").pixels[5, -5], corners[0])
    found = told(copied(tmp_path / "a.dng", tmp_path / "b.tif"))
    assert (found["Model"], found["Orientation"], found["Software"]) == ("Camera 7", 1, SOFTWARE)


@pytest.mark.parametrize(("suffix", "library"), [(".heic", "pillow_heif"), (".dng", "rawpy"), (".NEF", "rawpy")])
def test_damaged_heic_and_raw_are_refused(suffix: str, library: str, tmp_path: Path) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    for content in (b"", b"no photograph " * 20):
        (tmp_path / f"a{suffix}").write_bytes(content)
        assert str(tmp_path / f"a{suffix}") in refused(DamagedImageError, read_image, tmp_path / f"a{suffix}").problem


@pytest.mark.parametrize(
    ("suffix", "library", "extra"),
    [(".heic", "pillow-heif", "heic"), (".HEIF", "pillow-heif", "heic"), (".dng", "rawpy", "raw")],
)
def test_a_missing_library_is_named_with_its_extra(
    suffix: str, library: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library.replace("-", "_"), None)
    (tmp_path / f"a{suffix}").write_bytes(b"anything")
    error = refused(ImageError, read_image, tmp_path / f"a{suffix}")
    assert library in error.problem
    assert f"[{extra}]" in error.fix
