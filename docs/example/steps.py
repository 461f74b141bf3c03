"""Draw what happens to the example pair on its way, with the shipped model.

python docs/example/steps.py
"""

from pathlib import Path

import cv2
import numpy as np

from fusiongcn_edge.runtime import Fuser
from fusiongcn_edge.runtime.fusion.preview import contact_sheet
from fusiongcn_edge.runtime.io.images import Encoding, read_image, write_images

HERE = Path(__file__).parent
HEIGHT = 280  # pixels of a panel
SCALE = 2  # drawn so much larger
GREEN, ORANGE, GRAY = (80, 170, 60), (40, 120, 240), (150, 150, 150)


def outlined(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A picture with the borders of its superpixels."""
    border = np.zeros(labels.shape, bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    drawn = picture.copy()
    drawn[border] = 0, 255, 255
    return drawn


def drawn_graph(fuser: Fuser, near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """A dot for each superpixel, of the colour of the photograph with more detail there, and its ties."""
    seen = fuser.network.preprocess(near, far)
    labels = fuser.network.superpixels(seen)
    graph = fuser.network.graph(seen, labels)
    step, count = fuser.network.superpixel_stride, int(labels.max()) + 1
    rows, columns = np.indices(labels.shape)
    size = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    centres = [np.bincount(labels.ravel(), place.ravel(), count) / size for place in (columns, rows)]
    at = [tuple(int(SCALE * step * (value + 0.5)) for value in point) for point in zip(*centres, strict=True)]
    canvas = np.full((near.shape[0] * SCALE, near.shape[1] * SCALE, 3), 255, np.uint8)
    for one, other in np.argwhere(np.triu(graph["affinity"] + graph["affinity"].T, 1) > 0.05):
        cv2.line(canvas, at[one], at[other], GRAY, 2, cv2.LINE_AA)
    sharper = graph["features"][0, :, :-1].mean(axis=1) > graph["features"][1, :, :-1].mean(axis=1)
    for node, place in enumerate(at):
        cv2.circle(canvas, place, 12, GREEN if sharper[node] else ORANGE, -1, cv2.LINE_AA)
    return canvas


def main() -> None:
    """Write steps.jpg beside this file."""
    near, far = read_image(HERE / "near.jpg"), read_image(HERE / "far.jpg")
    fuser = Fuser.open()
    result = fuser.fuse(near, far)
    probability = np.rint(result.probability * 255).astype(np.uint8)
    upper = contact_sheet([("near", near), ("far", far), ("1 superpixels", outlined(near, result.labels))], HEIGHT)
    lower = contact_sheet(
        [
            ("2 region graph (green: near shows more detail)", drawn_graph(fuser, near, far)),
            ("3 focus probability", probability),
            ("4 decision map", result.decision.astype(np.uint8) * 255),
        ],
        HEIGHT,
    )
    write_images({HERE / "steps.jpg": np.vstack([upper, lower])}, Encoding(jpeg_quality=85))
    print(HERE / "steps.jpg")


if __name__ == "__main__":
    main()
