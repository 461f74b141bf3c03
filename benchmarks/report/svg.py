"""Charts as inline SVG without a library. Across, everything is in percent, so that text keeps its size on a phone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from fusiongcn_edge.benchmarks.report.pareto import front
from fusiongcn_edge.benchmarks.report.tags import Markup, joined, tag

STRIP, BAR, PLOT, COURSE = 34, 16, 210, 90  # heights in pixels
LETTER, TYPICAL_WIDTH = 7, 270  # pixels of a letter and of a plot, to judge which labels would overlap
MANY_DECADES = 8.0  # ratio of two costs from which on their axis is logarithmic

Point = tuple[str, float, float]  # label, place or amount across, place or amount up


@dataclass(frozen=True)
class Scale:
    """Values to places on an axis: ``low`` at 0, ``high`` at 1, which may be the smaller one."""

    low: float
    high: float
    logarithmic: bool = False

    @classmethod
    def from_zero(cls, values: Sequence[float]) -> Scale:
        """From 0 to a little more than the largest."""
        return cls(0.0, max(values, default=0.0) * 1.06 or 1.0)

    @classmethod
    def of_costs(cls, values: Sequence[float]) -> Scale:
        """From 0, or logarithmic where costs differ much."""
        least, most = min(values), max(values)
        if least > 0 and most / least > MANY_DECADES:
            return cls(least / 1.5, most * 1.5, True)
        return cls.from_zero(values)

    @classmethod
    def around(cls, values: Sequence[float]) -> Scale:
        """From less than the least to more than the largest, and one percent at least, so that nothing looks large."""
        least, most = min(values), max(values)
        margin = max(0.18 * (most - least), (0.01 * abs(most) - (most - least)) / 2) or 1.0
        return cls(least - margin, most + margin)

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        low, high = (math.log(self.low), math.log(self.high)) if self.logarithmic else (self.low, self.high)
        return ((math.log(value) if self.logarithmic else value) - low) / (high - low)

    def ticks(self) -> list[float]:
        """About five round values, or powers of ten with 2 and 5 times them where there are few."""
        if self.logarithmic:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)))
            factors = (1, 2, 5) if len(decades) < 3 else (1,)
            found = [factor * 10.0**decade for decade in decades for factor in factors]
            return [tick for tick in found if self.low <= tick <= self.high]
        low, high = sorted((self.low, self.high))
        rough = (high - low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough)
        first, last = math.ceil(low / step), math.floor(high / step)
        return [number * step for number in range(first, last + 1)]


def _across(scale: Scale, value: float) -> str:
    return f"{100 * scale.place(value):.2f}%"


def _line(x1: object, y1: object, x2: object, y2: object, kind: str) -> Markup:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def _drawing(height: int, *content: Markup, what: str) -> Markup:
    return tag("svg", *content, height=height, role="img", aria_label=what)


def horizontal_axis(scale: Scale, unit: str = "") -> Markup:
    """Ticks below a chart; the unit is at the last one."""
    ticks = scale.ticks()
    marks = [
        joined(_line(_across(scale, tick), 0, _across(scale, tick), 5, "axis"),
               tag("text", f"{tick:g} {unit if tick == ticks[-1] else ''}".strip(), x=_across(scale, tick), y=18,
                   text_anchor="middle"))
        for tick in ticks
    ]  # fmt: skip
    return _drawing(22, _line("0%", 0, "100%", 0, "axis"), *marks, what="axis")


def strip(seconds: Sequence[float], rounds: Sequence[int], scale: Scale) -> Markup:
    """Every sample as a dot, a lane for each round; behind them a box from lower to upper quartile with the median."""
    lower, median, upper = map(float, np.percentile(seconds, [25, 50, 75]))
    lanes = {number: lane for lane, number in enumerate(sorted(set(rounds)))}
    width = f"{100 * (scale.place(upper) - scale.place(lower)):.2f}%"
    dots = [
        tag("circle", tag("title", f"round {number + 1}: {value:.4g} s"), cx=_across(scale, value), r=2.5, class_="dot",
            cy=f"{STRIP * (lanes[number] + 1) / (len(lanes) + 1):.1f}")
        for value, number in zip(seconds, rounds, strict=True)
    ]  # fmt: skip
    box = tag("rect", x=_across(scale, lower), y=4, width=width, height=STRIP - 8, class_="box")
    middle = _line(_across(scale, median), 2, _across(scale, median), STRIP - 2, "median")
    return _drawing(STRIP, box, *dots, middle, what=f"{len(seconds)} runs, median {median:.4g} s")


def bar(parts: dict[str, float], kinds: Sequence[str], scale: Scale) -> Markup:
    """Amounts on end; the place of a name in ``kinds`` is its colour."""
    pieces, begin = [], 0.0
    for name, amount in parts.items():
        width = 100 * (scale.place(begin + amount) - scale.place(begin))
        pieces.append(
            tag("rect", tag("title", f"{name}: {amount:.4g} s"), x=_across(scale, begin), y=0, width=f"{width:.2f}%",
                height=BAR, class_=f"part part{kinds.index(name) % 8}")
        )  # fmt: skip
        begin += amount
    return _drawing(BAR, *pieces, what=", ".join(f"{name} {amount:.3g} s" for name, amount in parts.items()))


def course(seconds: Sequence[float], scale: Scale) -> Markup:
    """One run after the other, from left to right."""
    last = max(1, len(seconds) - 1)
    dots = [
        tag("circle", cx=f"{100 * number / last:.2f}%", cy=_up(scale, value, COURSE), r=2, class_="dot")
        for number, value in enumerate(seconds)
    ]
    return tag("div", _drawing(COURSE, *_levels(scale, COURSE), *dots, what=f"{len(seconds)} runs"), class_="plot")


def pareto(points: Sequence[Point], unit: str, lower_is_better: bool) -> Markup:
    """Points (label, cost, quality): those on the front are filled and joined, the others hollow.

    Where lower is better, the axis goes downward: the best corner is always the upper left one.
    """
    costs, qualities = [cost for _, cost, _ in points], [quality for _, _, quality in points]
    across, upward = Scale.of_costs(costs), Scale.around(qualities)
    upward = Scale(upward.high, upward.low) if lower_is_better else upward
    best = front(costs, [-quality for quality in qualities] if lower_is_better else qualities)
    steps, dots, labels = [], [], []
    for one, other in pairwise(best):
        x1, x2 = _across(across, costs[one]), _across(across, costs[other])
        y1, y2 = _up(upward, qualities[one], PLOT), _up(upward, qualities[other], PLOT)
        steps += [_line(x1, y1, x2, y1, "front"), _line(x2, y1, x2, y2, "front")]
    for number, (label, cost, quality) in enumerate(points):
        told = tag("title", f"{label}: {cost:.4g} {unit}, {quality:.5g}")
        kind = "best" if number in best else "beaten"
        dots.append(tag("circle", told, cx=_across(across, cost), cy=_up(upward, quality, PLOT), r=4.5, class_=kind))
    for label, x, y in _shared_labels([(label, across.place(c), upward.place(q)) for label, c, q in points]):
        above = f"{PLOT * (1 - y) - 9:.1f}"
        labels.append(tag("text", label, x=f"{100 * x:.2f}%", y=above, text_anchor=_anchor(x), class_="label"))
    drawn = _drawing(PLOT, *_levels(upward, PLOT), *steps, *dots, *labels, what=f"quality against cost in {unit}")
    return tag("div", drawn, horizontal_axis(across), class_="plot")


def _levels(scale: Scale, height: int) -> list[Markup]:
    """Ticks and lines of a vertical axis."""
    lines = [_line("0%", _up(scale, tick, height), "100%", _up(scale, tick, height), "grid") for tick in scale.ticks()]
    texts = [tag("text", f"{tick:g}", x=-6, y=_up(scale, tick, height), dy="0.35em", text_anchor="end")
             for tick in scale.ticks()]  # fmt: skip
    return [*lines, *texts]


def _up(scale: Scale, value: float, height: int) -> str:
    return f"{height * (1 - scale.place(value)):.1f}"


def _shared_labels(points: Sequence[Point]) -> list[Point]:
    """Labels with their places across and up; where they would overlap, points share one, at the highest of them."""
    groups = [[point] for point in points]
    while pair := next((pair for pair in combinations(groups, 2) if _overlap(*map(_shared, pair))), None):
        groups.remove(pair[1])
        pair[0].extend(pair[1])
        pair[0].sort(key=points.index)
    return [_shared(group) for group in groups]


def _shared(group: Sequence[Point]) -> Point:
    _, x, y = max(group, key=lambda point: point[2])
    return ", ".join(label for label, _, _ in group), x, y


def _overlap(one: Point, other: Point) -> bool:
    """Whether their labels would."""
    (left, right), (begin, end) = (_extent(label, x) for label, x, _ in (one, other))
    return left < end + LETTER and begin < right + LETTER and abs(one[2] - other[2]) * PLOT < 2 * LETTER


def _extent(label: str, x: float) -> tuple[float, float]:
    """Pixels across that a label takes."""
    before = {"start": 0.0, "middle": 0.5, "end": 1.0}[_anchor(x)]
    left = x * TYPICAL_WIDTH - before * LETTER * len(label)
    return left, left + LETTER * len(label)


def _anchor(x: float) -> str:
    """Which end of a label is at its point, so that it stays in the plot."""
    return "end" if x > 0.8 else "start" if x < 0.2 else "middle"
