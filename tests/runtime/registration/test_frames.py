"""Alignment: photographs shifted, scaled, turned and exposed against each other, and focused at different depths."""

from __future__ import annotations

import re
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.experiments import registration_error
from fusiongcn_edge.benchmarks.experiments.registration_error import moved_pair
from fusiongcn_edge.benchmarks.metrics.conversion import to_gray
from fusiongcn_edge.benchmarks.metrics.gradient import q_g_of_stack
from fusiongcn_edge.cli import main
from fusiongcn_edge.runtime import Fuser, FusionError, ImageError, align_frames
from fusiongcn_edge.runtime.io.images import read_image, read_photograph, write_image, write_images
from fusiongcn_edge.runtime.io.metadata import Metadata
from fusiongcn_edge.runtime.registration.estimate import MODELS, Alignment, align
from fusiongcn_edge.runtime.registration.pyramid import ImagePyramid, transformed
from fusiongcn_edge.runtime.registration.warp import valid_region, warp
from fusiongcn_edge.runtime.types import Window
from fuzz.photographs import PROFILE
from helpers.stacks import breathing_frames

Picture = NDArray[Any]


@pytest.fixture(scope="module")
def photograph() -> Picture:
    return cv2.resize(skimage.data.coffee()[:, :, ::-1], (450, 300), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def breathing(photograph: Picture) -> list[Picture]:
    """Four frames, each larger than the one before by 1 %, shifted and darker; each sharp in a quarter of its own."""
    return breathing_frames(photograph, 4, blur=3, right=-3.5, down=2.0)


def form(frame: Picture, kind: str) -> Picture:
    if kind == "gray":
        return frame[:, :, 1].copy()
    if kind == "alpha":
        return np.insert(frame, 3, 77, axis=2)
    return frame.astype(np.uint16) * 257 if kind == "16 bits" else frame


# what is found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("model", MODELS[1:])
def test_a_known_transform_is_found_to_a_third_of_a_pixel(model: str, seed: int, photograph: Picture) -> None:
    pair = moved_pair(photograph, model, 3, seed)
    assert pair.errors(np.eye(3)).mean() > 2
    found = align(ImagePyramid(pair.first), ImagePyramid(pair.second), model)
    assert found is not None
    assert pair.errors(found.matrix).mean() < 0.3
    assert found.correlation > 0.9


@pytest.mark.parametrize("kind", ["gray", "alpha", "16 bits"])
def test_the_form_of_the_photographs_changes_nothing(kind: str, photograph: Picture) -> None:
    pair = moved_pair(photograph, "similarity", 3, 5)
    found = align(ImagePyramid(form(pair.first, kind)), ImagePyramid(form(pair.second, kind)), "similarity")
    assert found is not None
    assert pair.errors(found.matrix).mean() < 0.3


def test_a_transform_found_on_a_smaller_picture_holds_for_the_large_one(
    photograph: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = moved_pair(photograph, "similarity", 3, 6)
    monkeypatch.setattr("fusiongcn_edge.runtime.registration.pyramid.FINEST", 170)  # no whole part of the size
    found = align(ImagePyramid(pair.first), ImagePyramid(pair.second), "similarity")
    assert found is not None
    assert pair.errors(found.matrix).mean() < 0.5


@pytest.mark.parametrize("model", MODELS[1:])
def test_a_transform_has_no_more_freedom_than_was_asked_for(model: str, photograph: Picture) -> None:
    pair = moved_pair(photograph, "homography", 3, 1)
    found = align(ImagePyramid(pair.first), ImagePyramid(pair.second), model)
    assert found is not None
    (a, b, _), (c, d, _), (tilt_x, tilt_y, last) = found.matrix
    affine, similarity = (tilt_x, tilt_y, last) == pytest.approx((0, 0, 1)), (a, b) == pytest.approx((d, -c))
    assert affine == (model != "homography")
    assert similarity == (model in ("shift", "similarity"))
    assert (abs(a - 1) < 1e-9) == (model == "shift")


def test_a_photograph_is_aligned_to_itself_already(photograph: Picture) -> None:
    for model in MODELS:
        found = align(ImagePyramid(photograph), ImagePyramid(photograph), model)
        assert found is not None
        np.testing.assert_allclose(found.matrix, np.eye(3), atol=1e-3)
        assert found.correlation == pytest.approx(1, abs=1e-3)
        assert found.gain == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("ev", [-0.3, 0.3])
def test_exposure_is_found_whatever_is_in_focus(ev: float, photograph: Picture) -> None:
    gain = 2 ** (ev / 2.2)
    soft = cv2.GaussianBlur(photograph, (0, 0), 4)
    darker = np.rint(np.clip(soft * gain, 0, 255)).astype(np.uint8)
    found = align(ImagePyramid(photograph), ImagePyramid(darker), "none")
    assert found is not None
    assert found.gain == pytest.approx(1 / gain, rel=0.02)


def test_a_frame_of_another_scene_is_not_aligned(photograph: Picture) -> None:
    other = cv2.resize(skimage.data.astronaut()[:, :, ::-1], (450, 300))
    blank = np.full_like(photograph, 90)
    for model in MODELS[1:]:
        assert align(ImagePyramid(photograph), ImagePyramid(other), model) is None
        assert align(ImagePyramid(photograph), ImagePyramid(blank), model) is None


def test_what_lay_hardly_on_each_other_is_not_aligned(photograph: Picture) -> None:
    assert align(ImagePyramid(photograph[:, :200]), ImagePyramid(photograph[:, 150:350]), "shift") is None


# what is made of it


@given(st.integers(0, 2**32 - 1))
def test_no_interpolated_value_leaves_the_range_of_the_pixels_around_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = rng.choice([0, 40, 255], (40, 50)).astype(np.uint8)  # bicubic overshoots here
    matrix = np.eye(3)
    matrix[:2] += rng.uniform(-0.05, 0.05, (2, 3)) * [(1, 1, 100)]
    area = Window(3, 37, 2, 45)
    values = warp(frame, Alignment(matrix, (0, 0), 1, 1.5), area, match_exposure=False)
    y, x = np.mgrid[3:37, 2:45]
    places = np.rint(transformed(matrix, np.stack([x.ravel(), y.ravel()], 1).astype(float))).astype(int)
    columns, rows = np.clip(places, 0, [49, 39]).T
    steps = range(-1, 2)
    around = np.stack([np.pad(frame, 1, mode="edge")[rows + 1 + i, columns + 1 + j] for i in steps for j in steps])
    assert (values.ravel() >= around.min(0)).all()
    assert (values.ravel() <= around.max(0)).all()


def test_bands_leave_no_seam(photograph: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.array([(1.02, -0.03, 4.3), (0.03, 1.02, -6.1), (1e-5, 2e-5, 1)])
    found = Alignment(matrix, (0, 0), 1, 1)
    area = Window(0, 300, 0, 450)
    whole = warp(photograph, found, area, match_exposure=False)
    monkeypatch.setattr("fusiongcn_edge.runtime.registration.warp.ROWS", 7)
    in_bands = warp(photograph, found, area, match_exposure=False)
    assert np.mean(whole != in_bands) < 0.01  # coordinates are rounded to a 32nd of a pixel
    assert np.abs(whole.astype(int) - in_bands).max() < 20


@pytest.mark.parametrize("kind", ["colour", "gray", "alpha", "16 bits"])
def test_a_frame_that_hardly_moves_stays_what_it_is(kind: str, photograph: Picture) -> None:
    frame = form(photograph, kind)
    matrix = np.array([(1, 0, 0.05), (0, 1, -0.05), (0, 0, 1.0)])
    found = Alignment(matrix, (0.05, -0.05), 1, 0.5)
    area = valid_region(found, 300, 450)
    assert area == (0, 300, 0, 450)
    np.testing.assert_array_equal(warp(frame, found, area, match_exposure=False), frame)
    match_exposure = warp(frame, found, area, match_exposure=True)
    assert match_exposure.dtype == frame.dtype
    if kind == "alpha":
        np.testing.assert_array_equal(match_exposure[:, :, 3], 77)
        match_exposure, frame = match_exposure[:, :, :3], frame[:, :, :3]
    np.testing.assert_array_equal(match_exposure, np.rint(frame * 0.5))


def test_a_brightened_frame_does_not_wrap_around() -> None:
    frame = np.array([[0, 100, 200, 255]] * 4, np.uint8)
    found = Alignment(np.eye(3), (0, 0), 1, 1.5)
    np.testing.assert_array_equal(warp(frame, found, Window(0, 1, 0, 4), match_exposure=True), [[0, 150, 255, 255]])


@given(st.floats(-2, 2), st.floats(0.97, 1.03), st.floats(-20, 20), st.floats(-20, 20))
def test_every_pixel_of_the_common_area_is_one_of_the_frame(angle: float, scale: float, x: float, y: float) -> None:
    c, s = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    found = Alignment(np.array([(c, -s, x), (s, c, y), (0, 0, 1)]), (x, y), 1, 1)
    top, bottom, left, right = valid_region(found, 200, 300)
    assert (bottom - top) * (right - left) > 0.5 * 200 * 300
    if found.is_significant(200, 300):
        corners = np.array([(u, v) for u in (left, right - 1) for v in (top, bottom - 1)], float)
        places = transformed(found.matrix, corners)
        assert (places >= -1e-6).all()
        assert (places <= np.array([299, 199]) + 1e-6).all()


# stacks


def differences(frames: Any) -> list[float]:
    """Between soft pictures of each frame and the first, away from the edges; 90th percentile."""
    soft = [cv2.GaussianBlur(frames[i], (0, 0), 8).astype(float)[20:-20, 20:-20] for i in range(len(frames))]
    return [float(np.percentile(np.abs(picture - soft[0]), 90)) for picture in soft[1:]]


@pytest.mark.parametrize("kind", ["colour", "gray", "alpha", "16 bits"])
def test_frames_of_a_breathing_lens_come_to_lie_on_each_other(kind: str, breathing: list[Picture]) -> None:
    frames = [form(frame, kind) for frame in breathing]
    unit = 257 if kind == "16 bits" else 1
    assert max(differences(frames)) > 15 * unit
    aligned = align_frames(frames, "similarity", match_exposure=True)
    assert aligned.numbers == (0, 1, 2, 3)
    assert max(differences(aligned)) < 4 * unit
    assert {aligned[i].dtype for i in range(4)} == {frames[0].dtype}
    scales = [np.sqrt(np.linalg.det(found.matrix[:2, :2])) for found in aligned.alignments]
    np.testing.assert_allclose(np.diff(scales), 0.01, atol=0.001)


def test_the_order_of_the_frames_decides_nothing(breathing: list[Picture]) -> None:
    fuser = Fuser.open(threads=1)
    expected = fuser.fuse_stack(align_frames(breathing, "similarity", match_exposure=True))
    for order in list(permutations(range(4)))[1::9]:
        aligned = align_frames([breathing[number] for number in order], "similarity", match_exposure=True)
        found = fuser.fuse_stack(aligned)
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_array_equal(np.array(order)[found.source_index], expected.source_index)


def test_the_whole_area_shows_the_reference_where_a_frame_has_nothing(breathing: list[Picture]) -> None:
    cropped = align_frames(breathing, "similarity", reference=0)
    assert cropped[0].shape[0] < 300
    aligned = align_frames(breathing, "similarity", reference=0, keep_full_frame=True)
    assert aligned.area == (0, 300, 0, 450)
    np.testing.assert_array_equal(aligned[0], breathing[0])
    # the fourth frame is larger and shifted to the left: of the reference's right side it has all, at the top nothing
    np.testing.assert_array_equal(aligned[3][-3:, :50], breathing[0][-3:, :50])
    assert (aligned[3][100:200, 100:300] != breathing[0][100:200, 100:300]).any()
    dark = [*breathing[:3], breathing[3] // 2]
    aligned = align_frames(dark, "similarity", reference=0, keep_full_frame=True, match_exposure=True)
    assert aligned.alignments[3].gain > 1.8
    np.testing.assert_array_equal(aligned[3][-3:, :50], breathing[0][-3:, :50])


def test_a_frame_that_cannot_be_aligned_is_named_or_skipped(breathing: list[Picture]) -> None:
    other = cv2.resize(skimage.data.astronaut()[:, :, ::-1], (450, 300))
    frames = [breathing[0], other, *breathing[1:]]
    with pytest.raises(ImageError, match=r"^alien cannot be aligned to .*, for they hardly show the same"):
        align_frames(frames, "similarity", names=["0", "alien", "1", "2", "3"])
    aligned = align_frames(frames, "similarity", skip_failed=True)
    assert aligned.numbers == (0, 2, 3, 4)
    with pytest.raises(ImageError, match="No photograph can be aligned"):
        align_frames([breathing[0], other], skip_failed=True)


def test_what_cannot_be_aligned_at_all_is_refused(breathing: list[Picture]) -> None:
    with pytest.raises(FusionError, match="no alignment 'rubber'"):
        align_frames(breathing, "rubber")
    with pytest.raises(ImageError, match="1 photograph cannot be aligned"):
        align_frames(breathing[:1])
    with pytest.raises(ImageError, match="Photographs 1 and 2: the photographs differ in size"):
        align_frames([breathing[0], breathing[1][1:]])


def test_alignment_makes_the_fused_photograph_better(photograph: Picture) -> None:
    pair = moved_pair(photograph, "similarity", 3, 2)
    fuser = Fuser.open(threads=1)
    aligned = align_frames([pair.first, pair.second], "similarity", reference=0, match_exposure=True)
    top, bottom, left, right = aligned.area
    offset = np.round(0.07 * np.array(photograph.shape[:2])).astype(int)
    truth = photograph[offset[0] :, offset[1] :][top:bottom, left:right].astype(float)
    unaligned = fuser.fuse(pair.first, pair.second).image[top:bottom, left:right]
    found = fuser.fuse(aligned[0], aligned[1]).image
    assert np.square(found - truth).mean() < 0.5 * np.square(unaligned - truth).mean()


@pytest.mark.slow
def test_real_triples_lose_nothing(shared: Path) -> None:
    fuser = Fuser.open()
    gains = []
    for folder in sorted((shared / "data" / "triples" / "lytro").iterdir()):
        frames = [read_image(path) for path in sorted(folder.iterdir())]
        aligned = align_frames(frames, "similarity")
        top, bottom, left, right = aligned.area
        scores = []
        for stack in ([frame[top:bottom, left:right] for frame in frames], [aligned[i] for i in range(3)]):
            fused = fuser.fuse_stack(stack).image
            scores.append(q_g_of_stack([to_gray(frame) for frame in stack], to_gray(fused)))
        gains.append(scores[1] - scores[0])
    assert np.mean(gains) > 0
    assert min(gains) > -0.002


# the commands


@pytest.fixture
def folder(tmp_path: Path, breathing: list[Picture], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, holding the frames ``0.png`` to ``3.png`` and ``alien.png``."""
    monkeypatch.chdir(tmp_path)
    for number, frame in enumerate(breathing):
        write_image(f"{number}.png", frame)
    write_image("alien.png", cv2.resize(skimage.data.astronaut()[:, :, ::-1], (450, 300)))
    return tmp_path


LINE = re.compile(
    r"shift [+-]\d+\.\d\d [+-]\d+\.\d\d pixels, scale \d\.\d{4}, rotation [+-]\d\.\d\d°, brightness \d\.\d{3}, "
    r"correlation \d\.\d{3}$"
)


@pytest.mark.usefixtures("folder")
def test_fuse_aligns_the_second_to_the_first_and_tells_how_it_lay(
    breathing: list[Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--align", "similarity", "--match-exposure", "--threads", "1"]
    assert main(["fuse", "1.png", "0.png", "-o", "fused.png", *options]) == 0
    first, second, last = capfd.readouterr().out.splitlines()
    assert first == "1.png: the others are aligned to it"
    assert LINE.search(second)
    assert "scale 0.990" in second
    assert "brightness 1.03" in second
    aligned = align_frames([breathing[1], breathing[0]], "similarity", reference=0, match_exposure=True)
    expected = Fuser.open(threads=1).fuse(aligned[0], aligned[1]).image
    np.testing.assert_array_equal(read_image("fused.png"), expected)
    assert last.startswith(f"fused.png: {expected.shape[1]}x{expected.shape[0]}, ")


@pytest.mark.usefixtures("folder")
def test_stack_leaves_out_what_it_cannot_align_and_numbers_the_others_as_given(
    breathing: list[Picture], capfd: pytest.CaptureFixture[str]
) -> None:
    names = ["alien.png", *(f"{number}.png" for number in range(4))]
    for name in names[:2]:
        pixels = read_image(name)
        write_images({name: pixels}, metadata={name: Metadata(profile=PROFILE if name == "0.png" else None)})
    options = ["--align", "similarity", "--skip-failed", "--no-crop", "--threads", "1"]
    assert main(["stack", *names, "-o", "fused.png", "--depth-map", "depth.png", *options]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "alien.png: left out, because it cannot be aligned"
    assert sum("the others are aligned to it" in line for line in lines) == 1
    assert sum(LINE.search(line) is not None for line in lines) == 3
    assert lines[-1].startswith("fused.png: 450x300 from 4 photographs")
    expected = Fuser.open(threads=1).fuse_stack(align_frames(breathing, "similarity", keep_full_frame=True))
    np.testing.assert_array_equal(read_image("fused.png"), expected.image)
    np.testing.assert_array_equal(read_image("depth.png"), expected.source_index + 1)
    assert read_photograph("fused.png").metadata.profile == PROFILE  # the first one's of those that were fused


@pytest.mark.parametrize("command", [["fuse", "0.png", "alien.png"], ["stack", "0.png", "1.png", "2.png", "alien.png"]])
def test_a_command_refuses_what_it_cannot_align(
    command: list[str], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.iterdir())
    assert main([*command, "-o", "fused.png", "--align", "similarity"]) == 2
    told = capfd.readouterr().err
    assert "alien.png" in told
    assert told.count("\n") == 1
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("folder")
def test_exposure_is_matched_without_alignment(breathing: list[Picture]) -> None:
    assert main(["fuse", "0.png", "1.png", "-o", "fused.png", "--match-exposure", "--threads", "1"]) == 0
    aligned = align_frames(breathing[:2], "none", reference=0, match_exposure=True)
    np.testing.assert_array_equal(aligned[0], breathing[0])
    expected = Fuser.open(threads=1).fuse(aligned[0], aligned[1]).image
    np.testing.assert_array_equal(read_image("fused.png"), expected)


def test_the_benchmark_prints_both_tables(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one").mkdir()
    photograph = read_image(next(iter(photo_folder.iterdir())))
    for number in range(3):
        write_image(tmp_path / "one" / f"{number}.png", photograph)
    arguments = ["--photos", photo_folder, "--count", 1, "--triples", tmp_path]
    monkeypatch.setattr(sys, "argv", ["alignment", *map(str, arguments)])
    assert registration_error.main() == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines[1:9]] == [[model, blur] for model in MODELS[1:] for blur in ("3", "6")]
    before, after = next(line for line in lines if line[:1] == ["one"])[2:]
    assert before == after


def test_the_benchmark_tells_where_nothing_could_be_aligned(
    photo_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registration_error, "align", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["alignment", "--photos", str(photo_folder), "--count", "1"])
    assert registration_error.main() == 0
    assert all(line.split()[2:] == ["–", "–", "–", "1", "–"] for line in capsys.readouterr().out.splitlines()[1:])


def test_a_reference_that_is_no_frame_is_refused(breathing: list[Picture]) -> None:
    for reference in (-1, len(breathing)):
        with pytest.raises(FusionError, match=f"no frame {reference}: give a reference from 0 to"):
            align_frames(breathing, "none", reference=reference)
