"""Superpixels: the guide image and SLIC, in numpy and OpenCV.

SLIC (Achanta et al., TPAMI 2012) as scikit-image >= 0.19 computes it, label for label, without scikit-image on the
device. scikit-image measures each pixel against every centre whose window covers it, about 16 of them. Here the image
is cut into small tiles, and bounds on the distance leave each tile only the one to four centres that can win a pixel of
it. The bounds are evaluated in the same float32 arithmetic as the distances, so they leave out nothing that could win.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.segmentation.connected_components import enforce_connectivity
from fusiongcn_edge.runtime.segmentation.settings import seed_grid
from fusiongcn_edge.runtime.types import Float32, Labels

TILE = 12  # pixels; measured best between 8 and 24 at the published settings (cells of 33 pixels)
EXACT_INTEGERS = 2**24  # below this, float32 holds every whole number
GAUSSIAN_TRUNCATE = 4.0  # standard deviations, as scikit-image (scipy.ndimage)
MAX_SIZE_FACTOR = 3  # a region of this many mean sizes is cut (scikit-image's default)
MIN_SIZE_FACTOR = 0.5  # a region below this many mean sizes joins a neighbour (scikit-image's default)


def slic(
    image: Float32,
    n_segments: int,
    compactness: float = 10.0,
    sigma: float = 0.0,
    iterations: int = 10,
) -> Labels:
    """Cut an image into connected superpixels of similar colour and size.

    Same labels as ``skimage.segmentation.slic(image, n_segments, compactness, iterations, sigma, convert2lab=False,
    start_label=0)`` on float32 images.

    Parameters
    ----------
    image : float32 H x W or H x W x C
        Any range: it is rescaled to [0, 1] over all channels together. Channels are compared as they are; convert to
        Lab beforehand where perceptual colour distance matters.
    n_segments : int
        About how many superpixels are wanted.
    compactness : float
        Weight of distance in space against distance in colour. High values give a regular grid, low ones follow edges.
    sigma : float
        Standard deviation in pixels of a Gaussian smoothing beforehand; 0 for none.
    iterations : int
        k-means iterations at most; fewer are run where one moves no pixel, which changes nothing in the result.

    Returns
    -------
    int32 H x W
        Labels 0 .. N-1, each a 4-connected region, numbered in the order in which a row-by-row scan meets them.

    Raises
    ------
    ValueError
        If the image is not a finite float32 array of two or three dimensions, or a parameter is out of range.
    """
    image = np.asarray(image)
    if image.dtype != np.float32 or image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(f"image must be a float32 array H x W or H x W x C, not {image.dtype} of shape {image.shape}")
    if n_segments < 1 or iterations < 1 or not compactness > 0 or not sigma >= 0:
        raise ValueError("n_segments and iterations must be at least 1, compactness positive and sigma not negative")
    image = image[:, :, None] if image.ndim == 2 else image
    low, high = image.min(), image.max()
    if not np.isfinite(high - low):
        raise ValueError("image must not hold NaN or infinite values")
    image = image - low
    if high > low:
        image /= high - low
    height, width = image.shape[:2]
    if sigma > 0:
        image = _gaussian(image, sigma)
    rows, columns = seed_grid(height, width, n_segments)
    image = image * np.float32(1.0 / compactness)
    labels = _kmeans(image, rows, columns, iterations)
    mean_size = height * width / (len(rows) * len(columns))
    return enforce_connectivity(labels, int(MIN_SIZE_FACTOR * mean_size), int(MAX_SIZE_FACTOR * mean_size))


def _gaussian(image: Float32, sigma: float) -> Float32:
    """Gaussian filter, mirrored at the border; each axis summed in float64, rounded to float32 (as scipy.ndimage)."""
    radius = int(GAUSSIAN_TRUNCATE * sigma + 0.5)
    kernel = np.exp(-0.5 * np.square(np.arange(-radius, radius + 1) / sigma))
    kernel /= kernel.sum()
    pad = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="symmetric")
    one = np.ones(1)
    inner = slice(radius, -radius)
    for channel in range(image.shape[2]):
        plane = pad[:, :, channel].astype(np.float64)
        down = cv2.sepFilter2D(plane, cv2.CV_64F, one, kernel)[inner].astype(np.float32)
        image[:, :, channel] = cv2.sepFilter2D(down.astype(np.float64), cv2.CV_64F, kernel, one)[:, inner]
    return image


def _kmeans(image: Float32, rows: range, columns: range, iterations: int) -> Labels:
    """Localised k-means from a grid of centres: each pixel to the nearest centre in space and colour."""
    height, width, channels = image.shape
    y, x = np.meshgrid(np.asarray(rows), np.asarray(columns), indexing="ij")
    centres = np.zeros((y.size, 2 + channels), np.float32)  # y, x, colour; colour starts at 0 as in scikit-image
    centres[:, 0], centres[:, 1] = y.ravel(), x.ravel()
    # scikit-image derives the windows from the number of centres it got, not from the number asked for
    window_rows, window_columns = seed_grid(height, width, len(centres))
    window = 2 * window_rows.step, 2 * window_columns.step
    weight = np.float32(1.0) / np.float32(max(rows.step, columns.step) ** 2)
    tiles = _Tiles(image)
    pixels: list[NDArray[Any]] = [
        np.repeat(np.arange(height, dtype=np.float64), width),
        np.tile(np.arange(width, dtype=np.float64), height),
        *(np.ascontiguousarray(image[:, :, channel]).ravel() for channel in range(channels)),
    ]
    labels = np.full((height, width), -1, np.int32)
    touched = np.ones(len(centres) + 1, bool)  # centres that won or lost a pixel; the last one stands for "none"
    for _ in range(iterations):
        previous = labels
        labels = tiles.assign(centres, window, weight, previous)
        changed = labels != previous
        if not changed.any():
            break
        if previous.min() >= 0:
            touched[:] = False
            touched[labels[changed]] = touched[previous[changed]] = True
        touched[-1] = False  # pixels outside every window stay without a superpixel
        members = touched[labels.ravel()]
        where = labels.ravel()[members]
        counts = np.bincount(where, minlength=len(centres)).astype(np.float32)
        exact = counts.max() * max(height, width) < EXACT_INTEGERS
        sums = np.zeros_like(centres)
        for feature, plane in enumerate(pixels):
            values = plane[members]
            if feature < 2 and exact:  # sums of coordinates: the same in any order
                sums[:, feature] = np.bincount(where, values, len(centres))
            else:  # summed in float32 and in scan order, as the reference does
                np.add.at(sums[:, feature], where, values.astype(np.float32, copy=False))
        moved = touched[:-1]
        with np.errstate(invalid="ignore"):  # a centre that lost all its pixels becomes NaN and wins none again
            centres[moved] = sums[moved] / counts[moved, None]
    return labels


class _Tiles:
    """The image in TILE x TILE tiles, with what is needed to bound distances from a tile to a centre."""

    def __init__(self, image: Float32) -> None:
        self.height, self.width, self.channels = image.shape
        self.down, self.across = -(-self.height // TILE), -(-self.width // TILE)
        pad = ((0, self.down * TILE - self.height), (0, self.across * TILE - self.width), (0, 0))
        grid = np.pad(image, pad, mode="edge").reshape(self.down, TILE, self.across, TILE, self.channels)
        self.pixels = np.ascontiguousarray(grid.transpose(0, 2, 4, 1, 3)).reshape(-1, self.channels, TILE, TILE)
        self.colour_low = self.pixels.min(axis=(2, 3))  # tiles x channels
        self.colour_high = self.pixels.max(axis=(2, 3))
        self._last: tuple[Float32, NDArray[np.intp], NDArray[np.intp]] | None = None  # centres and pairs of last time

    def assign(self, centres: Float32, window: tuple[int, int], weight: np.float32, previous: Labels) -> Labels:
        """Label of the nearest centre for each pixel; on a tie the lower label; outside all windows as before."""
        tile, centre, sole, inside = self._candidates(centres, window, weight)
        labels = self._cut(previous)
        labels[tile[sole]] = centre[sole][:, None, None]
        # what is left has several candidates, in ascending order of label within each tile
        left = ~sole & self._unsettled(tile, centre, centres)[tile]
        tile, centre, inside = tile[left], centre[left], inside[left]
        first = np.ones(len(tile), bool)
        first[1:] = tile[1:] != tile[:-1]
        slot = np.cumsum(first) - 1
        rank = np.arange(len(tile)) - np.flatnonzero(first)[slot] if len(tile) else slot
        nearest = np.full((int(first.sum()), TILE, TILE), np.inf, np.float32)
        for r in range(int(rank.max(initial=-1)) + 1):
            chosen = rank == r
            t, k, s = tile[chosen], centre[chosen], slot[chosen]
            distance = self._distance(t, centres[k], weight)
            partly = ~inside[chosen]
            if partly.any():
                distance[partly] = np.where(
                    self._in_window(t[partly], centres[k[partly]], window), distance[partly], np.inf
                )
            best = nearest[s]
            closer = distance < best
            nearest[s] = np.where(closer, distance, best)
            labels[t] = np.where(closer, k[:, None, None], labels[t])
        return self._join(labels)

    def _unsettled(self, tile: NDArray[np.intp], centre: NDArray[np.intp], centres: Float32) -> NDArray[np.bool_]:
        """Tiles that one of the candidates, of last time or of now, has moved for; the others' labels stay."""
        unsettled = np.ones(len(self.pixels), bool)
        if self._last is not None:
            last_centres, last_tile, last_centre = self._last
            moved = (centres != last_centres).any(axis=1)  # NaN included
            unsettled[:] = False
            unsettled[tile[moved[centre]]] = True
            unsettled[last_tile[moved[last_centre]]] = True
        self._last = centres.copy(), tile, centre
        return unsettled

    def _candidates(
        self, centres: Float32, window: tuple[int, int], weight: np.float32
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]:
        """Pairs (tile, centre) in which the centre may win a pixel, sorted; sole candidates; windows that cover."""
        y_least, y_most, y_in, y_tiles, y_centres = _axis_bounds(centres[:, 0], self.height, window[0])
        x_least, x_most, x_in, x_tiles, x_centres = _axis_bounds(centres[:, 1], self.width, window[1])
        # all combinations of a centre's tile rows and tile columns
        x_count = np.bincount(x_centres, minlength=len(centres))
        x_first = np.cumsum(x_count) - x_count
        repeat = x_count[y_centres]
        i = np.repeat(np.arange(len(y_centres)), repeat)
        j = np.arange(len(i)) - np.repeat(np.cumsum(repeat) - repeat, repeat) + x_first[y_centres[i]]
        centre = y_centres[i]
        tile = y_tiles[i] * self.across + x_tiles[j]
        inside = y_in[i] & x_in[j]
        low, high = self._colour_bounds(tile, centres[centre, 2:])
        least = (y_least[i] + x_least[j]) * weight + low
        most = np.where(inside, (y_most[i] + x_most[j]) * weight + high, np.float32(np.inf))
        bound = np.full(self.down * self.across, np.inf, np.float32)
        np.minimum.at(bound, tile, most)
        keep = least <= bound[tile]
        tile, centre, inside = tile[keep], centre[keep], inside[keep]
        order = np.argsort(tile, kind="stable")  # pairs came in ascending order of centre
        tile, centre, inside = tile[order], centre[order], inside[order]
        sole = (np.bincount(tile, minlength=len(bound)) == 1)[tile] & inside
        return tile, centre, sole, inside

    def _colour_bounds(self, tile: NDArray[np.intp], colour: Float32) -> tuple[Float32, Float32]:
        low, high = np.zeros(len(tile), np.float32), np.zeros(len(tile), np.float32)
        for c in range(self.channels):
            to_low = self.colour_low[tile, c] - colour[:, c]
            to_high = self.colour_high[tile, c] - colour[:, c]
            to_low_sq, to_high_sq = to_low * to_low, to_high * to_high
            low += np.where((to_low <= 0) & (to_high >= 0), np.float32(0), np.minimum(to_low_sq, to_high_sq))
            high += np.maximum(to_low_sq, to_high_sq)
        return low, high

    def _distance(self, tile: NDArray[np.intp], centres: Float32, weight: np.float32) -> Float32:
        y, x = self._coordinates(tile)
        dy = centres[:, 0, None] - y
        dx = centres[:, 1, None] - x
        distance = (dy * dy)[:, :, None] + (dx * dx)[:, None, :]
        distance *= weight
        # the colour term is summed on its own and then added, as the reference does: rounding decides ties
        colour: Float32 | None = None
        for c in range(self.channels):
            difference = self.pixels[tile, c] - centres[:, 2 + c, None, None]
            difference *= difference
            colour = difference if colour is None else colour + difference
        return distance if colour is None else distance + colour

    def _in_window(self, tile: NDArray[np.intp], centres: Float32, window: tuple[int, int]) -> NDArray[np.bool_]:
        y, x = self._coordinates(tile)
        y_from, y_to = _window(centres[:, 0], self.height, window[0])
        x_from, x_to = _window(centres[:, 1], self.width, window[1])
        rows = (y >= y_from[:, None]) & (y < y_to[:, None])
        columns = (x >= x_from[:, None]) & (x < x_to[:, None])
        return rows[:, :, None] & columns[:, None, :]

    def _coordinates(self, tile: NDArray[np.intp]) -> tuple[Float32, Float32]:
        offsets = np.arange(TILE)
        y = (tile // self.across)[:, None] * TILE + offsets
        x = (tile % self.across)[:, None] * TILE + offsets
        return y.astype(np.float32), x.astype(np.float32)

    def _cut(self, labels: Labels) -> Labels:
        pad = ((0, self.down * TILE - self.height), (0, self.across * TILE - self.width))
        grid = np.pad(labels, pad).reshape(self.down, TILE, self.across, TILE)
        return np.ascontiguousarray(grid.transpose(0, 2, 1, 3)).reshape(-1, TILE, TILE)

    def _join(self, labels: Labels) -> Labels:
        grid = labels.reshape(self.down, self.across, TILE, TILE).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(grid.reshape(self.down * TILE, -1)[: self.height, : self.width])


def _window(centre: Float32, size: int, reach: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First coordinate and the one after the last that a centre may claim; empty for a centre that is NaN."""
    dead = np.isnan(centre)
    centre = np.where(dead, np.float32(0), centre)
    start = np.maximum(centre - np.float32(reach), 0).astype(np.intp)
    stop = np.minimum(centre + np.float32(reach) + np.float32(1), size).astype(np.intp)
    return start, np.where(dead, start, stop)


def _axis_bounds(
    centre: Float32, size: int, reach: int
) -> tuple[Float32, Float32, NDArray[np.bool_], NDArray[np.intp], NDArray[np.intp]]:
    """Along one axis, for each centre and each tile its window touches (flattened, by centre):

    least and greatest squared distance to a pixel of the tile, whether the window covers the tile, tile, centre.
    """
    start, stop = _window(centre, size, reach)
    first = start // TILE
    count = np.where(stop > start, -(-stop // TILE) - first, 0)
    index = np.repeat(np.arange(len(centre)), count)
    tile = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count) + first[index]
    low = tile * TILE
    high = np.minimum(low + TILE, size) - 1
    c = centre[index]
    to_low, to_high = c - low.astype(np.float32), c - high.astype(np.float32)
    nearest = np.rint(np.clip(c, low, high)).astype(np.float32)
    to_nearest = c - nearest
    return (
        to_nearest * to_nearest,
        np.maximum(to_low * to_low, to_high * to_high),
        (start[index] <= low) & (stop[index] > high),
        tile,
        index,
    )
