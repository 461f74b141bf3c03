"""SLIC (Achanta et al., TPAMI 2012) on a grid: a pixel chooses among the nine cells of the seed grid around it.

Superpixels need not be connected, so every iteration is a handful of whole-image operations.
"""

from __future__ import annotations

import cv2
import numpy as np

from fusiongcn_edge.runtime.types import Float32, Labels


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
    across = columns * cell
    padded = cv2.copyMakeBorder(guide, 0, rows * cell - height, 0, across - width, cv2.BORDER_REPLICATE)
    colour = (padded * np.float32(1 / compactness)).reshape(rows, cell, across)
    y = (np.arange(rows * cell, dtype=np.float32) / np.float32(cell)).reshape(rows, cell, 1)
    x = np.arange(across, dtype=np.float32) / np.float32(cell)
    planes = [np.broadcast_to(plane, colour.shape).ravel() for plane in (colour, y, x)]
    # whatever belongs to a cell is repeated along its rows, so that operations run along whole rows of the image
    numbers = np.arange(rows * columns, dtype=np.int32)
    own = numbers.reshape(rows, 1, columns).repeat(cell, axis=2)
    neighbours = [(dy, dx) for dy in range(3) for dx in range(3)]
    offsets = np.array([(dy - 1) * columns + dx - 1 for dy, dx in neighbours], np.int32)
    labels = np.broadcast_to(own, colour.shape)
    distance, part, nearest = (np.empty_like(colour) for _ in range(3))
    closer, choice = np.empty(colour.shape, bool), np.empty(colour.shape, np.uint8)
    for _ in range(iterations):
        flat = labels.ravel()
        counts = np.bincount(flat, minlength=numbers.size)
        # a superpixel without a pixel is far from every one
        centres = [
            np.where(counts > 0, np.bincount(flat, p, numbers.size) / np.maximum(counts, 1), np.inf) for p in planes
        ]
        around = [
            np.pad(c.astype(np.float32).reshape(rows, 1, columns), ((1, 1), (0, 0), (1, 1)), constant_values=np.inf)
            for c in centres
        ]
        around = [c.repeat(cell, axis=2) for c in around]
        nearest[...], choice[...] = np.inf, 0
        for number, (dy, dx) in enumerate(neighbours):
            centre_colour, centre_y, centre_x = (c[dy : dy + rows, :, dx * cell : dx * cell + across] for c in around)
            np.square(np.subtract(colour, centre_colour, out=distance), out=distance)
            distance += np.square(np.subtract(y, centre_y, out=part), out=part)
            distance += np.square(x - centre_x)
            np.less(distance, nearest, out=closer)
            np.minimum(distance, nearest, out=nearest)
            np.maximum(choice, closer.view(np.uint8) * np.uint8(number), out=choice)  # of equals, the first one stays
        labels = offsets[choice]
        labels += own
    return np.ascontiguousarray(labels.reshape(rows * cell, across)[:height, :width])
