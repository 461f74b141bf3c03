from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
import skimage.measure
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.experiments.decision_agreement import differing_fraction
from fusiongcn_edge.runtime import Fuser, FusionError, FusionResult, ImageError
from fusiongcn_edge.runtime.bundle.reader import manifest_checksum
from fusiongcn_edge.runtime.fuser import STAGES
from fusiongcn_edge.runtime.fusion import blending
from fusiongcn_edge.runtime.fusion import decision_map as decision_module
from fusiongcn_edge.runtime.fusion.blending import blend, select
from fusiongcn_edge.runtime.fusion.decision_map import decision_map
from fusiongcn_edge.runtime.io.images import read_image
from helpers.profiles import examples

Picture = NDArray[Any]
Pair = tuple[Picture, Picture]


@pytest.fixture(scope="module")
def fuser(random_bundle: Path) -> Fuser:
    return Fuser.open(random_bundle, threads=1)


@pytest.fixture(scope="module")
def result(fuser: Fuser, photographs: Pair) -> FusionResult:
    return fuser.fuse(*photographs)


def variant(pair: Pair, kind: str) -> Pair:
    """The pair in another form; the alpha channels of the two differ everywhere."""
    if kind == "gray":
        first, second = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in pair)
    elif kind == "alpha":
        first, second = (np.insert(image, 3, value, axis=2) for image, value in zip(pair, (90, 200), strict=True))
    else:
        first, second = pair
    return (first.astype(np.uint16) * 257, second.astype(np.uint16) * 257) if kind == "16 bits" else (first, second)


@pytest.mark.parametrize("kind", ["colour", "gray", "alpha", "16 bits"])
def test_the_fused_photograph_has_the_form_of_its_sources_and_their_pixels(
    kind: str, fuser: Fuser, photographs: Pair
) -> None:
    first, second = variant(photographs, kind)
    result = fuser.fuse(first, second)
    assert result.image.shape == first.shape
    assert result.image.dtype == first.dtype
    assert result.decision.dtype == bool
    assert result.probability.dtype == np.float32
    assert result.labels.dtype == np.int32
    assert result.decision.shape == result.probability.shape == result.labels.shape == (96, 128)
    assert 0 <= result.probability.min() < result.probability.max() <= 1
    assert 0.05 < result.decision.mean() < 0.95
    np.testing.assert_array_equal(result.image[result.decision], first[result.decision])
    np.testing.assert_array_equal(result.image[~result.decision], second[~result.decision])


def test_alpha_goes_with_its_photograph_and_decides_nothing(
    fuser: Fuser, photographs: Pair, result: FusionResult
) -> None:
    found = fuser.fuse(*variant(photographs, "alpha"))
    np.testing.assert_array_equal(found.decision, result.decision)
    np.testing.assert_array_equal(found.image[:, :, 3], np.where(result.decision, 90, 200))


def test_sixteen_bits_and_eight_bits_of_a_photograph_are_decided_alike(
    fuser: Fuser, photographs: Pair, result: FusionResult
) -> None:
    found = fuser.fuse(*variant(photographs, "16 bits"))
    np.testing.assert_array_equal(found.decision, result.decision)
    np.testing.assert_array_equal(found.image, result.image.astype(np.uint16) * 257)


def test_gray_is_colour_of_three_equal_channels(fuser: Fuser, photographs: Pair) -> None:
    gray = variant(photographs, "gray")
    one, three = fuser.fuse(*gray), fuser.fuse(*(np.dstack([image] * 3) for image in gray))
    np.testing.assert_array_equal(one.probability, three.probability)
    np.testing.assert_array_equal(one.image, three.image[:, :, 1])


def test_the_same_pair_gives_the_same_result(fuser: Fuser, photographs: Pair, result: FusionResult) -> None:
    again = fuser.fuse(*photographs)
    np.testing.assert_array_equal(again.probability, result.probability)
    np.testing.assert_array_equal(again.image, result.image)


