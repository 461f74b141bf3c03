"""Synthetic focus stacks: physically what they claim, and always the same from the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fusiongcn_edge.cli import main
from fusiongcn_edge.model.data.photos import Photographs
from fusiongcn_edge.model.data.synthetic_stacks import KINDS, SyntheticStack, make_stack, stack_sheet
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.images import read_image
from helpers.common import Fails, contents


@pytest.fixture(scope="module")
def stacks(photo_folder: Path) -> list[SyntheticStack]:
    photographs = Photographs(photo_folder)
    return [make_stack(photographs, 64, 4, seed=1, index=index) for index in range(60)]


def test_a_stack_can_be_made_again(photo_folder: Path) -> None:
    first, again = (make_stack(Photographs(photo_folder), 64, 3, seed=3, index=11) for _ in range(2))
    for name in ("frames", "truth", "blur"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    other = make_stack(Photographs(photo_folder), 64, 3, seed=3, index=12)
    assert not np.array_equal(first.frames, other.frames)


def test_stacks_of_every_kind_have_the_promised_shape(stacks: list[SyntheticStack]) -> None:
    assert {stack.kind for stack in stacks} == set(KINDS)
    for stack in stacks:
        assert (stack.frames.shape, stack.frames.dtype) == ((4, 64, 64, 3), np.uint8)
        assert (stack.truth.shape, stack.truth.dtype) == ((64, 64, 3), np.uint8)
        assert (stack.blur.shape, stack.blur.dtype) == ((4, 64, 64), np.float32)
        assert np.isfinite(stack.blur).all()
        assert stack.blur.min() >= 0


def test_where_the_map_says_so_a_frame_is_the_nearest_to_the_truth(stacks: list[SyntheticStack]) -> None:
    right = []
    for stack in stacks:
        if stack.kind not in ("layers", "mask"):
            continue
        errors = np.abs(stack.frames.astype(float) - stack.truth).mean(axis=3)
        sharp, dull = stack.blur < 0.3, stack.blur > 3
        if sharp.sum() > 200 and dull.sum() > 200:
            right.append(errors[sharp].mean() < errors[dull].mean())
    assert len(right) > 20
    assert np.mean(right) > 0.9


def test_noise_is_of_one_strength_in_all_frames_where_nothing_is_sharp(stacks: list[SyntheticStack]) -> None:
    blank = [stack for stack in stacks if stack.kind == "blank"]
    assert blank
    for stack in blank:
        differences = stack.frames.astype(float) - stack.frames.astype(float).mean(axis=(1, 2), keepdims=True)
        spread = (differences - differences.mean(axis=0)).std(axis=(1, 2, 3))
        assert spread.max() < 1.5 * spread.min() + 0.5


@pytest.mark.parametrize(("size", "frames", "seed"), [(63, 3, 0), (64, 1, 0), (64, 65, 0), (64, 3, -1)])
def test_a_stack_that_cannot_be_made_is_refused(size: int, frames: int, seed: int, photo_folder: Path) -> None:
    with pytest.raises(FusionError) as caught:
        make_stack(Photographs(photo_folder), size, frames, seed, 0)
    assert caught.value.allowed


def test_a_sheet_has_a_row_for_each_stack(photo_folder: Path) -> None:
    photographs = Photographs(photo_folder)
    sheet = stack_sheet(photographs, 64, 3, seed=0, count=2)
    assert sheet.shape == (128, 256, 3)
    np.testing.assert_array_equal(sheet[64:, 192:], make_stack(photographs, 64, 3, 0, 1).truth)


def test_the_command_draws_stacks_and_writes_them(
    photo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["scenes", "--photos", str(photo_folder), "--frames", "3", "--count", "2", "--size", "64"]
    assert main([*common, "-o", str(tmp_path / "sheet.png")]) == 0
    assert read_image(tmp_path / "sheet.png").shape == (128, 256, 3)
    assert main([*common, "--stacks", str(tmp_path / "made")]) == 0
    assert sorted(path for path in contents(tmp_path / "made") if path.endswith(".png")) == [
        f"{stack}/{name}.png" for stack in ("0000", "0001") for name in ("00", "01", "02", "truth")
    ]
    made = make_stack(Photographs(photo_folder), 64, 3, 0, 1)
    np.testing.assert_array_equal(read_image(tmp_path / "made" / "0001" / "02.png"), made.frames[2])
    assert "2 stacks of 3 frames with the truth, from 3 photographs" in capsys.readouterr().out


def test_options_that_do_not_go_together_are_refused(photo_folder: Path, fails: Fails) -> None:
    photos = ["scenes", "--photos", photo_folder]
    assert "--frames" in fails(*photos, "--stacks", "made")
    assert "--stacks" in fails(*photos, "--pairs", "made", "--frames", "3")
