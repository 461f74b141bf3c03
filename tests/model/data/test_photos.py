"""Folders of photographs to make scenes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fusiongcn_edge.model.data.photos import Photographs, segmentations
from fusiongcn_edge.runtime import FusionError
from fusiongcn_edge.runtime.io import headers
from fusiongcn_edge.runtime.io.images import write_image


def test_a_segmentation_is_of_the_photograph_whose_whole_name_it_has(tmp_path: Path) -> None:
    for place, name in [("images", "img"), ("images", "img_2"), ("segments", "img_2_0"), ("segments", "img_x_0")]:
        (tmp_path / place).mkdir(exist_ok=True)
        write_image(tmp_path / place / f"{name}.png", np.zeros((64, 64), np.uint8))
    assert segmentations(tmp_path / "images" / "img.png") == []
    assert segmentations(tmp_path / "images" / "img_2.png") == [tmp_path / "segments" / "img_2_0.png"]


def test_photographs_that_do_not_fit_into_memory_are_refused(
    photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = iter([10**9, 10**9, 1000])
    monkeypatch.setattr(headers, "free_memory", lambda: next(room))
    with pytest.raises(FusionError, match=r"2 of 3 photographs in .* fill the memory that is free"):
        Photographs(photo_folder)
