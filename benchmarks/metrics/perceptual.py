"""Fusion metrics from models of seeing: phase congruency and contrast sensitivity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.benchmarks.metrics.filters import (
    SOBEL_X,
    SOBEL_Y,
    Gray,
    filter_same,
    filtered,
    frequencies,
    gaussian,
    gaussian_density,
    ratio,
    rescale_to_255,
    smooth_same,
)

Maps = tuple[Gray, Gray, Gray]  # phase congruency, its maximum and its minimum moment

# phase congruency: a bank of log-Gabor filters
SCALES, ORIENTATIONS = 4, 6
SHORTEST, FACTOR = 3.0, 2.1  # pixels of the shortest wave; from one scale to the next
BANDWIDTH = 0.55  # sigma of a filter over its centre frequency
ANGULAR_SIGMA = np.pi / ORIENTATIONS / 1.2
NOISE_DEVIATIONS, NOISE_OVERESTIMATED = 2.0, 1.7
FEWEST_SCALES, SCALES_STEEPNESS = 0.5, 10.0  # features that show in less than half of the scales hardly count
EPSILON = 1e-4

# the metric on it
FEATURE = 0.1  # phase congruency from which on a pixel belongs to a feature
STABLE = 1e-4
FEATURE_WINDOW = gaussian(11, 1.5)

REGION = 16  # pixels, of the regions of Q_CV


def q_p(a: Gray, b: Gray, fused: Gray) -> float:
    """How well features, by phase congruency, are kept (Zhao, Laganiere & Liu, 2007, exponents 1).

    Product of three correlations: of phase congruency, of its maximum moment (edges) and of its minimum moment
    (corners). Each is the mean over the features of the greatest local correlation (Gaussian window, 11 x 11, sigma
    1.5) of the fused map with that of one photograph, of the other, and of the one with the greater phase congruency.
    1 is best; 0 for photographs without a feature. A fused image without any
    counts as correlated: the constants that keep the quotients defined decide there.
    """
    return kept_features(phase_congruency(a), phase_congruency(b), phase_congruency(fused))


def kept_features(maps_a: Maps, maps_b: Maps, maps_fused: Maps) -> float:
    """:func:`q_p` of what :func:`phase_congruency` gives for each image."""
    nearer = maps_a[0] > maps_b[0]
    maps_most = [np.where(nearer, x, y) for x, y in zip(maps_a, maps_b, strict=True)]
    features = [maps[0] > FEATURE for maps in (maps_a, maps_b, maps_most)]
    if not features[2].any():
        return 0.0
    product = 1.0
    for *sources, own in zip(maps_a, maps_b, maps_most, maps_fused, strict=True):
        local = [_local_correlation(m * f, own) * f for m, f in zip(sources, features, strict=True)]
        product *= float(np.maximum.reduce(local).sum() / features[2].sum())
    return product


def _local_correlation(x: Gray, y: Gray) -> Gray:
    def mean(image: Gray) -> Gray:
        return smooth_same(image, FEATURE_WINDOW)

    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    return (mean(x * y) - mean_x * mean_y + STABLE) / (np.sqrt(np.abs(variance_x * variance_y)) + STABLE)


def phase_congruency(image: Gray) -> Maps:
    """Phase congruency, and its maximum and minimum moment (Kovesi, 1999; Kovesi, 2003).

    Energy of all orientations over all amplitudes, after Kovesi's noise threshold; log-Gabor filters of 4 scales and 6
    orientations.
    """
    bands, angle = _filters(*image.shape)
    spectrum = np.fft.fft2(image)
    energies, amplitudes, xx, yy, xy = (np.zeros_like(image) for _ in range(5))
    for orientation in range(ORIENTATIONS):
        direction = orientation * np.pi / ORIENTATIONS
        turned = angle - direction
        turned = np.abs(np.arctan2(np.sin(turned), np.cos(turned)))
        spread = np.exp(-(turned**2) / (2 * ANGULAR_SIGMA**2))
        energy, amplitude = _energy(spectrum, bands, spread)
        energies += energy
        amplitudes += amplitude
        congruency = ratio(energy, amplitude, 0.0)
        along, across = congruency * np.cos(direction), congruency * np.sin(direction)
        xx += along**2
        yy += across**2
        xy += along * across
    xx, yy, xy = (total / (ORIENTATIONS / 2) for total in (xx, yy, xy))
    # 2 xy in the paper; Kovesi's code, and with it every published table, has xy / 2
    difference = np.hypot(xy / 2, xx - yy) + EPSILON
    return energies / (amplitudes + EPSILON), (yy + xx + difference) / 2, (yy + xx - difference) / 2


def _filters(height: int, width: int) -> tuple[list[Gray], Gray]:
    """Radial parts of the log-Gabor filters from fine to coarse, and the angle of each frequency."""
    # cycles per pixel as Kovesi's code has them: on an odd side the outermost ones are +-1/2
    axes = [np.fft.fftfreq(side) * (side / (side - 1) if side % 2 else 1) for side in (width, height)]
    x, y = np.meshgrid(*axes)
    radius = np.hypot(x, y)
    radius[0, 0] = 1.0
    fx, fy = frequencies(height, width)
    low_pass = 1 / (1 + (np.hypot(fx, fy) / 2 / 0.45) ** 30)
    bands = []
    for scale in range(SCALES):
        centre = 1 / (SHORTEST * FACTOR**scale)
        band = np.exp(-(np.log(radius / centre) ** 2) / (2 * np.log(BANDWIDTH) ** 2)) * low_pass
        band[0, 0] = 0.0
        bands.append(band)
    return bands, np.arctan2(-y, x)


def _energy(spectrum: NDArray[np.complex128], bands: list[Gray], spread: Gray) -> tuple[Gray, Gray]:
    """Of one orientation: energy above noise, weighted by how many scales take part, and sum of amplitudes."""
    responses = [np.fft.ifft2(spectrum * (band * spread)) for band in bands]
    amplitude, largest = np.zeros_like(spread), np.zeros_like(spread)
    for response in responses:
        size = np.abs(response)
        amplitude += size
        np.maximum(largest, size, out=largest)
    mean = np.add.reduce(responses)
    mean /= np.abs(mean) + EPSILON
    energy = np.zeros_like(spread)
    for response in responses:
        turned = response * mean.conj()
        energy += turned.real - np.abs(turned.imag)
    # noise: Rayleigh distributed, judged by the median at the smallest scale; its energy after the even filters
    # (Parseval: the sum of their products in space is that of their spectra)
    power = np.median(np.abs(responses[0]) ** 2) / np.log(2) / np.sum((bands[0] * spread) ** 2)
    whole = np.add.reduce(bands) * spread
    even = (whole + np.roll(whole[::-1, ::-1], 1, (0, 1))) / 2
    tau = np.sqrt(power * np.sum(even**2))
    threshold = tau * (np.sqrt(np.pi / 2) + NOISE_DEVIATIONS * np.sqrt(2 - np.pi / 2)) / NOISE_OVERESTIMATED
    width = amplitude / (largest + EPSILON) / SCALES
    weight = 1 / (1 + np.exp(SCALES_STEEPNESS * (FEWEST_SCALES - width)))
    return weight * np.maximum(energy - threshold, 0), amplitude


def q_cb(a: Gray, b: Gray, fused: Gray) -> float:
    """Perceptual quality of Chen & Blum (2009): how well contrast that the eye sees is kept.

    Images stretched to 0 ... 255 pass a contrast sensitivity filter (difference of Gaussians; the highest frequency
    is 1/30 of the side) and are taken to Peli's local contrast (Gaussians of sigma 2 and 4), masked
    as C^3 / (C^2 + 0.0001). The smaller contrast over the greater one, of the fused image and each photograph, is
    averaged by the photographs' squared contrasts, and over pixels. 1 is best, also where there is no contrast.
    """
    height, width = a.shape
    x, y = frequencies(height, width)
    radius = np.hypot(width / 30 * x, height / 30 * y)
    sensitivity = np.exp(-((radius / 15.387) ** 2)) - 0.7622 * np.exp(-((radius / 1.3456) ** 2))
    contrast_a, contrast_b, contrast_f = (
        _masked_contrast(filtered(rescale_to_255(i), sensitivity)) for i in (a, b, fused)
    )
    share = ratio(contrast_a**2, contrast_a**2 + contrast_b**2, 0.5)
    return float((share * _kept(contrast_a, contrast_f) + (1 - share) * _kept(contrast_b, contrast_f)).mean())


def _masked_contrast(image: Gray) -> Gray:
    contrast = np.abs(
        ratio(smooth_same(image, gaussian_density(31, 2)), smooth_same(image, gaussian_density(31, 4)), 1.0) - 1
    )
    return contrast**3 / (contrast**2 + 1e-4)


def _kept(contrast: Gray, fused: Gray) -> Gray:
    return ratio(np.minimum(contrast, fused), np.maximum(contrast, fused), 1.0)


def q_cv(a: Gray, b: Gray, fused: Gray) -> float:
    """Perceptual error of Chen & Varshney (2007); lower is better, 0 for equal images.

    The difference between the fused image and each photograph, all stretched to 0 ... 255, passes the contrast
    sensitivity filter of Mannos & Sakrison; its mean square in regions of 16 x 16 pixels is averaged by their saliency,
    the sum of the photograph's Sobel strengths to the power of 5. Regions at the right and lower border are filled up
    with zeros. Plain mean where no region is salient.
    """
    height, width = a.shape
    x, y = frequencies(height, width)
    radius = 0.144 * np.hypot(width / 8 * x, height / 8 * y)
    sensitivity = 2.6 * (0.0192 + radius) * np.exp(-(radius**1.1))
    image = rescale_to_255(fused)
    errors, saliencies = [], []
    for source in (rescale_to_255(a), rescale_to_255(b)):
        errors.append(_regions(filtered(source - image, sensitivity) ** 2) / REGION**2)
        strength = np.hypot(filter_same(source, SOBEL_X), filter_same(source, SOBEL_Y))
        saliencies.append(_regions(strength**5))
    error, saliency = np.array(errors), np.array(saliencies)
    return float((error * saliency).sum() / saliency.sum()) if saliency.any() else float(error.mean())


def _regions(image: Gray) -> Gray:
    """Sums over regions, those that reach over the border filled up with zeros."""
    height, width = (-(-side // REGION) for side in image.shape)
    full = np.zeros((height * REGION, width * REGION))
    full[: image.shape[0], : image.shape[1]] = image
    return full.reshape(height, REGION, width, REGION).sum((1, 3))
