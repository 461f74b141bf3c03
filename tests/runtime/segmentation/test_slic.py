from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.measure
import skimage.segmentation
import skimage.util
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.networks.fusiongcn_inputs import guide_image, network_input, superpixels
from fusiongcn_edge.runtime.segmentation.connected_components import connected_components
from fusiongcn_edge.runtime.segmentation.settings import SlicSettings, seed_grid
from fusiongcn_edge.runtime.segmentation.slic import TILE, slic
from helpers.common import Stage
from helpers.profiles import examples

Picture = NDArray[np.float32]


def scikit_image_slic(image: Picture, n_segments: int, compactness: float, sigma: float, iterations: int) -> Any:
    return skimage.segmentation.slic(
        image,
        n_segments,
        compactness,
        iterations,
        sigma,
        convert2lab=False,
        start_label=0,
        channel_axis=None if image.ndim == 2 else -1,
    )


def scikit_image_components(labels: NDArray[Any]) -> Any:
    return skimage.measure.label(labels + 1, background=0, connectivity=1) - 1


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    """Noise, a smooth field, flat blocks or few levels (many equal distances); one or three channels, any range."""
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    shape = (height, width, *draw(st.sampled_from([(), (1,), (3,)])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "smooth", "blocks", "few levels"]))
    if kind == "noise":
        picture = rng.standard_normal(shape)
    elif kind == "smooth":
        picture = cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), 4).reshape(shape)
    elif kind == "blocks":
        blocks = rng.integers(0, 4, (-(-height // 7), -(-width // 7), *shape[2:]))
        picture = blocks.repeat(7, axis=0).repeat(7, axis=1)[:height, :width]
    else:
        picture = rng.integers(0, 3, shape)
    return (picture * draw(st.sampled_from([1, 1e-3, 255])) - draw(st.sampled_from([0, 0.5]))).astype(np.float32)


any_settings = {
    "n_segments": st.integers(1, 120),
    "compactness": st.sampled_from([10, 1, 0.1, 0.01]),
    "sigma": st.sampled_from([0, 1, 3]),
    "iterations": st.sampled_from([10, 10, 10, 1, 3]),
}


@settings(max_examples=examples(400))
@given(pictures(), st.fixed_dictionaries(any_settings))
def test_slic_gives_the_labels_of_scikit_image(picture: Picture, how: dict[str, Any]) -> None:
    np.testing.assert_array_equal(slic(picture, **how), scikit_image_slic(picture, **how))


@pytest.mark.parametrize("compactness", [10, 1, 0.1, 0.01])
def test_slic_gives_the_labels_of_scikit_image_on_an_image_of_many_tiles(compactness: float) -> None:
    noise = np.random.default_rng(5).standard_normal((203, 317, 3)).astype(np.float32)
    picture = cv2.GaussianBlur(noise, (0, 0), 6) + 0.02 * noise
    how = {"n_segments": 150, "compactness": compactness, "sigma": 1, "iterations": 10}
    np.testing.assert_array_equal(slic(picture, **how), scikit_image_slic(picture, **how))


@pytest.mark.parametrize("size", [(13, 13), (1, 13), (25, 1), (37, 25)])
@pytest.mark.parametrize("n_segments", [3, 20, 60])
def test_slic_gives_the_labels_of_scikit_image_where_one_pixel_is_left_over_by_the_tiles(
    size: tuple[int, int], n_segments: int
) -> None:
    assert all(side % TILE == 1 for side in size)
    for seed in range(10):
        picture = np.random.default_rng(seed).random(size, np.float32)
        how = {"n_segments": n_segments, "compactness": 0.1, "sigma": 0, "iterations": 10}
        np.testing.assert_array_equal(slic(picture, **how), scikit_image_slic(picture, **how))


@pytest.mark.parametrize("channels", [(), (3,)])
def test_four_quadrants_are_four_superpixels(channels: tuple[int, ...]) -> None:
    picture = np.zeros((20, 22, *channels), np.float32)
    picture[:10, 11:], picture[10:, :11], picture[10:, 11:] = 0.3, 0.6, 1
    expected = np.zeros((20, 22), int)
    expected[:10, 11:], expected[10:, :11], expected[10:, 11:] = 1, 2, 3
    np.testing.assert_array_equal(slic(picture, 4, compactness=0.1), expected)


@settings(max_examples=examples(100))
@given(pictures(), st.fixed_dictionaries(any_settings))
def test_each_superpixel_is_connected_and_they_are_numbered_in_scan_order(picture: Picture, how: Any) -> None:
    labels = slic(picture, **how)
    assert labels.dtype == np.int32
    assert labels.shape == picture.shape[:2]
    np.testing.assert_array_equal(labels, scikit_image_components(labels))


def test_slic_repeats_itself_and_leaves_the_image_as_it_was() -> None:
    picture = np.random.default_rng(0).random((40, 50, 3), np.float32)
    before = picture.copy()
    np.testing.assert_array_equal(slic(picture, 30, 0.1, 1.0), slic(picture, 30, 0.1, 1.0))
    np.testing.assert_array_equal(picture, before)


def test_slic_does_not_depend_on_brightness_or_contrast() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.float32)
    np.testing.assert_array_equal(slic(picture, 30, 0.1), slic(picture * 4 - 512, 30, 0.1))


@pytest.mark.parametrize(
    ("image", "arguments"),
    [
        (np.zeros((5, 5), np.float64), {}),
        (np.zeros((5, 5), np.uint8), {}),
        (np.zeros(5, np.float32), {}),
        (np.zeros((2, 5, 5, 3), np.float32), {}),
        (np.zeros((0, 5), np.float32), {}),
        (np.full((5, 5), np.nan, np.float32), {}),
        (np.array([[0, np.inf]], np.float32), {}),
        (np.zeros((5, 5), np.float32), {"n_segments": 0}),
        (np.zeros((5, 5), np.float32), {"compactness": 0.0}),
        (np.zeros((5, 5), np.float32), {"compactness": float("nan")}),
        (np.zeros((5, 5), np.float32), {"sigma": -1.0}),
        (np.zeros((5, 5), np.float32), {"sigma": float("nan")}),
        (np.zeros((5, 5), np.float32), {"iterations": 0}),
    ],
)
def test_slic_refuses_what_it_cannot_cut(image: NDArray[Any], arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        slic(image, **{"n_segments": 4, **arguments})


@settings(max_examples=examples(300))
@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 500))
@example(1, 600, 20)
@example(600, 1, 20)
@example(3, 600, 20)
@example(600, 3, 20)
@example(5, 5, 25)
@example(5, 5, 1000)
@example(520, 520, 260)
def test_seeds_are_the_regular_grid_of_scikit_image(height: int, width: int, n_segments: int) -> None:
    grid = skimage.util.regular_grid((1, height, width), n_segments)[1:]
    expected = [list(range(*part.indices(size))) for part, size in zip(grid, (height, width), strict=True)]
    assert [list(part) for part in seed_grid(height, width, n_segments)] == expected


@settings(max_examples=examples(100))
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_connected_components_are_those_of_scikit_image(height: int, width: int, values: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, values, (height, width), dtype=np.int32)
    np.testing.assert_array_equal(connected_components(labels), scikit_image_components(labels))


def test_a_spiral_is_one_component() -> None:
    spiral = np.zeros((41, 41), np.int32)
    y, x, dy, dx = 0, 0, 0, 1
    for length in [40, 40, 40, *(n for k in range(38, 0, -2) for n in (k, k))]:
        for _ in range(length):
            spiral[y, x] = 1
            y, x = y + dy, x + dx
        dy, dx = dx, -dy
    components = connected_components(spiral)
    assert len(np.unique(components[spiral == 1])) == 1
    np.testing.assert_array_equal(components, scikit_image_components(spiral))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 4), (33, 47)])
