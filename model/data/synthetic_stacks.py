"""Synthetic focus stacks with a known truth: N frames focused at N depths, from any folder of photographs.

A scene is layers at depths from 0 (background) to 1 (front), each with a matte. In a frame that is focused at depth f,
a layer at depth d is blurred by a disc of radius ``aperture * |d - f|`` pixels; the matte is blurred with its layer,
colours premultiplied, and layers are composited back to front, so that a defocused foreground spreads over what is
behind it (the "defocus spread effect", Ma et al., IEEE TIP 2020). The truth is the same scene without blur.

Other kinds of scenes: one photograph, in each frame sharp in its own part of the image only (``mask``); thin
transparent bodies whose rims are brighter or darker than their surroundings depending on the side of the focus, as in a
microscope (``transmitted``); and scenes in which nothing is sharp (``blank``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.model.data.photos import Photographs
from fusiongcn_edge.model.data.synthetic_scenes import (
    blur,
    jpeg_compressed,
    kernel,
    random_matte,
    random_shape,
    to_uint8,
)
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.types import Float32

SMALLEST_STACK = 64  # pixels on a side
MOST_FRAMES = 64
WIDEST_BLUR = 0.175  # radius as a share of the side: 28 pixels in 160
GAMMA = 2.2
KINDS = {"layers": 0.55, "mask": 0.35, "transmitted": 0.06, "blank": 0.04}


@dataclass(frozen=True)
class SyntheticStack:
    """A focus stack with its truth.

    Attributes
    ----------
    frames : uint8 N x H x W x 3, BGR
        In random order.
    truth : uint8 H x W x 3, BGR
        The scene without blur; where nothing is ever sharp, without noise.
    blur : float32 N x H x W
        Radius in pixels by which what is visible at a pixel is blurred in each frame.
    kind : str
        One of ``KINDS``.
    """

    frames: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    blur: Float32
    kind: str


def make_stack(photographs: Photographs, size: int, frames: int, seed: int, index: int) -> SyntheticStack:
    """Make stack number ``index`` of the endless series ``seed``: ``frames`` of ``size`` x ``size`` pixels.

    The same arguments give the same stack.

    Raises
    ------
    FusionError
        If the size, the number of frames or the seed is out of range, or a photograph cannot be read.
    """
    if size < SMALLEST_STACK or seed < 0:
        raise FusionError(
            "The stack cannot be made",
            found=f"{size} pixels, seed {seed}",
            allowed=f"at least {SMALLEST_STACK} pixels, seed at least 0",
            fix="give other numbers",
        )
    if not 2 <= frames <= MOST_FRAMES:
        raise FusionError("The stack cannot be made", found=f"{frames} frames", allowed=f"2 to {MOST_FRAMES}")
    rng = np.random.default_rng([seed, index, frames])
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    margin = math.ceil(WIDEST_BLUR * size)  # blur sees beyond the frame
    full = size + 2 * margin
    scene = {"layers": _layers, "mask": _partition, "transmitted": _transmitted, "blank": _blank}[kind]
    images, truth, radii = scene(photographs, rng, full, frames, WIDEST_BLUR * size)
    inner = slice(margin, margin + size)
    images = [_expose(image[inner, inner], rng) for image in images]
    shots = _with_noise(images, rng)
    if rng.random() < 0.4:
        quality = int(rng.integers(75, 100))
        shots = [jpeg_compressed(shot, quality) for shot in shots]
    order = rng.permutation(frames)
    return SyntheticStack(
        np.stack([shots[n] for n in order]),
        to_uint8(truth[inner, inner]),
        np.stack([radii[n][inner, inner] for n in order]).astype(np.float32),
        kind,
    )


Rendered = tuple[list[Float32], Float32, list[Float32]]  # frames, truth, radius of the blur at each pixel of each frame


def _layers(photographs: Photographs, rng: np.random.Generator, size: int, frames: int, widest: float) -> Rendered:
    """One to three layers and sometimes thin structures in front of a background, which may be slanted."""
    focus = _focus_positions(rng, frames)
    background, segments = photographs.crop(rng, size)
    linear = rng.random() < 0.25
    colours: list[Float32] = [_surface(background, rng)]
    mattes: list[Float32] = [np.ones((size, size), np.float32)]
    depths: list[Float32 | float] = [_background_depth(rng, size, focus)]
    for _ in range(int(rng.integers(1, 4))):
        image, own = photographs.crop(rng, size)
        if rng.random() < 0.4:
            matte = _thin_structures(rng, size)
            if rng.random() < 0.6:  # legs, hairs and wires are darker or brighter than what is behind them
                level = rng.choice([rng.uniform(0, 50), rng.uniform(200, 255)])
                image = (0.25 * (image - image.mean()) + level).astype(np.float32)
        else:
            matte = random_matte(own if rng.random() < 0.7 else segments, rng, size)
        colours.append(_surface(image, rng))
        mattes.append(matte)
        depths.append(_layer_depth(rng, focus))
    order = np.argsort([float(np.mean(depth)) for depth in depths[1:]], kind="stable") + 1
    order = np.concatenate([[0], order])
    colours, mattes, depths = [colours[i] for i in order], [mattes[i] for i in order], [depths[i] for i in order]
    if linear:
        colours = [_highlights(colour, rng) for colour in colours]
    aperture = float(np.exp(rng.uniform(math.log(3.0), math.log(widest))))
    shape = int(rng.integers(3))
    images = []
    for at in focus:
        canvas = np.zeros((size, size, 3), np.float32)
        for colour, matte, depth in zip(colours, mattes, depths, strict=True):
            layer = np.dstack([colour * matte[:, :, None], matte])
            layer = _defocused(layer, aperture * np.abs(np.asarray(depth) - at), rng, shape)
            canvas = layer[:, :, :3] + (1 - layer[:, :, 3:]) * canvas
        images.append(canvas)
    truth = colours[0]
    depth_map = np.broadcast_to(np.asarray(depths[0], np.float32), (size, size))
    for colour, matte, depth in zip(colours[1:], mattes[1:], depths[1:], strict=True):
        truth = matte[:, :, None] * colour + (1 - matte[:, :, None]) * truth
        depth_map = np.where(matte > 0.5, np.float32(np.mean(depth)), depth_map)
    if linear:
        images, truth = [_from_linear(image) for image in images], _from_linear(truth)
    return images, truth, [(aperture * np.abs(depth_map - at)).astype(np.float32) for at in focus]


def _partition(photographs: Photographs, rng: np.random.Generator, size: int, frames: int, widest: float) -> Rendered:
    """One photograph, in each frame sharp in its own part of the image only; nothing spreads over the edges."""
    truth, segments = photographs.crop(rng, size)
    truth = _surface(truth, rng)
    owner = np.zeros((size, size), np.int64)
    for number in range(1, frames):
        owner[random_matte(segments if rng.random() < 0.6 else None, rng, size) > 0.5] = number
    softness = float(rng.choice([0.0, 0.0, 0.6, 1.2]))
    radii = np.zeros((frames, frames))
    aperture = float(np.exp(rng.uniform(math.log(0.7), math.log(widest))))
    for n in range(frames):
        for part in range(frames):  # what is farther away in focus is blurred more, as in a real stack
            radii[n, part] = 0 if n == part else aperture * (abs(n - part) / max(frames - 1, 1)) ** 0.5
    shape = int(rng.integers(3))
    shares = [(owner == part).astype(np.float32) for part in range(frames)]
    if softness:
        shares = [cv2.GaussianBlur(share, (0, 0), softness).astype(np.float32) for share in shares]
    blurred = {radius: blur(truth, kernel(rng, radius, shape)) for radius in np.unique(radii)}
    images = [
        np.sum([share[:, :, None] * blurred[radii[n, part]] for part, share in enumerate(shares)], axis=0)
        for n in range(frames)
    ]
    return images, truth, [radii[n][owner].astype(np.float32) for n in range(frames)]


def _transmitted(photographs: Photographs, rng: np.random.Generator, size: int, frames: int, widest: float) -> Rendered:
    """Thin transparent bodies on a bright background.

    Out of focus, a rim is bright on one side of the focus and dark on the other, by the Laplacian of the phase
    (transport of intensity: Teague, JOSA 73, 1983).
    """
    focus = _focus_positions(rng, frames)
    texture, _ = photographs.crop(rng, size)
    paper = np.float32(rng.uniform(190, 235)) + 0.03 * (texture - texture.mean())
    tint = rng.uniform(0.2, 1.0, 3).astype(np.float32)
    aperture = float(np.exp(rng.uniform(math.log(2.0), math.log(widest / 2))))
    truth = paper.astype(np.float32)
    phase = float(rng.uniform(0.03, 0.2))  # how much brighter or darker a rim is, at most
    bodies = []
    for _ in range(int(rng.integers(2, 9))):
        body = random_shape(rng, size) * _disc(rng, size)
        body = cv2.GaussianBlur(body, (0, 0), float(rng.uniform(0.7, 2.0))).astype(np.float32)
        grain, _ = photographs.crop(rng, size)
        inside = 1 + 0.004 * (grain - grain.mean())
        bodies.append((body, inside.astype(np.float32), float(rng.uniform(0.1, 0.6)), _layer_depth(rng, focus)))
    images = [truth.copy() for _ in focus]
    nearest = [np.full((size, size), aperture * min(abs(0.5 - at) for at in focus), np.float32) for at in focus]
    for body, inside, strength, depth in bodies:
        absorbed = strength * body[:, :, None] * tint * inside
        truth = truth * (1 - np.clip(absorbed, 0, 0.95))
        for n, at in enumerate(focus):
            radius = aperture * abs(depth - at)
            curvature = cv2.Laplacian(cv2.GaussianBlur(body, (0, 0), 0.7 + radius / 4), cv2.CV_32F, ksize=3)
            contrast = phase * np.sign(depth - at) * radius / (radius + 3)
            rim = np.float32(contrast) * curvature / max(float(np.abs(curvature).max()), 1e-6)
            soft = blur(absorbed.astype(np.float32), kernel(rng, radius, 0))
            images[n] = images[n] * (1 - np.clip(soft, 0, 0.95)) * (1 + rim)[:, :, None]
            nearest[n] = np.where(body > 0.5, np.float32(radius), nearest[n])
    return [image.astype(np.float32) for image in images], truth.astype(np.float32), nearest


def _blank(photographs: Photographs, rng: np.random.Generator, size: int, frames: int, widest: float) -> Rendered:
    """Nothing is sharp in any frame: one blurred photograph, or one colour."""
    image, _ = photographs.crop(rng, size)
    if rng.random() < 0.4:
        truth = np.broadcast_to(image.mean(axis=(0, 1)), image.shape).astype(np.float32)
    else:
        truth = blur(image, kernel(rng, float(rng.uniform(0.3, 1.0)) * widest))
    return [truth] * frames, truth, [np.full((size, size), widest, np.float32)] * frames


def _focus_positions(rng: np.random.Generator, frames: int) -> Float32:
    """Depths at which the frames are focused, ascending from 0 to 1, not quite evenly."""
    steps = rng.uniform(0.6, 1.4, frames - 1)
    return np.concatenate([[0], np.cumsum(steps) / steps.sum()]).astype(np.float32)


def _layer_depth(rng: np.random.Generator, focus: Float32) -> float:
    """Mostly a depth that some frame is focused at, sometimes any."""
    return float(rng.choice(focus)) if rng.random() < 0.8 else float(rng.uniform(0, 1))


def _background_depth(rng: np.random.Generator, size: int, focus: Float32) -> Float32 | float:
    """The depth of the background: one, or rising across the image."""
    if rng.random() < 0.5:
        return float(focus[0]) if rng.random() < 0.6 else _layer_depth(rng, focus)
    angle, low, high = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.3), rng.uniform(0.4, 1)
    y, x = np.indices((size, size), np.float32) / size - 0.5
    slope = np.clip(0.5 + (y * math.sin(angle) + x * math.cos(angle)), 0, 1)
    return (low + (high - low) * slope).astype(np.float32)


def _surface(image: Float32, rng: np.random.Generator) -> Float32:
    """The texture of a surface: in a quarter of all, smoothed or flat."""
    choice = rng.random()
    if choice < 0.17:
        return cv2.GaussianBlur(image, (0, 0), float(rng.uniform(2, 8))).astype(np.float32)
    if choice < 0.25:
        return (image.mean(axis=(0, 1)) + 0.05 * (image - image.mean(axis=(0, 1)))).astype(np.float32)
    return image


def _thin_structures(rng: np.random.Generator, size: int) -> Float32:
    """Legs, hairs and wires: 1 to 12 curves, 1 to 12 pixels wide."""
    mask = np.zeros((size, size), np.uint8)
    for _ in range(int(np.exp(rng.uniform(0, math.log(12))))):
        corner = rng.uniform(-0.1, 1.1, (4, 2)) * size
        t = np.linspace(0, 1, 40)[:, None]
        curve = (
            (1 - t) ** 3 * corner[0]
            + 3 * (1 - t) ** 2 * t * corner[1]
            + 3 * (1 - t) * t**2 * corner[2]
            + t**3 * corner[3]
        )
        width = max(1, round(float(np.exp(rng.uniform(0, math.log(12))))))
        cv2.polylines(mask, [np.rint(curve * 8).astype(np.int32)], False, 255, width, cv2.LINE_AA, 3)
    return (mask / np.float32(255)).astype(np.float32)


def _disc(rng: np.random.Generator, size: int) -> Float32:
    y, x = np.indices((size, size), np.float32)
    centre, radius = rng.uniform(0.1, 0.9, 2) * size, rng.uniform(0.06, 0.25) * size
    squash = rng.uniform(0.6, 1.0)
    return (np.hypot(y - centre[0], (x - centre[1]) * squash) < radius).astype(np.float32)


def _highlights(colour: Float32, rng: np.random.Generator) -> Float32:
    """Linear light, with a few spots far brighter than white; they are clipped after the blur, as in a camera."""
    linear = (np.clip(colour, 0, 255) / 255) ** GAMMA
    size = len(colour)
    for _ in range(int(rng.integers(0, 7))):
        y, x = rng.uniform(0, size, 2)
        spot = np.zeros((size, size), np.float32)
        cv2.circle(spot, (int(x), int(y)), int(rng.integers(1, 5)), 1.0, -1, cv2.LINE_AA)
        linear = linear + spot[:, :, None] * np.float32(rng.uniform(2, 20))
    return linear.astype(np.float32)


def _from_linear(image: Float32) -> Float32:
    return (255 * np.clip(image, 0, 1) ** (1 / GAMMA)).astype(np.float32)


def _defocused(layer: Float32, radius: NDArray[np.floating], rng: np.random.Generator, shape: int) -> Float32:
    """Blur a layer (H x W x 4) by one radius, or by a map of them: mixed of a few blurred versions."""
    if radius.ndim == 0:
        return blur(layer, kernel(rng, float(radius), shape))
    low, high = float(radius.min()), float(radius.max())
    levels = np.linspace(low, high, max(2, min(6, math.ceil(high - low) + 1)))
    place = (radius - low) / max(high - low, 1e-6) * (len(levels) - 1)
    result = np.zeros_like(layer)
    for number, level in enumerate(levels):
        share = np.clip(1 - np.abs(place - number), 0, 1).astype(np.float32)
        if share.any():
            result += share[:, :, None] * blur(layer, kernel(rng, float(level), shape))
    return result


def _expose(image: Float32, rng: np.random.Generator) -> Float32:
    """In half of all frames, a gain of up to 1 %."""
    return image * np.float32(rng.uniform(0.99, 1.01)) if rng.random() < 0.5 else image


def _with_noise(images: list[Float32], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Add noise of one strength and grain to all frames, as a camera does.

    Blurring a photograph blurs its own noise, and a network must not learn from noise which frame is sharp.
    """
    level = float(np.exp(rng.uniform(math.log(0.3), math.log(4.0))))
    grain, chroma = float(rng.choice([0.0, 0.0, 0.5, 0.8, 1.2])), float(rng.uniform(0, 1))
    shots = []
    for image in images:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(chroma)
        noise += rng.standard_normal((*image.shape[:2], 1), np.float32)
        if grain:
            noise = cv2.GaussianBlur(noise, (0, 0), grain).astype(np.float32)
        shots.append(to_uint8(image + noise * np.float32(level / noise.std())))
    return shots


def stack_sheet(photographs: Photographs, size: int, frames: int, seed: int, count: int) -> NDArray[np.uint8]:
    """Draw a row for each stack: its frames and the truth, uint8 BGR."""
    rows = []
    for index in range(count):
        stack = make_stack(photographs, size, frames, seed, index)
        rows.append(np.hstack([*stack.frames, stack.truth]))
    return np.vstack(rows)
