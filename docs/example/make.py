"""Make the example pair, one photograph once with the cup and once with the table in focus, and fuse it.

    python docs/example/make.py

The photograph is "Coffee" by Rachel Michetti, released under CC0 and shipped inside the scikit-image wheel
(``skimage.data.coffee``). The cup is cut out with GrabCut; blur is that of a round aperture. In far.jpg the cup's
*matte* is blurred with it, as a lens does: a defocused foreground spreads over the sharp background.
"""

from pathlib import Path

import cv2
import numpy as np
from skimage import data

from fusiongcn_edge.runtime import Fuser

RADIUS = 7  # pixels, of the circle of confusion


def disc(radius: float) -> np.ndarray:
    """Kernel of a round aperture, sum 1."""
    y, x = np.mgrid[-int(radius) - 1 : int(radius) + 2, -int(radius) - 1 : int(radius) + 2]
    kernel = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1)
    return kernel / kernel.sum()


def cup(photograph: np.ndarray) -> np.ndarray:
    """Matte of cup and saucer, float64 H x W in [0, 1]."""
    height, width = photograph.shape[:2]
    mask = np.full((height, width), cv2.GC_BGD, np.uint8)
    cv2.ellipse(mask, (300, 215), (265, 185), 0, 0, 360, cv2.GC_PR_FGD, -1)
    cv2.ellipse(mask, (300, 190), (190, 110), 0, 0, 360, cv2.GC_FGD, -1)
    cv2.setRNGSeed(0)
    cv2.grabCut(photograph, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    inside = cv2.morphologyEx(inside, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25)))
    inside = cv2.morphologyEx(inside, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (41, 41)))
    return cv2.GaussianBlur(inside.astype(np.float64), (0, 0), 1.0)


def sheet(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """The pair above what the shipped model makes of it: the fused photograph and the decision map."""
    result = Fuser.open().fuse(near, far)
    decision = cv2.cvtColor(result.decision.astype(np.uint8) * 255, cv2.COLOR_GRAY2BGR)
    return np.vstack([np.hstack([near, far]), np.hstack([result.image, decision])])


def main() -> None:
    """Write near.jpg, far.jpg and sheet.jpg beside this file."""
    photograph = cv2.cvtColor(data.coffee(), cv2.COLOR_RGB2BGR)
    sharp, kernel = photograph.astype(np.float64), disc(RADIUS)
    matte = cup(photograph)[:, :, None]

    def blurred(image: np.ndarray) -> np.ndarray:
        return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT).reshape(image.shape)

    near = matte * sharp + (1 - matte) * blurred(sharp)
    far = blurred(matte * sharp) + (1 - blurred(matte)) * sharp
    near, far = (np.clip(image + 0.5, 0, 255).astype(np.uint8) for image in (near, far))
    for name, image in (("near", near), ("far", far), ("sheet", sheet(near, far))):
        file = Path(__file__).with_name(f"{name}.jpg")
        cv2.imwrite(str(file), image, [cv2.IMWRITE_JPEG_QUALITY, 95 if name != "sheet" else 85])
        print(file)


if __name__ == "__main__":
    main()