@pytest.mark.parametrize("kernel_size", [(1, 1), (3, 5), (7, 7), (13, 11)])
def test_guide_is_a_convolution_with_zeros_outside(size: tuple[int, int], kernel_size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    images = rng.uniform(-1, 1, (2, 3, *size)).astype(np.float32)
    kernel = rng.uniform(-0.2, 0.2, (6, *kernel_size)).astype(np.float32)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(images.reshape(1, 6, *size)).double(),
        torch.from_numpy(kernel[None]).double(),
        torch.tensor([0.25], dtype=torch.float64),
        padding=(kernel_size[0] // 2, kernel_size[1] // 2),
    )
    guide = guide_image(images, kernel, 0.25)
    assert guide.dtype == np.float32
    np.testing.assert_allclose(guide, expected[0, 0].numpy(), rtol=0, atol=1e-5)


def test_superpixels_are_slic_on_the_guide_with_the_model_s_numbers() -> None:
    rng = np.random.default_rng(2)
    images = rng.uniform(-1, 1, (2, 3, 40, 60)).astype(np.float32)
    kernel = rng.uniform(-0.2, 0.2, (6, 3, 3)).astype(np.float32)
    how = SlicSettings(kernel, 0.1, segments_per_side=0.7, compactness=0.1, sigma=1.0, iterations=3)
    expected = slic(guide_image(images, kernel, 0.1), int(60 * 0.7), 0.1, 1.0, 3)
    np.testing.assert_array_equal(superpixels(images, how), expected)


def test_a_small_image_gets_at_least_one_superpixel() -> None:
    how = SlicSettings(np.zeros((6, 1, 1), np.float32), 0.0, 0.01, compactness=10, sigma=0, iterations=10)
    assert how.wanted(20, 30) == 1
    assert superpixels(np.zeros((2, 3, 20, 30), np.float32), how).max() == 0


@pytest.mark.slow
@pytest.mark.parametrize("pair", ["lytro/07", "lytro/20", "mffw/02", "mfi-whu/03", "grayscale/01", "grayscale/06"])
def test_guides_of_real_pairs_are_cut_as_scikit_image_cuts_them(pair: str, shared: Path, official_bundle: Path) -> None:
    kind, number = pair.split("/")
    how = load_bundle(official_bundle).superpixels
    folder = shared / "data" / "pairs" / kind
    images = network_input(*(read_image(next((folder / side).glob(f"{number}.*"))) for side in "ab"))
    guide = guide_image(images, how.guide_kernel, how.guide_bias)
    expected = scikit_image_slic(guide, int(max(guide.shape) * 0.5), 10, 5, 10)
    np.testing.assert_array_equal(superpixels(images, how), expected)


@pytest.mark.slow
def test_guide_and_labels_are_those_of_the_authors_code(stage: Stage, official_bundle: Path) -> None:
    how = load_bundle(official_bundle).superpixels
    images = network_input(stage.first, stage.second)
    guide = guide_image(images, how.guide_kernel, how.guide_bias)
    np.testing.assert_allclose(guide, stage.dump["guide"], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(superpixels(images, how), stage.dump["labels"])
