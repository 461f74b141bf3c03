"""Multi-focus scenes with a known truth, made on the fly from any folder of photographs.

A scene is a stack of layers, back to front, each with a soft matte and, in each of the two photographs, a radius of
blur. A photograph is made by laying the blurred layers over each other, with a blurred layer's *matte blurred too*: a
defocused foreground spreads over a sharp background ("defocus spread effect", Ma et al., IEEE TIP 2020). The truth is
the same stack without blur. Some scenes are made the simple way instead, which other data sets use: one photograph,
blurred on one side of a mask and on the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.model.data.photos import Float32, Photographs
from fusiongcn_edge.runtime.errors import FusionError

SMALLEST_SCENE = 32  # pixels on a side
LARGEST_RADIUS = 12.0  # pixels


@dataclass(frozen=True)
class Scene:
    """One made scene, all H x W.

    Attributes
    ----------
    a, b : uint8 H x W x 3, BGR
        The two photographs.
    truth : uint8 H x W x 3, BGR
        Sharp everywhere.
    matte : float32 H x W in [0, 1]
        How much of what is seen at a pixel is sharper in ``a``.
    weight : float32 H x W in [0, 1]
        0 where neither photograph is sharper, so that the matte says nothing.
    kind : str
        ``mask``, ``layers-2``, ``layers-3`` or ``blank``.
    """

    a: NDArray[np.uint8]
    b: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    matte: Float32
    weight: Float32
    kind: str


def make_scene(photographs: Photographs, size: int, seed: int, index: int) -> Scene:
    """Scene number ``index`` of the endless series ``seed``, ``size`` x ``size`` pixels: always the same one."""
    if size < SMALLEST_SCENE or seed < 0:
        raise FusionError(
            "This scene cannot be made",
            found=f"{size} pixels on a side, seed {seed}",
            allowed=f"at least {SMALLEST_SCENE}, and a seed from 0",
        )
    rng = np.random.default_rng([seed, index])
    margin = 16
    full = size + 2 * margin  # blur looks beyond the frame
    reach = min(LARGEST_RADIUS, size / 12)
    kind = str(rng.choice(["mask", "layers-2", "layers-3"], p=[0.6, 0.3, 0.1]))
    if kind == "mask":
        a, b, truth, matte, weight = _mask_scene(photographs, rng, full, reach)
    else:
        a, b, truth, matte, weight = _layer_scene(photographs, rng, full, reach, layers=int(kind[-1]))
    if rng.random() < 0.5:
        a, b, matte = b, a, 1 - matte
    b = _misregister(b, rng)
    a, b = _expose(a, rng), _expose(b, rng)
    inner = slice(margin, margin + size)
    a8, b8, t8 = (to_uint8(image[inner, inner]) for image in (a, b, truth))
    if rng.random() < 0.4:
        quality = int(rng.integers(75, 100))
        a8, b8 = jpeg_compressed(a8, quality), jpeg_compressed(b8, quality)
    matte, weight = (np.clip(share[inner, inner], 0, 1) for share in (matte, weight))  # rounding
    return Scene(a8, b8, t8, matte, weight, kind)


def blank_scene(photographs: Photographs, size: int, seed: int, index: int) -> Scene:
    """A scene in which nothing is sharp: one blurred photograph twice, or one colour, each time with other noise.

    The matte is one half everywhere: neither photograph is to be preferred.
    """
    rng = np.random.default_rng([seed, index, 2])
    truth, _ = photographs.crop(rng, size)
    if rng.random() < 0.3:
        truth = np.broadcast_to(truth.mean(axis=(0, 1)), truth.shape).astype(np.float32)
    else:
        truth = blur(truth, kernel(rng, float(rng.uniform(2, LARGEST_RADIUS))))
    noise, exposure = rng.uniform(0.3, 3.0), rng.uniform(0.98, 1.02) if rng.random() < 0.3 else 1.0
    a, b, t = (
        to_uint8(gain * truth + level * rng.standard_normal(truth.shape))
        for gain, level in ((exposure, noise), (1, noise), (1, 0))
    )
    if rng.random() < 0.4:
        quality = int(rng.integers(75, 100))
        a, b = jpeg_compressed(a, quality), jpeg_compressed(b, quality)
    return Scene(a, b, t, np.full((size, size), 0.5, np.float32), np.ones((size, size), np.float32), "blank")


def with_noise(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with noise of much the same strength and grain in both photographs, as a camera's.

    Blurring a photograph blurs its noise too. Without new noise over it, a network learns to tell by the noise which
    photograph is sharp in regions without texture, and decides at random where it looks at real ones.
    """
    level, grain = float(np.exp(rng.uniform(math.log(0.5), math.log(4.0)))), float(rng.choice([0.0, 0.5, 0.8, 1.2]))

    def noisy(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shape = image.shape
        noise = rng.standard_normal(shape, np.float32) * np.float32(rng.uniform(0, 1))  # in colour
        noise += rng.standard_normal((*shape[:2], 1), np.float32)
        if grain:
            noise = cv2.GaussianBlur(noise, (0, 0), grain).astype(np.float32)
        noise *= np.float32(level * rng.uniform(0.85, 1.15)) / noise.std()
        return to_uint8(image + noise)

    return replace(scene, a=noisy(scene.a), b=noisy(scene.b))


def _mask_scene(
    photographs: Photographs, rng: np.random.Generator, size: int, reach: float
) -> tuple[Float32, Float32, Float32, Float32, Float32]:
    """One photograph, blurred outside a mask in A and inside it in B; nothing spreads over the edge."""
    truth, segments = photographs.crop(rng, size)
    matte = random_matte(segments, rng, size)
    if rng.random() < 0.4:
        matte = _displace(matte, rng)
    if rng.random() < 0.7:
        matte = (matte > 0.5).astype(np.float32)
    inside = kernel(rng, _radius(rng, reach))
    other = inside if rng.random() < 0.7 else kernel(rng, _radius(rng, reach))
    m = matte[:, :, None]
    a = m * truth + (1 - m) * blur(truth, inside)
    b = (1 - m) * truth + m * blur(truth, other)
    return a, b, truth, matte, np.ones_like(matte)


def _layer_scene(
    photographs: Photographs, rng: np.random.Generator, size: int, reach: float, layers: int
) -> tuple[Float32, Float32, Float32, Float32, Float32]:
    """Two or three layers at their own depths; A is focused on one end, B on the other."""
    background, segments = photographs.crop(rng, size)
    images, mattes = [background], [np.ones((size, size), np.float32)]
    for _ in range(layers - 1):
        if rng.random() < 0.5:  # the foreground is cut from the same photograph: its edges are real edges
            image = background
            matte = random_matte(segments, rng, size)
        else:
            image, own_segments = photographs.crop(rng, size)
            matte = random_matte(own_segments, rng, size)
        if rng.random() < 0.05:
            image = np.broadcast_to(image.mean(axis=(0, 1)), image.shape).astype(np.float32)  # no texture at all
        images.append(image)
        mattes.append(matte)
    aperture = _radius(rng, reach)
    far_factor = min(float(rng.uniform(0.6, 1.4)), LARGEST_RADIUS / aperture)
    depths = np.linspace(0, 1, layers)  # 0 background .. 1 front
    if layers == 3:
        depths[1] = rng.choice([rng.uniform(0, 1), 0.5])
    shape = int(rng.integers(3))
    blur_a = [kernel(rng, aperture * (1 - depth), shape) for depth in depths]
    blur_b = [kernel(rng, aperture * far_factor * depth, shape) for depth in depths]
    truth = _lay(images, mattes, [None] * layers)
    a, b = _lay(images, mattes, blur_a), _lay(images, mattes, blur_b)
    visible = _visible(mattes)
    sharper_in_a = [(1 - depth) < far_factor * depth for depth in depths]
    undecided = [abs((1 - depth) - far_factor * depth) < 0.15 for depth in depths]
    matte = np.sum([v for v, sharper in zip(visible, sharper_in_a, strict=True) if sharper], axis=0, dtype=np.float32)
    unsure = np.sum([v for v, skip in zip(visible, undecided, strict=True) if skip], axis=0, dtype=np.float32)
    matte = np.broadcast_to(matte, (size, size)).astype(np.float32)
    return a, b, truth, matte, (1 - np.broadcast_to(unsure, (size, size))).astype(np.float32)


def _lay(images: list[Float32], mattes: list[Float32], kernels: list[Float32 | None]) -> Float32:
    """Layers over each other, back to front, colour and matte blurred together."""
    canvas = blur(images[0], kernels[0])
    for image, matte, kernel in zip(images[1:], mattes[1:], kernels[1:], strict=True):
        alpha = blur(matte, kernel)[:, :, None]
        canvas = blur(image * matte[:, :, None], kernel) + (1 - alpha) * canvas
    return canvas


def _visible(mattes: list[Float32]) -> list[Float32]:
    """Share of each layer in what is seen at a pixel."""
    visible, free = [], np.ones_like(mattes[0])
    for matte in mattes[::-1]:
        visible.append(matte * free)
        free = free * (1 - matte)
    return visible[::-1]


def random_matte(segments: NDArray[np.int32] | None, rng: np.random.Generator, size: int) -> Float32:
    """A soft-edged shape that covers neither almost nothing nor almost everything."""
    for _ in range(6):
        if segments is not None and rng.random() < 0.65:
            mask = _segment_union(segments, rng)
        else:
            mask = random_shape(rng, size)
        if 0.08 < mask.mean() < 0.92:
            break
    else:
        mask = np.zeros((size, size), np.float32)
        mask[:, : size // 2] = 1
    softness = float(rng.choice([0.0, 0.6, 1.0, 1.8]))
    return cv2.GaussianBlur(mask, (0, 0), softness).astype(np.float32) if softness else mask


def _segment_union(segments: NDArray[np.int32], rng: np.random.Generator) -> Float32:
    """Some of a segmentation's regions: those whose centres lie on one side of a random line, or a random few."""
    labels, inverse = np.unique(segments, return_inverse=True)
    inverse = inverse.reshape(segments.shape)
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * math.pi)
        y, x = np.indices(segments.shape, np.float64)
        sums = np.bincount(inverse.ravel(), (y * math.sin(angle) + x * math.cos(angle)).ravel())
        centres = sums / np.bincount(inverse.ravel())  # of each region, along the line's normal
        chosen = centres > np.quantile(centres, rng.uniform(0.2, 0.8))
    else:
        chosen = rng.random(len(labels)) < rng.uniform(0.2, 0.8)
    return chosen[inverse].astype(np.float32)


def random_shape(rng: np.random.Generator, size: int) -> Float32:
    """A blob, a polygon, or one side of a wavy line."""
    kind = int(rng.integers(3))
    if kind == 0:
        coarse = rng.standard_normal((int(rng.integers(3, 9)),) * 2).astype(np.float32)
        field: NDArray[Any] = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        if rng.random() < 0.6:  # a ragged edge, such as a measured depth has
            for cell in (8, 3, 1):
                noise = rng.standard_normal((size // cell + 1,) * 2).astype(np.float32)
                ragged = cv2.resize(noise, (size, size), interpolation=cv2.INTER_LINEAR)
                field = field + ragged * np.float32(rng.uniform(0, 0.12))
        return (field > np.quantile(field, rng.uniform(0.25, 0.75))).astype(np.float32)
    if kind == 1:
        corners = int(rng.integers(3, 9))
        angles = np.sort(rng.uniform(0, 2 * math.pi, corners))
        radii = rng.uniform(0.15, 0.6, corners) * size
        centre = rng.uniform(0.25, 0.75, 2) * size
        points = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        mask = np.zeros((size, size), np.uint8)
        cv2.fillPoly(mask, [np.rint(points * 8).astype(np.int32)], 1, shift=3)
        return mask.astype(np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.indices((size, size)) - size / 2
    along, across = y * math.sin(angle) + x * math.cos(angle), y * math.cos(angle) - x * math.sin(angle)
    wave = rng.uniform(0, 0.1) * size * np.sin(along * rng.uniform(1, 6) * 2 * math.pi / size)
    return (across + wave > rng.uniform(-0.3, 0.3) * size).astype(np.float32)


def _displace(matte: Float32, rng: np.random.Generator) -> Float32:
    """Push the edge about by up to some pixels, so that it leaves the photograph's own edges."""
    height, width = matte.shape
    reach = rng.uniform(0.5, 4)
    coarse = rng.uniform(-reach, reach, (2, int(rng.integers(4, 17)), int(rng.integers(4, 17)))).astype(np.float32)
    shifts = [cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC) for part in coarse]
    y, x = np.indices((height, width), np.float32)
    moved = cv2.remap(matte, x + shifts[0], y + shifts[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return moved.astype(np.float32)


def _radius(rng: np.random.Generator, reach: float) -> float:
    """From barely visible to ``reach`` pixels, small ones as often as large ones."""
    return float(np.exp(rng.uniform(math.log(0.7), math.log(reach))))


def kernel(rng: np.random.Generator, radius: float, shape: int | None = None) -> Float32 | None:
    """Point spread of a round (0), Gaussian (1) or polygonal (2) aperture; None where it is a point."""
    shape = int(rng.integers(3)) if shape is None else shape
    if radius < 0.3:
        return None
    if shape == 1:
        sigma = radius / 2
        extent = math.ceil(3 * sigma)
        line = cv2.getGaussianKernel(2 * extent + 1, sigma).astype(np.float32)
        return line @ line.T
    extent = math.ceil(radius)
    y, x = np.mgrid[-extent : extent + 1, -extent : extent + 1].astype(np.float32)
    if shape == 0:
        distance = np.hypot(y, x)
    else:
        blades, turn = int(rng.integers(5, 9)), rng.uniform(0, math.pi)
        angles = turn + 2 * math.pi * np.arange(blades) / blades
        distance = np.max([y * math.sin(t) + x * math.cos(t) for t in angles], axis=0)
    kernel = np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def blur(image: Float32, kernel: Float32 | None) -> Float32:
    """Convolve with a point spread, the border reflected; None leaves the image as it is."""
    if kernel is None:
        return image
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT).reshape(image.shape).astype(np.float32)


def _misregister(image: Float32, rng: np.random.Generator) -> Float32:
    """In one scene of ten, shift by up to 0.4 pixels and breathe by up to 0.15 %."""
    if rng.random() < 0.9:
        return image
    height, width = image.shape[:2]
    scale = 1 + rng.uniform(-0.0015, 0.0015)
    shift = rng.uniform(-0.4, 0.4, 2)
    matrix = np.array([[scale, 0, shift[0] + (1 - scale) * width / 2], [0, scale, shift[1] + (1 - scale) * height / 2]])
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return moved.astype(np.float32)


def _expose(image: Float32, rng: np.random.Generator) -> Float32:
    """Now and then a slightly different exposure; now and then noise."""
    if rng.random() < 0.1:
        image = image * np.float32(rng.uniform(0.98, 1.02))
    if rng.random() < 0.15:
        image = image + rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0.3, 3.0))
    return image


def to_uint8(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Round gray levels, and clip what is beyond 0 to 255."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def jpeg_compressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Encode as JPEG, and decode again."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def contact_sheet(photographs: Photographs, size: int, seed: int, count: int) -> NDArray[np.uint8]:
    """Rows of a, b, truth and matte (undecided pixels darkened to gray), two scenes side by side: BGR."""
    rows = []
    for index in range(count):
        scene = make_scene(photographs, size, seed, index)
        shown = (0.5 + (scene.matte - 0.5) * scene.weight) * 255
        matte = np.repeat(np.rint(shown).astype(np.uint8)[:, :, None], 3, axis=2)
        rows.append(np.hstack([scene.a, scene.b, scene.truth, matte]))
    rows += [np.zeros_like(rows[0])] * (count % 2)
    return np.vstack([np.hstack(rows[i : i + 2]) for i in range(0, len(rows), 2)])
