"""Other ways to fuse: two classical methods, and programs of others where they are installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.images import read_image, write_image
from fusiongcn_edge.runtime.io.validation import check_pair

Image = NDArray[Any]
Fuse = Callable[[Image, Image], Image]

COARSEST = 8  # pixels on the shorter side of a pyramid's last level, at least
PATIENCE = 600  # seconds that another program may take for a pair
PROGRAMS = {  # of others, and their options
    "enfuse": ["--exposure-weight=0", "--saturation-weight=0", "--contrast-weight=1", "--hard-mask"],
    "focus-stack": ["--nocrop"],
}


def laplacian_fusion(a: Image, b: Image) -> Image:
    """Laplacian pyramids (Burt & Adelson, 1983), fused as Burt & Kolczynski (1993) do it simplest: of each coefficient
    the one that is greater in absolute value, in all channels; the mean of what remains at the coarsest level.

    Parameters
    ----------
    a, b : uint8 or uint16, H x W, H x W x 3 or H x W x 4

    Raises
    ------
    ImageError
        If they cannot be fused.
    """
    check_pair(a, b, 1)
    first: Image = a.astype(np.float32)
    second: Image = b.astype(np.float32)
    details = []
    while min(first.shape[:2]) >= 2 * COARSEST:
        pair = []
        for image in (first, second):
            smaller = cv2.pyrDown(image)
            pair.append((image - cv2.pyrUp(smaller, dstsize=image.shape[1::-1]), smaller))
        (detail_a, first), (detail_b, second) = pair
        details.append(np.where(np.abs(detail_a) >= np.abs(detail_b), detail_a, detail_b))
    fused: Image = (first + second) / 2
    for detail in reversed(details):
        fused = cv2.pyrUp(fused, dstsize=detail.shape[1::-1]) + detail
    return _rounded(fused, a)


def guided_fusion(a: Image, b: Image) -> Image:
    """Guided-filter fusion (Li, Kang & Hu, 2013), with the paper's numbers.

    Base (mean of 31 x 31 pixels) and detail are mixed by weights of their own: the map of which photograph is the more
    salient, by its smoothed Laplacian, filtered with the photograph as guide (base: radius 45, smoothness 0.3; detail:
    7, 1e-6).
    Arguments and errors: see :func:`laplacian_fusion`.
    """
    check_pair(a, b, 1)
    full = float(np.iinfo(a.dtype).max)
    first, second = a.astype(np.float64) / full, b.astype(np.float64) / full
    guides = [_gray(first), _gray(second)]
    saliency_a, saliency_b = (
        cv2.GaussianBlur(np.abs(cv2.Laplacian(guide, cv2.CV_64F)), (11, 11), 5) for guide in guides
    )
    sharper = (saliency_a >= saliency_b).astype(np.float64)
    base_a, base_b = cv2.blur(first, (31, 31)), cv2.blur(second, (31, 31))
    fused = np.zeros_like(first)
    parts = ((base_a, base_b, 45, 0.3), (first - base_a, second - base_b, 7, 1e-6))
    for part_a, part_b, radius, smoothness in parts:
        weight_a = np.clip(guided_filter(guides[0], sharper, radius, smoothness), 0, 1)
        weight_b = np.clip(guided_filter(guides[1], 1 - sharper, radius, smoothness), 0, 1)
        both = weight_a + weight_b
        share = np.where(both > 0, weight_a / np.where(both > 0, both, 1), 0.5)
        share = share if first.ndim == 2 else share[:, :, None]
        fused += share * part_a + (1 - share) * part_b
    return _rounded(fused * full, a)


def guided_filter(
    guide: NDArray[np.float64], image: NDArray[np.float64], radius: int, smoothness: float
) -> NDArray[np.float64]:
    """The guided filter (He, Sun & Tang, 2013) for a gray guide in [0, 1]: the image, smoothed where the guide
    is, with the guide's edges.
    """

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.blur(values, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT), np.float64)

    mean_guide, mean_image = mean(guide), mean(image)
    slope = (mean(guide * image) - mean_guide * mean_image) / (mean(guide * guide) - mean_guide**2 + smoothness)
    return mean(slope) * guide + mean(mean_image - slope * mean_guide)


def _gray(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return image if image.ndim == 2 else image[:, :, :3].mean(2)


def _rounded(image: Image, like: Image) -> Image:
    return np.clip(np.rint(image), 0, np.iinfo(like.dtype).max).astype(like.dtype)


def enfuse_fusion(a: Image, b: Image) -> Image:
    """``enfuse`` as its manual has it for focus stacks: contrast alone decides, and hard.

    Raises
    ------
    FusionError
        If it is not installed, fails, or gives no image of the size of the photographs.
    """
    return _run_peer("enfuse", a, b)


def focus_stack_fusion(a: Image, b: Image) -> Image:
    """``focus-stack`` as it comes, but for the border that it would cut off; errors: see :func:`enfuse_fusion`."""
    return _run_peer("focus-stack", a, b)


def _run_peer(program: str, a: Image, b: Image) -> Image:
    check_pair(a, b, 1)
    path = shutil.which(program)
    if path is None:
        raise not_installed(program)
    with tempfile.TemporaryDirectory(prefix="fusiongcn-") as name:
        folder = Path(name)
        write_image(folder / "a.tif", a)
        write_image(folder / "b.tif", b)
        try:
            done = subprocess.run(
                [path, *PROGRAMS[program], "--output=fused.tif", "a.tif", "b.tif"],
                cwd=folder, capture_output=True, text=True, errors="replace", timeout=PATIENCE,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise FusionError(f"{program} was ended", allowed=f"a result within {PATIENCE} seconds") from None
        except OSError as error:
            raise FusionError(f"{program} cannot be started", found=error.strerror, fix=f"check {path}") from None
        if done.returncode or not (folder / "fused.tif").exists():
            said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            raise FusionError(f"{program} ended with code {done.returncode} and no image", found=said[-1])
        fused = read_image(folder / "fused.tif")
    if fused.ndim == 3 and (a.ndim == 2 or fused.shape[2] > a.shape[2]):
        fused = cv2.cvtColor(fused[:, :, :3], cv2.COLOR_BGR2GRAY) if a.ndim == 2 else fused[:, :, : a.shape[2]]
    if fused.shape[:2] != a.shape[:2] or fused.dtype != a.dtype:
        raise FusionError(f"{program} gave an image of another kind", found=_kind(fused), allowed=_kind(a))
    return fused


def _kind(image: Image) -> str:
    return f"{image.shape[1]}x{image.shape[0]} pixels of {image.dtype}"


def not_installed(program: str) -> FusionError:
    """Make the error for a program that is not installed."""
    return FusionError(f"{program} is not on PATH", fix="install it to compare with it")


METHODS: dict[str, Fuse] = {
    "laplacian": laplacian_fusion,
    "guided": guided_fusion,
    "enfuse": enfuse_fusion,
    "focus-stack": focus_stack_fusion,
}


def absent_peers() -> list[str]:
    """Programs among ``METHODS`` that are not on PATH."""
    return [program for program in PROGRAMS if shutil.which(program) is None]