def test_the_photographs_are_left_as_they_are(fuser: Fuser, photographs: Pair) -> None:
    copies = [image.copy() for image in photographs]
    fused = fuser.fuse(*copies).image
    fused[:] = 0
    for copy, image in zip(copies, photographs, strict=True):
        np.testing.assert_array_equal(copy, image)


def test_a_view_is_fused_like_a_copy(fuser: Fuser, photographs: Pair) -> None:
    views = [image[::2, 100:20:-1] for image in photographs]
    assert not views[0].flags.c_contiguous
    expected = fuser.fuse(*(view.copy() for view in views))
    np.testing.assert_array_equal(fuser.fuse(*views).image, expected.image)


@pytest.mark.parametrize("size", [(16, 16), (16, 128), (96, 17), (61, 83)])
def test_any_size_from_the_smallest_on_is_fused(size: tuple[int, int], fuser: Fuser, photographs: Pair) -> None:
    first, second = (image[: size[0], : size[1]] for image in photographs)
    result = fuser.fuse(first, second)
    assert result.image.shape == (*size, 3)
    assert np.isfinite(result.probability).all()


def test_a_featureless_pair_is_fused(fuser: Fuser) -> None:
    flat = np.full((40, 50, 3), 128, np.uint8)
    result = fuser.fuse(flat, flat)
    assert np.isfinite(result.probability).all()
    np.testing.assert_array_equal(result.image, flat)


def test_a_smaller_image_than_the_model_serves_is_refused(fuser: Fuser, photographs: Pair) -> None:
    with pytest.raises(ImageError, match="at least 16 on each side"):
        fuser.fuse(*(image[:15] for image in photographs))


def test_every_stage_is_announced_and_timed(fuser: Fuser, photographs: Pair) -> None:
    announced: list[str] = []
    result = fuser.fuse(*photographs, progress=announced.append)
    assert announced == list(STAGES)
    assert list(result.timings) == list(STAGES)
    assert all(seconds > 0 for seconds in result.timings.values())


def test_threads_do_not_change_the_result(random_bundle: Path, photographs: Pair, result: FusionResult) -> None:
    found = Fuser.open(random_bundle, threads=2).fuse(*photographs)
    np.testing.assert_allclose(found.probability, result.probability, rtol=0, atol=1e-5)


def by_scikit_image(probability: NDArray[np.float32], threshold: float, smallest_component: float) -> NDArray[np.bool_]:
    """The decision with skimage's regions: small 4-connected ones change sides, the first photograph's come first."""
    decision = probability > threshold
    for side in (True, False):
        regions = skimage.measure.label(decision == side, connectivity=1)
        for region in skimage.measure.regionprops(regions):
            if region.area < smallest_component * probability.size:
                decision[regions == region.label] = not side
    return decision


@settings(max_examples=examples(150))
@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.sampled_from([0.5, 1, 2]),
    st.sampled_from([0.2, 0.5, 0.6]),
    st.sampled_from([0, 0.001, 0.01, 0.1, 1, 2]),
    st.sampled_from([0, 2**32]),
    st.integers(0, 2**32 - 1),
)
def test_small_regions_change_sides(
    height: int, width: int, blur: float, threshold: float, smallest: float, few_runs: int, seed: int
) -> None:
    noise = np.random.default_rng(seed).random((height, width), np.float32)
    probability = np.clip((cv2.GaussianBlur(noise, (0, 0), blur).reshape(height, width) - 0.5) * 3 + 0.5, 0, 1)
    with mock.patch.object(decision_module, "FEW_RUNS", few_runs):  # either way of telling regions apart
        found = decision_map(probability, threshold, smallest)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, by_scikit_image(probability, threshold, smallest))


def test_a_region_of_just_the_smallest_size_stays() -> None:
    probability = np.zeros((10, 10), np.float32)
    probability[2, 2:5] = 1
    assert decision_map(probability, 0.5, 0.03).sum() == 3
    assert decision_map(probability, 0.5, 0.0301).sum() == 0


