"""What the light network sees of a pair: luminance, and superpixels with their graph at a quarter of the resolution.

SLIC (Achanta et al., TPAMI 2012) with one liberty: a pixel chooses among the nine cells of the seed grid around it, and
regions need not be connected. So every iteration is a handful of whole-image operations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Labels = NDArray[np.int32]

MULTIPLE = 8  # sizes are filled up to a multiple of this many pixels, the edge repeated
QUARTER = 4
DETAILS = 5  # node features of one photograph
FINEST_DETAIL = 0.004  # half a gray level of [-1, 1]: what is below says nothing
DETAIL_CENTRE, DETAIL_SPREAD = -3.0, 1.5  # of the logarithms, roughly
SIMILAR = 0.15  # difference in luminance at which a border lets through 1/e of a context


@dataclass(frozen=True)
class RegionSettings:
    """How a light model's superpixels are made; the bundle carries these."""

    segments_per_side: float  # superpixels wanted = longer side in pixels * this
    compactness: float  # luminance of [0, 1] that counts as much as the side of a cell
    iterations: int

    def cell(self, height: int, width: int) -> int:
        """Side of a cell of the seed grid in quarter pixels, for a photograph of ``height`` x ``width`` pixels."""
        wanted = max(1.0, max(height, width) * self.segments_per_side)
        return max(2, round(math.sqrt(height * width / wanted) / QUARTER))


def luminance_input(first: NDArray[Any], second: NDArray[Any]) -> Float32:
    """What the network sees of a pair: float32 2 x H' x W', luminance in [-1, 1], H' and W' multiples of 8.

    What is filled in below and on the right repeats the edge.
    """
    height, width = first.shape[:2]
    down, across = -height % MULTIPLE, -width % MULTIPLE
    planes = np.empty((2, height + down, width + across), np.float32)
    for plane, image in zip(planes, (first, second), strict=True):
        gray = image if image.ndim == 2 else cv2.cvtColor(image[:, :, :3], cv2.COLOR_BGR2GRAY)
        gray = cv2.copyMakeBorder(gray, 0, down, 0, across, cv2.BORDER_REPLICATE)
        np.multiply(gray, np.float32(2 / np.iinfo(image.dtype).max), out=plane)
        plane -= 1
    return planes


def regions(luminance: Float32, settings: RegionSettings) -> Labels:
    """Superpixels of a pair, ``luminance`` as above, on the mean of both: int32 H'/4 x W'/4, 0 .. N-1."""
    guide = _shrunk((luminance[0] + luminance[1]) / 2, QUARTER)
    return grid_slic(guide, settings.cell(*luminance.shape[1:]), 2 * settings.compactness, settings.iterations)


