"""Prepare a pair for FusionGCN-Lite: luminance, node features and region affinity at a quarter of the resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.io.pixels import luminance
from fusiongcn_edge.runtime.segmentation.grid_slic import grid_slic
from fusiongcn_edge.runtime.segmentation.settings import STEP, GridSlicSettings, round_up_to_multiple
from fusiongcn_edge.runtime.types import Float32, Labels

NODE_FEATURES = 5  # node features of one photograph
FINEST_DETAIL = 0.004  # half a gray level of [-1, 1]: what is below says nothing
DETAIL_CENTRE, DETAIL_SPREAD = -3.0, 1.5  # of the logarithms, roughly
SIMILAR = 0.15  # difference in luminance at which a border lets through 1/e of a context
BAND = 1 << 15  # pixels whose details are computed at a time: they stay in a core's cache, and in memory held already
LEAST_ROWS = 32  # of them
BAND_MARGIN = 8  # rows around a band that its details depend on, at most


@dataclass(frozen=True)
class LiteInputs:
    """What Lite sees of a pair.

    Attributes
    ----------
    gray : uint8 or uint16 2 x H' x W'
        Luminance; H' and W' are multiples of 8, and what is filled in below and on the right repeats the edge.
    details : float32 2 x 5 x H'/4 x W'/4
        Mean second difference, and mean slope at full, half and quarter resolution; mean luminance in [-1, 1].
    """

    gray: NDArray[Any]
    details: Float32

    @property
    def guide(self) -> Float32:
        """What superpixels follow: the mean luminance of both in [-1, 1], float32 H'/4 x W'/4."""
        return (self.details[0, -1] + self.details[1, -1]) / 2


def preprocess(first: NDArray[Any], second: NDArray[Any]) -> LiteInputs:
    """What Lite sees of two photographs, as ``Fuser.fuse`` takes them."""
    height, width = round_up_to_multiple(*first.shape[:2])
    gray = np.empty((2, height, width), first.dtype)
    details = np.empty((2, NODE_FEATURES, height // STEP, width // STEP), np.float32)
    rows = max(LEAST_ROWS, BAND // width // STEP * STEP)

    def fill(plane: int) -> None:
        image = (first, second)[plane]
        image = image if image.ndim == 2 else cv2.cvtColor(image[:, :, :3], cv2.COLOR_BGR2GRAY)
        down, across = height - image.shape[0], width - image.shape[1]
        cv2.copyMakeBorder(image, 0, down, 0, across, cv2.BORDER_REPLICATE, dst=gray[plane])

    def measure(plane: int, top: int) -> None:
        bottom = min(top + rows, height)
        above, below = max(top - BAND_MARGIN, 0), min(bottom + BAND_MARGIN, height)
        found = _details(luminance(gray[plane, above:below]))
        begin, end, skip = top // STEP, bottom // STEP, (top - above) // STEP
        for target, values in zip(details[plane], found, strict=True):
            target[begin:end] = values[skip : skip + end - begin]

    for plane in (0, 1):
        fill(plane)
        for top in range(0, height, rows):
            measure(plane, top)
    return LiteInputs(gray, details)


def _details(plane: Float32) -> list[Float32]:
    half = _halved(plane)
    quarter = _halved(half)
    second = np.abs(cv2.Laplacian(plane, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REPLICATE))
    return [_halved(_halved(second)), _halved(_halved(_slope(plane))), _halved(_slope(half)), _slope(quarter), quarter]


def grid_superpixels(seen: LiteInputs, settings: GridSlicSettings) -> Labels:
    """Superpixels of a pair: int32 H'/4 x W'/4, 0 .. N-1."""
    cell = settings.cell(*seen.gray.shape[1:])
    return grid_slic(seen.guide, cell, 2 * settings.compactness, settings.iterations)


def region_features(seen: LiteInputs, labels: Labels) -> Float32:
    """How much detail of four kinds each photograph shows in each superpixel, and how bright it is.

    Returns
    -------
    float32 2 x N x 5
        Logarithms of the means of the first four of ``details``, scaled to about [-1, 1]; mean luminance. Zero for a
        superpixel without a pixel.
    """
    flat, nodes = labels.ravel(), int(labels.max()) + 1
    counts = np.bincount(flat, minlength=nodes)
    features = np.empty((2, nodes, NODE_FEATURES), np.float32)
    for table, maps in zip(features, seen.details, strict=True):
        for column, values in zip(table.T, maps, strict=True):
            column[:] = np.bincount(flat, values.ravel(), nodes) / np.maximum(counts, 1)
        table[:, :-1] = (np.log(table[:, :-1] + np.float32(FINEST_DETAIL)) - DETAIL_CENTRE) / DETAIL_SPREAD
    features[:, counts == 0] = 0
    return features


def region_affinity(seen: LiteInputs, labels: Labels) -> Float32:
    """Which superpixels' context matters to which: float32 N x N, rows (targets) sum to 1, or to 0 without a neighbour.

    The weight of a neighbour is the length of the common border, less where the luminance differs across it.
    """
    flat, nodes = labels.ravel(), int(labels.max()) + 1
    mean = np.bincount(flat, seen.guide.ravel(), nodes) / np.maximum(np.bincount(flat, minlength=nodes), 1)
    one = np.concatenate([labels[:, 1:].ravel(), labels[1:].ravel()])
    other = np.concatenate([labels[:, :-1].ravel(), labels[:-1].ravel()])
    borders = one != other
    pairs, lengths = np.unique(one[borders].astype(np.int64) * nodes + other[borders], return_counts=True)
    one, other = np.divmod(pairs, nodes)
    weights = lengths * np.exp(-np.abs(mean[one] - mean[other]) / SIMILAR)
    affinity = np.zeros((nodes, nodes), np.float32)
    np.add.at(affinity, (one, other), weights)
    np.add.at(affinity, (other, one), weights)
    affinity /= np.maximum(affinity.sum(axis=1, keepdims=True), np.float32(1e-6))
    return affinity


def _halved(plane: Float32) -> Float32:
    return np.asarray(cv2.resize(plane, (plane.shape[1] // 2, plane.shape[0] // 2), interpolation=cv2.INTER_AREA))


def _slope(plane: Float32) -> Float32:
    """Sum of the absolute central differences along both axes."""
    around = cv2.copyMakeBorder(plane, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    x = cv2.absdiff(around[1:-1, 2:], around[1:-1, :-2])
    y = cv2.absdiff(around[2:, 1:-1], around[:-2, 1:-1])
    return np.asarray(cv2.add(x, y, dst=x))
