"""The region graph: which superpixels touch, and what each one holds.

The published model (its code, not its paper) makes a directed edge from the left to the right and from the upper to the
lower of two neighbouring pixels' superpixels. The matrices here are dense, since N is a few hundred: rows are targets,
columns are sources.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.types import Float32

MASKED_LOGIT = np.float32(-1e4)  # attention logit where there is no edge: exp(-1e4) is 0, and -1e4 fits into float16


def region_graph(labels: NDArray[np.int32]) -> tuple[Float32, Float32]:
    """Adjacency of the superpixels, ready for the graph layers.

    Parameters
    ----------
    labels : int32 H x W
        Superpixels 0 .. N-1, each present.

    Returns
    -------
    adjacency : float32 N x N
        With a self loop of weight 1 on each node, normalised symmetrically by in-degree,
        ``D^-1/2 (E + I) D^-1/2`` (Kipf & Welling 2017, eq. 2).
    attention_mask : float32 N x N
        0 where there is an edge or self loop, -10000 elsewhere: to be added to attention logits.
    """
    nodes = int(labels.max()) + 1
    edges = np.zeros((nodes, nodes), bool)
    edges[labels[:, 1:], labels[:, :-1]] = True
    edges[labels[1:], labels[:-1]] = True
    np.fill_diagonal(edges, True)
    scale = 1 / np.sqrt(edges.sum(axis=1, dtype=np.float32))
    adjacency = edges * scale[:, None] * scale[None, :]
    return adjacency.astype(np.float32), np.where(edges, np.float32(0), MASKED_LOGIT)


def node_features(images: Float32, labels: NDArray[np.int32]) -> Float32:
    """Sum of the Scharr gradient magnitude over each superpixel: how much detail each photograph shows there.

    Parameters
    ----------
    images : float32 2 x 3 x H x W
        Both photographs, RGB in [-1, 1]; zero outside the image.
    labels : int32 H x W
        Superpixels 0 .. N-1.

    Returns
    -------
    float32 2 x N x 3
    """
    nodes = int(labels.max()) + 1
    flat = labels.ravel()
    features = np.empty((len(images), nodes, images.shape[1]), np.float32)
    for photograph, planes in enumerate(images):
        for channel, plane in enumerate(planes):
            gx = cv2.Scharr(plane, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_CONSTANT)
            gy = cv2.Scharr(plane, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_CONSTANT)
            magnitude = np.sqrt(gx * gx + gy * gy)  # cv2.magnitude rounds differently from one call to the next
            features[photograph, :, channel] = np.bincount(flat, weights=magnitude.ravel())
    return features