def test_pixels_that_touch_at_a_corner_are_two_regions() -> None:
    probability = np.zeros((10, 10), np.float32)
    probability[2, 2] = probability[3, 3] = 1
    assert decision_map(probability, 0.5, 0.02).sum() == 0


def test_the_first_photograph_s_small_regions_go_first() -> None:
    probability = np.zeros((5, 5), np.float32)
    probability[1:4, 1:4], probability[2, 2] = 1, 0  # a ring of 8 pixels around a single one
    assert decision_map(probability, 0.5, 9 / 25).sum() == 0  # the ring goes, and with it the hole
    assert decision_map(probability, 0.5, 8 / 25).sum() == 9  # the ring is large enough, and its hole closes


@given(st.integers(3, 40), st.integers(3, 40), st.floats(0.3, 4), st.floats(0, 0.3), st.integers(0, 2**32 - 1))
def test_at_once_exchanging_the_photographs_exchanges_the_decision(
    height: int, width: int, blur: float, smallest: float, seed: int
) -> None:
    noise = np.random.default_rng(seed).random((height, width), np.float32)
    probability = np.clip((cv2.GaussianBlur(noise, (0, 0), blur).reshape(height, width) - 0.5) * 3 + 0.5, 0, 1)
    probability[probability == 0.5] = 0.25  # a tie goes to the second photograph, whichever that is
    forth, back = (decision_map(p, 0.5, smallest, simultaneous=True) for p in (probability, 1 - probability))
    np.testing.assert_array_equal(forth, ~back)


def test_at_once_a_speckle_changes_sides() -> None:
    probability = np.zeros((10, 10), np.float32)
    probability[2, 2:5] = 1
    assert decision_map(probability, 0.5, 0.0301, simultaneous=True).sum() == 0
    assert decision_map(1 - probability, 0.5, 0.0301, simultaneous=True).all()
    assert decision_map(probability, 0.5, 0.03, simultaneous=True).sum() == 3


def test_at_the_threshold_itself_the_second_photograph_is_taken() -> None:
    probability = np.array([[0.5, np.nextafter(np.float32(0.5), np.float32(1))]], np.float32)
    assert decision_map(probability, 0.5, 0).tolist() == [[False, True]]


def test_take_copies_whole_pixels() -> None:
    first, second = np.full((2, 3, 4), 7, np.uint16), np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    decision = np.array([[True, False, True], [False, False, True]])
    fused = select(first, second, decision)
    np.testing.assert_array_equal(fused[decision], 7)
    np.testing.assert_array_equal(fused[~decision], second[~decision])


def test_a_soft_bundle_mixes_by_the_probability(bundle_copy: Path, photographs: Pair, result: FusionResult) -> None:
    manifest = json.loads((bundle_copy / "bundle.json").read_text())
    manifest["decision"] |= {"blend": "soft", "smallest_component": 0}
    manifest["checksum"] = manifest_checksum(manifest)
    (bundle_copy / "bundle.json").write_text(json.dumps(manifest))
    found = Fuser.open(bundle_copy, threads=1).fuse(*photographs)
    np.testing.assert_array_equal(found.probability, result.probability)
    np.testing.assert_array_equal(found.decision, result.probability > 0.5)
    weight = result.probability[:, :, None].astype(np.float64)
    first, second = (image.astype(np.float64) for image in photographs)
    np.testing.assert_allclose(found.image, weight * first + (1 - weight) * second, rtol=0, atol=0.501)
    assert found.image.dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3), (30, 40, 4)])
def test_a_mixed_pixel_lies_between_its_sources(dtype: type[np.unsignedinteger], shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, np.iinfo(dtype).max + 1, (2, *shape), dtype=dtype)
    first[:5] = second[:5]
    probability = rng.random(shape[:2], np.float32)
    probability[5:10], probability[10:15] = 0, 1
    fused = blend(first, second, probability, probability > 0.5, 0.5)
    assert fused.dtype == dtype
    assert (fused >= np.minimum(first, second)).all()
    assert (fused <= np.maximum(first, second)).all()
    np.testing.assert_array_equal(fused[:5], first[:5])
    np.testing.assert_array_equal(fused[5:10], second[5:10])
    np.testing.assert_array_equal(fused[10:15], first[10:15])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(60, 70), (60, 70, 3), (60, 70, 4)])
