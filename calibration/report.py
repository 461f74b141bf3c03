"""What quantizing a model came to: tables and a picture."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from fusiongcn_edge.calibration.calibration_data import PairSet
from fusiongcn_edge.calibration.flip_rate import Loss
from fusiongcn_edge.calibration.layers import FP16, FP32, format_of
from fusiongcn_edge.calibration.sensitivity import SensitivityPoint
from fusiongcn_edge.runtime.bundle.manifest import MANIFEST, Bundle
from fusiongcn_edge.runtime.fuser import Fuser
from fusiongcn_edge.runtime.system.resources import default_threads
from fusiongcn_edge.runtime.text import pluralize

ROUNDS = 5  # of the comparison of speed


def layers_table(points: Sequence[SensitivityPoint], chosen: Mapping[str, str]) -> str:
    """What each layer loses alone, and what was chosen; nothing yet, where ``chosen`` is empty."""
    lines = [f"{'layer':20}{'kind':24}{'weights':>8}  {'precision':24}{'flips':>9}{'PSNR':>9}{'error':>10}"]
    for point in points:
        layer, loss = point.layer, point.loss
        mark = "  chosen" if chosen.get(layer.name) == point.precision else ""
        lines.append(
            f"{layer.name:20}{layer.kind:24}{layer.weights:>8}  {point.precision:24}{loss.mean_flips:>9.4%}"
            f"{loss.mean_psnr:>6.1f} dB{loss.mean_error:>10.1e}{mark}"
        )
    half, full = ([name for name, own in chosen.items() if own == precision] for precision in (FP16, FP32))
    rest = f"Chosen in float16: {', '.join(half) or 'none'}; in float32: {', '.join(full) or 'none'}."
    lines.append(
        "Each layer alone in 8 or 16 bits of integers, on the pairs that calibrate. "
        + (rest if chosen else "Nothing was chosen yet.")
    )
    return "\n".join(lines) + "\n"


def why_not_all(bundle: Bundle) -> str:
    """Why a static recipe leaves some of a model in float32."""
    found = format_of(bundle).float_only(bundle)
    if not found:
        return ""
    reason = "; SimAM divides by a variance that is zero in 8 bits" if "div" in map(str.lower, found) else ""
    return f"Only convolutions are in integers: this model computes {', '.join(found).lower()} between them{reason}.\n"


def closing_table(before: Bundle, after: Bundle, chosen: Mapping[str, str], loss: Loss, validation: PairSet) -> str:
    """The two models side by side; their speed is measured here and now. ``chosen``: the precision of each layer."""
    sizes = [_bytes(bundle) for bundle in (before, after)]
    times = _seconds(before, after, validation)
    ratios = times[:, 0] / times[:, 1]
    latency = 1000 * np.median(times, axis=0)
    rows = [
        ("", "float32", "quantized"),
        ("layers", f"{len(chosen)} fp32", ", ".join(f"{n} {kind}" for kind, n in Counter(chosen.values()).items())),
        ("size of the bundle", f"{sizes[0]:,} bytes", f"{sizes[1]:,} bytes ({sizes[1] / sizes[0]:.0%})"),
        ("flipped decisions", "0 %", f"mean {loss.mean_flips:.3%}, worst {loss.worst_flips:.3%}"),
        ("PSNR against float32", "–", f"mean {loss.mean_psnr:.1f} dB, worst {min(loss.psnr):.1f} dB (identical: 100)"),
        ("a window, this machine", f"{latency[0]:.0f} ms", f"{latency[1]:.0f} ms"),
        ("speed, this machine", "1.00", f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}) times"),
    ]
    lines = [f"{row[0]:24}{row[1]:>16}  {row[2]}" for row in rows]
    height, width = max((first.shape[:2] for first, _ in validation.pairs), key=math.prod)
    lines.append(
        f"Flips and PSNR are of {validation.source}, in windows of up to {width}x{height} pixels, with "
        f"{pluralize(default_threads(), 'thread')}."
    )
    return "\n".join([*lines, f"Written: {after.path}"])


def _bytes(bundle: Bundle) -> int:
    return (bundle.path / MANIFEST).stat().st_size + sum(map(len, bundle.files.values()))


def _seconds(before: Bundle, after: Bundle, validation: PairSet) -> NDArray[np.float64]:
    """Of both models, in ROUNDS x 2 turns."""
    fusers = [Fuser(bundle) for bundle in (before, after)]
    times = np.zeros((ROUNDS + 1, 2))
    for number in range(ROUNDS + 1):
        pair = validation.pairs[number % len(validation.pairs)]
        for place, fuser in enumerate(fusers):
            start = perf_counter()
            fuser.fuse(*pair)
            times[number, place] = perf_counter() - start
    return times[1:]  # the first round warms up


def picture(points: Sequence[SensitivityPoint], chosen: Mapping[str, str]) -> bytes:
    """A PNG: bars, one for each layer and precision; what was chosen is filled."""
    from matplotlib.figure import Figure

    precisions = list(dict.fromkeys(point.precision for point in points))
    layers = list(dict.fromkeys(point.layer.name for point in points))
    figure = Figure(figsize=(8, 1.5 + 0.22 * len(points)), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(precisions)
    for number, precision in enumerate(precisions):
        own = [point for point in points if point.precision == precision]
        places = [layers.index(point.layer.name) + (number - (len(precisions) - 1) / 2) * height for point in own]
        flips = [100 * point.loss.mean_flips for point in own]
        bars = axes.barh(places, flips, height, label=precision, color=f"C{number}", edgecolor=f"C{number}")
        for bar, point in zip(bars, own, strict=True):
            bar.set_fill(chosen[point.layer.name] == precision)
    axes.set_yticks(range(len(layers)), layers)
    axes.invert_yaxis()
    axes.set_xlabel("flipped decisions, % of pixels, this layer alone (filled: chosen)")
    axes.legend()
    found = io.BytesIO()
    figure.savefig(found, dpi=120, format="png")
    return found.getvalue()
