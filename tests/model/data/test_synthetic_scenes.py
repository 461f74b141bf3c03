"""Made scenes: physically what they claim, and always the same from the same seed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fusiongcn_edge.cli import main
from fusiongcn_edge.model import cli
from fusiongcn_edge.model.data import synthetic_scenes
from fusiongcn_edge.model.data.photos import Photographs
from fusiongcn_edge.model.data.synthetic_scenes import Scene, blank_scene, contact_sheet, make_scene, with_noise
from fusiongcn_edge.runtime.errors import FusionError


def test_a_scene_can_be_made_again(photo_folder: Path) -> None:
    first, again = (make_scene(Photographs(photo_folder), 64, seed=3, index=11) for _ in range(2))
    for name in ("a", "b", "truth", "matte", "weight"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    other = make_scene(Photographs(photo_folder), 64, seed=3, index=12)
    assert not np.array_equal(first.a, other.a)


def test_scenes_of_every_kind_are_made_in_the_promised_shape(photo_folder: Path) -> None:
    photographs = Photographs(photo_folder)
    made = [make_scene(photographs, 64, seed=0, index=index) for index in range(40)]
    assert {scene.kind for scene in made} == {"mask", "layers-2", "layers-3"}
    for scene in made:
        for image in (scene.a, scene.b, scene.truth):
            assert image.shape == (64, 64, 3)
            assert image.dtype == np.uint8
        for share in (scene.matte, scene.weight):
            assert share.shape == (64, 64)
            assert share.dtype == np.float32
            assert 0 <= share.min() <= share.max() <= 1


def test_where_the_matte_says_so_the_photograph_is_the_sharper_one(photo_folder: Path) -> None:
    photographs = Photographs(photo_folder)
    nearer = []
    for index in range(40):
        scene = make_scene(photographs, 96, seed=1, index=index)
        a, b = (np.abs(image.astype(float) - scene.truth).mean(axis=2) for image in (scene.a, scene.b))
        for mask, right, wrong in ((scene.matte > 0.99, a, b), (scene.matte < 0.01, b, a)):
            mask = mask & (scene.weight > 0.99)
            if mask.sum() > 200:
                nearer.append(right[mask].mean() < wrong[mask].mean())
    assert len(nearer) > 30
    assert np.mean(nearer) > 0.9


def test_a_defocused_foreground_spreads_over_a_sharp_background() -> None:
    size = 41
    background, foreground = np.zeros((size, size, 3), np.float32), np.full((size, size, 3), 200, np.float32)
    matte = np.zeros((size, size), np.float32)
    matte[:, :20] = 1
    kernel = synthetic_scenes.kernel(np.random.default_rng(0), 5.0, shape=0)
    sharp = synthetic_scenes._lay([background, foreground], [np.ones_like(matte), matte], [None, None])
    spread = synthetic_scenes._lay([background, foreground], [np.ones_like(matte), matte], [None, kernel])
    assert sharp[20, 22].max() == 0
    assert spread[20, 22].min() > 10  # two pixels outside the foreground
    assert spread[20, 30].max() == 0  # beyond the radius


def test_a_sharp_foreground_hides_a_blurred_background() -> None:
    size = 41
    background, foreground = np.full((size, size, 3), 200, np.float32), np.zeros((size, size, 3), np.float32)
    matte = np.zeros((size, size), np.float32)
    matte[:, :20] = 1
    kernel = synthetic_scenes.kernel(np.random.default_rng(0), 5.0, shape=0)
    laid = synthetic_scenes._lay([background, foreground], [np.ones_like(matte), matte], [kernel, None])
    assert laid[20, 19].max() == 0


@pytest.mark.parametrize("shape", [0, 1, 2])
@pytest.mark.parametrize("radius", [0.7, 3.3, 12.0])
def test_apertures_neither_brighten_nor_shift(shape: int, radius: float) -> None:
    kernel = synthetic_scenes.kernel(np.random.default_rng(5), radius, shape)
    assert kernel is not None
    assert kernel.sum() == pytest.approx(1, abs=1e-4)
    y, x = np.indices(kernel.shape) - (np.array(kernel.shape)[:, None, None] - 1) / 2
    if shape < 2:  # a polygon with an odd number of blades has its centre of mass beside its centre
        assert abs((kernel * y).sum()) < 1e-3
        assert abs((kernel * x).sum()) < 1e-3
    assert np.hypot(y, x)[kernel > 1e-6].max() <= max(radius * 1.5, 1) * 1.5 + 1


def test_an_empty_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FusionError, match="no photograph that can be used"):
        Photographs(tmp_path)
    with pytest.raises(FusionError, match="is no folder"):
        Photographs(tmp_path / "missing")


def test_unreadable_photographs_are_named_and_skipped(photo_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.png").write_bytes(next(photo_folder.glob("*.png")).read_bytes())
    (folder / "bad.jpg").write_bytes(b"no image")
    cv2.imwrite(str(folder / "small.png"), np.zeros((20, 20, 3), np.uint8))
    photographs = Photographs(folder)
    assert [path.name for path in photographs.paths] == ["good.png"]
    assert len(photographs.skipped) == 2
    assert any("bad.jpg" in reason for reason in photographs.skipped)
    assert any("small.png" in reason for reason in photographs.skipped)


def test_segmentations_beside_the_photographs_shape_the_scenes(photo_folder: Path, tmp_path: Path) -> None:
    images, segments = tmp_path / "images", tmp_path / "segments"
    images.mkdir()
    segments.mkdir()
    source = next(photo_folder.glob("*.png"))
    (images / source.name).write_bytes(source.read_bytes())
    plain = [make_scene(Photographs(images), 64, seed=0, index=index).matte for index in range(5)]
    height, width = cv2.imread(str(source)).shape[:2]
    regions = (np.indices((height, width)).sum(axis=0) // 40).astype(np.uint16)
    cv2.imwrite(str(segments / f"{source.stem}_1.png"), regions)
    shaped = [make_scene(Photographs(images), 64, seed=0, index=index).matte for index in range(5)]
    assert any(not np.array_equal(with_segments, without) for with_segments, without in zip(shaped, plain, strict=True))


@pytest.mark.parametrize("options", [["--count", "0"], ["--size", "5"], ["--seed", "-1"]])
def test_the_command_refuses_numbers_that_make_no_sense(
    options: list[str], photo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["scenes", "--photos", str(photo_folder), "-o", str(tmp_path / "sheet.png")]
    with pytest.raises(SystemExit):
        main([*command, *options])
    (told,) = capsys.readouterr().err.splitlines()
    assert f"{options[0]}: {options[1]!r} is not possible" in told
    assert not (tmp_path / "sheet.png").exists()


def test_the_command_does_not_overwrite_a_photograph(photo_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photograph = min(photo_folder.glob("*.png"))
    before = photograph.read_bytes()
    assert main(["scenes", "--photos", str(photo_folder), "-o", str(photograph)]) == 2
    assert "is one of the photographs" in capsys.readouterr().err
    assert photograph.read_bytes() == before


def test_the_contact_sheet_shows_each_scene(photo_folder: Path) -> None:
    sheet = contact_sheet(Photographs(photo_folder), 64, seed=0, count=3)
    assert sheet.shape == (2 * 64, 2 * 4 * 64, 3)
    scene = make_scene(Photographs(photo_folder), 64, seed=0, index=2)
    np.testing.assert_array_equal(sheet[64:, :64], scene.a)


def test_a_blank_scene_prefers_neither_photograph(photo_folder: Path) -> None:
    photographs = Photographs(photo_folder)
    for index in range(4):
        scene = blank_scene(photographs, 64, seed=0, index=index)
        assert (scene.matte == 0.5).all()
        assert scene.a.shape == scene.truth.shape == (64, 64, 3)
        difference = scene.a.astype(float) - scene.b
        assert 0 < np.abs(difference).mean() < 10


def test_noise_is_equally_strong_in_both_photographs(photo_folder: Path) -> None:
    scene = blank_scene(Photographs(photo_folder), 64, seed=0, index=0)
    flat = replace(scene, a=np.full_like(scene.a, 128), b=np.full_like(scene.b, 128))
    noisy = with_noise(flat, np.random.default_rng(0))
    assert 0.7 < noisy.a.std() / noisy.b.std() < 1.4
    assert (noisy.a != noisy.b).any()


def test_scenes_are_written_as_pairs_with_their_truth(photo_folder: Path, tmp_path: Path) -> None:
    command = [
        "scenes",
        "--photos",
        str(photo_folder),
        "--pairs",
        str(tmp_path / "made"),
        "--count",
        "2",
        "--size",
        "64",
    ]
    assert main(command) == 0
    scene = make_scene(Photographs(photo_folder), 64, seed=0, index=1)
    for part in ("a", "b", "truth"):
        assert len(list((tmp_path / "made" / part).iterdir())) == 2
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / "made" / part / "0001.png")), getattr(scene, part))
    assert main(command) == 2  # nothing is mixed with what is there


def test_where_no_scene_can_be_made_no_folder_is(photo_folder: Path, tmp_path: Path) -> None:
    images, segments = tmp_path / "images", tmp_path / "segments"
    shutil.copytree(photo_folder, images)
    segments.mkdir()
    for photograph in images.iterdir():
        cv2.imwrite(str(segments / f"{photograph.stem}_0.png"), np.zeros((120, 160, 3), np.uint8))
    assert main(["scenes", "--photos", str(images), "--pairs", str(tmp_path / "made")]) == 2
    assert not (tmp_path / "made").exists()


def test_pairs_that_are_not_finished_are_removed(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> Scene:
        if arguments[3] == 2:
            raise KeyboardInterrupt
        return make_scene(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cli, "make_scene", interrupted)
    command = ["scenes", "--photos", str(photo_folder), "--pairs", str(tmp_path / "made"), "--size", "64"]
    assert main(command) == 130
    assert not (tmp_path / "made").exists()