@pytest.mark.parametrize("few_unsure", [0, 2**32])
def test_pixels_that_are_sure_are_taken_as_mixing_would_give_them(
    dtype: type[np.unsignedinteger], shape: tuple[int, ...], few_unsure: int
) -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, np.iinfo(dtype).max + 1, (2, *shape), dtype=dtype)
    # many of them near 0 and 1, at either side of what rounding takes away
    probability = (1 / (1 + np.exp(-rng.normal(0, 8, shape[:2])))).astype(np.float32)
    with mock.patch.object(blending, "FEW_UNSURE", few_unsure):
        fused = blend(first, second, probability, probability > 0.5, 0.5)
    weight = probability.reshape(*shape[:2], *(1 for _ in shape[2:]))
    expected = second + (first - second.astype(np.float32)) * weight
    colours = (..., slice(3)) if len(shape) == 3 else ...
    np.testing.assert_array_equal(fused[colours], np.rint(expected)[colours])


def test_a_speckle_that_was_removed_does_not_return_by_mixing() -> None:
    first, second = np.full((10, 10), 200, np.uint8), np.zeros((10, 10), np.uint8)
    probability = np.full((10, 10), 0.25, np.float32)
    probability[4, 4] = 0.9
    decision = decision_map(probability, 0.5, 0.02)
    fused = blend(first, second, probability, decision, 0.5)
    assert fused[4, 4] == 40  # by its probability it would be 180
    assert fused[0, 0] == 50
    probability[4, 4] = 0.51
    assert blend(first, second, probability, decision, 0.5)[4, 4] == 92, "little against it is little for the other"
    probability[4, 4] = 0.5
    assert blend(first, second, probability, decision, 0.5)[4, 4] == 100


@pytest.mark.slow
@pytest.mark.parametrize("pair", ["mffw/01", "mffw/02", "grayscale/06", "mfi-whu/03", "mfi-whu/08", "lytro/05"])
def test_decisions_are_those_of_the_authors_code(pair: str, shared: Path, official_bundle: Path) -> None:
    kind, number = pair.split("/")
    folder = shared / "data" / "pairs" / kind
    first, second = (read_image(next((folder / side).glob(f"{number}.*"))) for side in "ab")
    decision = Fuser.open(official_bundle).fuse(first, second).decision
    assert differing_fraction(decision, folder / "official_decision" / f"{number}.png") <= 1e-4


@pytest.mark.parametrize(("model", "params"), [("fusiongcn", 137_174), ("fusiongcn-lite", 15_080)])
def test_a_shipped_model_fuses_a_pair_and_is_certain_of_its_halves(model: str, params: int, photographs: Pair) -> None:
    fuser = Fuser.open(model)
    assert fuser.bundle.params == params
    assert {"weights", "photographs", "licence"} <= set(fuser.bundle.origin)
    found = fuser.fuse(*photographs)
    assert found.decision[:, :48].mean() > 0.9
    assert found.decision[:, 80:].mean() < 0.1


def test_alpha_is_taken_and_not_mixed_by_a_soft_model() -> None:
    first, second = np.full((4, 4, 4), 200, np.uint8), np.full((4, 4, 4), 90, np.uint8)
    probability = np.full((4, 4), 0.6, np.float32)
    fused = blend(first, second, probability, probability > 0.5, 0.5)
    assert (fused[:, :, :3] == 156).all()
    assert (fused[:, :, 3] == 200).all()


@pytest.mark.parametrize("threads", [0, -1, 100_000])
def test_an_absurd_number_of_threads_is_refused(threads: int, random_bundle: Path) -> None:
    with pytest.raises(FusionError, match=f"{threads} threads"):
        Fuser.open(random_bundle, threads=threads)