def grid_slic(guide: Float32, cell: int, compactness: float, iterations: int) -> Labels:
    """Cut an image into superpixels around the cells of a grid.

    Parameters
    ----------
    guide : float32 H x W
    cell : int
        Side of a cell in pixels.
    compactness : float
        Difference in ``guide`` that counts as much as the side of a cell.
    iterations : int

    Returns
    -------
    int32 H x W
        Label ``r * columns + c`` for the superpixel that began as the cell in row r and column c; a few labels may have
        no pixel.
    """
    height, width = guide.shape
    rows, columns = -(-height // cell), -(-width // cell)
    padded = cv2.copyMakeBorder(guide, 0, rows * cell - height, 0, columns * cell - width, cv2.BORDER_REPLICATE)
    colour = (padded * np.float32(1 / compactness)).reshape(rows, cell, columns, cell)
    y = (np.arange(rows * cell, dtype=np.float32) / np.float32(cell)).reshape(rows, cell, 1, 1)
    x = (np.arange(columns * cell, dtype=np.float32) / np.float32(cell)).reshape(1, 1, columns, cell)
    planes = [np.broadcast_to(plane, colour.shape).ravel() for plane in (colour, y, x)]
    numbers = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    labels = np.broadcast_to(numbers[:, None, :, None], colour.shape)
    for _ in range(iterations):
        flat = labels.ravel()
        counts = np.maximum(np.bincount(flat, minlength=numbers.size), 1)
        centres = [np.bincount(flat, plane, numbers.size) / counts for plane in planes]
        around = [np.pad(c.astype(np.float32).reshape(rows, columns), 1, constant_values=np.inf) for c in centres]
        beyond = np.pad(numbers, 1)
        nearest = np.full(colour.shape, np.inf, np.float32)
        labels = np.empty(colour.shape, np.int32)
        for dy in range(3):
            for dx in range(3):
                there = slice(dy, dy + rows), None, slice(dx, dx + columns), None
                centre_colour, centre_y, centre_x = (centre[there[0], None, there[2], None] for centre in around)
                distance = colour - centre_colour
                distance *= distance
                distance += np.square(y - centre_y)
                distance += np.square(x - centre_x)
                closer = distance < nearest
                np.copyto(nearest, distance, where=closer)
                np.copyto(labels, beyond[there], where=closer)
    return np.ascontiguousarray(labels.reshape(rows * cell, columns * cell)[:height, :width])


def region_features(luminance: Float32, labels: Labels) -> Float32:
    """How much detail of four kinds each photograph shows in each superpixel, and how bright it is.

    Parameters
    ----------
    luminance : float32 2 x H x W
    labels : int32 H/4 x W/4

    Returns
    -------
    float32 2 x N x 5
        Logarithms of the mean second difference, and of the mean slope at full, half and quarter resolution, scaled to
        about [-1, 1]; mean luminance. Zero for a superpixel without a pixel.
    """
    flat, nodes = labels.ravel(), int(labels.max()) + 1
    counts = np.bincount(flat, minlength=nodes)
    features = np.empty((2, nodes, DETAILS), np.float32)
    for table, plane in zip(features, luminance, strict=True):
        half = _shrunk(plane, 2)
        quarter = _shrunk(half, 2)
        maps = [
            _shrunk(np.abs(cv2.Laplacian(plane, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REPLICATE)), 4),
            _shrunk(_slope(plane), 4),
            _shrunk(_slope(half), 2),
            _slope(quarter),
            quarter,
        ]
        for column, values in zip(table.T, maps, strict=True):
            column[:] = np.bincount(flat, values.ravel(), nodes) / np.maximum(counts, 1)
        table[:, :-1] = (np.log(table[:, :-1] + np.float32(FINEST_DETAIL)) - DETAIL_CENTRE) / DETAIL_SPREAD
    features[:, counts == 0] = 0
    return features


def region_affinity(luminance: Float32, labels: Labels) -> Float32:
    """Which superpixels' context matters to which: float32 N x N, rows (targets) sum to 1, or to 0 without a neighbour.

    The weight of a neighbour is the length of the common border, less where the luminance differs across it.
    """
    flat, nodes = labels.ravel(), int(labels.max()) + 1
    guide = _shrunk((luminance[0] + luminance[1]) / 2, QUARTER)
    mean = np.bincount(flat, guide.ravel(), nodes) / np.maximum(np.bincount(flat, minlength=nodes), 1)
    pairs = np.concatenate(
        [(labels[:, 1:] * nodes + labels[:, :-1]).ravel(), (labels[1:] * nodes + labels[:-1]).ravel()]
    )
    border = np.bincount(pairs, minlength=nodes * nodes).reshape(nodes, nodes).astype(np.float32)
    border += border.T
    np.fill_diagonal(border, 0)
    weight = border * np.exp(-np.abs(mean[:, None] - mean[None, :]) / SIMILAR).astype(np.float32)
    return weight / np.maximum(weight.sum(axis=1, keepdims=True), np.float32(1e-6))


def _shrunk(plane: Float32, factor: int) -> Float32:
    height, width = plane.shape
    return np.asarray(cv2.resize(plane, (width // factor, height // factor), interpolation=cv2.INTER_AREA))


def _slope(plane: Float32) -> Float32:
    """Sum of the absolute central differences along both axes."""
    x = cv2.Sobel(plane, cv2.CV_32F, 1, 0, ksize=1, borderType=cv2.BORDER_REPLICATE)
    y = cv2.Sobel(plane, cv2.CV_32F, 0, 1, ksize=1, borderType=cv2.BORDER_REPLICATE)
    return np.abs(x) + np.abs(y)
