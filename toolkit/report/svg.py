"""A small SVG plot kit: scales, ticks and marks. Colours are CSS classes, so one drawing serves light and dark.

A `Plot` collects marks in data coordinates and renders them as one static `<svg>` with a title and a description.
Hover points are carried along as data for the page's script; without the script nothing is lost but the hover.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from toolkit.report.labels import CHAR, places

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Maps data to drawing units. A log scale needs 0 < lo < hi."""

    lo: float
    hi: float
    log: bool = False

    def share(self, value: float) -> float:
        """Where the value lies between lo (0) and hi (1); clipped to that range."""
        lo, hi, v = (
            (math.log(self.lo), math.log(self.hi), math.log(max(value, self.lo)))
            if self.log
            else (self.lo, self.hi, value)
        )
        return min(1.0, max(0.0, (v - lo) / (hi - lo))) if hi > lo else 0.5

    def ticks(self, about: int = 5) -> list[float]:
        """Round values inside the scale, about that many."""
        return log_ticks(self.lo, self.hi, about) if self.log else nice_ticks(self.lo, self.hi, about)


def linear(values: Iterable[float], about: int = 5) -> Scale:
    """A scale from zero to a round number above the greatest value."""
    top = max(values, default=1.0) or 1.0
    step = nice_step(top / about)
    return Scale(0, math.ceil(top / step - 1e-9) * step)


def adaptive(values: Sequence[float], spread: float = 30) -> Scale:
    """Linear from zero, or logarithmic when the positive values span more than ``spread`` times."""
    positive = [v for v in values if v > 0]
    if not positive or max(positive) / min(positive) <= spread:
        return linear(values)
    return logarithmic(positive)


def logarithmic(values: Iterable[float]) -> Scale:
    """A log scale between 1-2-5 numbers around the positive values."""
    positive = [v for v in values if v > 0] or [1.0, 10.0]
    lo, hi = _down_125(min(positive)), -_down_125(-max(positive))
    return Scale(lo, hi if hi > lo else lo * 10, log=True)


def nice_step(raw: float) -> float:
    """The least of 1, 2, 2.5, 5 × 10^k that is not below ``raw``."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next((m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9)), 10 * power)


def nice_ticks(lo: float, hi: float, about: int = 5) -> list[float]:
    """Multiples of a nice step within [lo, hi]."""
    if hi <= lo:
        return [lo]
    step = nice_step((hi - lo) / about)
    first = math.ceil(lo / step - 1e-9)
    return [k * step for k in range(first, math.floor(hi / step + 1e-9) + 1)]


def log_ticks(lo: float, hi: float, about: int = 5) -> list[float]:
    """1-2-5 numbers within [lo, hi], or powers of ten when those would be too many."""
    powers = range(math.floor(math.log10(lo)), math.ceil(math.log10(hi)) + 1)
    for steps in ((1, 2, 5), (1,)):
        ticks = [m * 10.0**k for k in powers for m in steps if lo * (1 - 1e-9) <= m * 10.0**k <= hi * (1 + 1e-9)]
        if len(ticks) <= about * 1.6:
            return ticks
    return ticks[:: math.ceil(len(ticks) / about)]


def _down_125(value: float) -> float:
    """The greatest 1-2-5 number not above ``value`` (for a negative one: not below in size)."""
    size = abs(value)
    power = 10.0 ** math.floor(math.log10(size))
    steps = [m * power for m in (1, 2, 5, 10)]
    if value > 0:
        return max(s for s in steps if s <= size * (1 + 1e-9))
    return -min(s for s in steps if s >= size * (1 - 1e-9))


def spread(wanted: Sequence[float], apart: float, lo: float, hi: float) -> list[float]:
    """Ascending places moved as little as needed to stand ``apart``, kept within [lo, hi] where that is possible."""
    places: list[float] = []
    for y in wanted:
        places.append(max(y, places[-1] + apart) if places else max(y, lo))
    limit = hi
    for i in range(len(places) - 1, -1, -1):
        places[i] = min(places[i], limit)
        limit = places[i] - apart
    return places


@dataclass
class Plot:
    """One drawing of ``width`` × ``height`` units. ``x_text`` and ``y_text`` turn a tick into its label."""

    title: str
    description: str
    x: Scale
    y: Scale
    width: int = 440
    height: int = 280
    left: int = 46
    right: int = 14
    top: int = 30
    bottom: int = 44
    title_gap: int = 14
    """How far above the plot its vertical title stands."""
    x_title: str = ""
    y_title: str = ""
    marks: list[str] = field(default_factory=list)
    hover: list[tuple[float, float, str]] = field(default_factory=list)

    def px(self, value: float) -> float:
        """Horizontal drawing unit of a data value."""
        return self.left + self.x.share(value) * (self.width - self.left - self.right)

    def py(self, value: float) -> float:
        """Vertical drawing unit of a data value; zero is at the bottom."""
        return self.height - self.bottom - self.y.share(value) * (self.height - self.top - self.bottom)

    def axes(self, x_ticks: dict[float, str], y_ticks: dict[float, str]) -> None:
        """Hairlines at the y ticks, labels at both axes, titles in the corners."""
        end = self.width - self.right
        base = self.height - self.bottom
        for value, label in y_ticks.items():
            y = self.py(value)
            kind = "base" if abs(y - base) < 0.5 else "grid"
            self.marks.append(f'<path class="{kind}" d="M{self.left} {y:.1f}H{end}"/>')
            self.text(self.left - 8, y + 4, label, "tick end")
        for value, label in x_ticks.items():
            x = self.px(value)
            self.marks.append(f'<path class="base" d="M{x:.1f} {base}v4"/>')
            self.text(x, base + 18, label, "tick mid")
        self.text(self.left, self.top - self.title_gap, self.y_title, "axis")
        self.text(end, self.height - 6, self.x_title, "axis end")

    def text(self, x: float, y: float, label: str, kind: str) -> None:
        """A label at drawing units; ``kind`` is its CSS classes."""
        if label:
            self.marks.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(label)}</text>')

    def line(self, points: Sequence[Point], kind: str) -> None:
        """A polyline through the points."""
        self.marks.append(f'<path class="line {kind}" d="{self._path(points)}"/>')

    def steps(self, points: Sequence[Point], kind: str) -> None:
        """A staircase: each value holds until the next x."""
        corners = [p for a, b in pairwise(points) for p in (a, (b[0], a[1]))]
        self.line([*corners, *points[-1:]], kind)

    def area(self, points: Sequence[Point], kind: str) -> None:
        """The surface between a staircase and the bottom."""
        if len(points) < 2:
            return
        corners = [p for a, b in pairwise(points) for p in (a, (b[0], a[1]))]
        base = self.height - self.bottom
        first, last = self.px(points[0][0]), self.px(points[-1][0])
        path = self._path([*corners, points[-1]])
        self.marks.append(f'<path class="area {kind}" d="{path}L{last:.1f} {base}L{first:.1f} {base}Z"/>')

    def dot(self, point: Point, kind: str, radius: float = 4) -> None:
        """A round mark."""
        x, y = self.px(point[0]), self.py(point[1])
        self.marks.append(f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>')

    def label_points(self, labels: Sequence[tuple[Point, str]]) -> None:
        """A text beside each point, where it touches no other text or mark."""
        marks = [(self.px(x), self.py(y)) for (x, y), _ in labels]
        inside = (self.left, self.top - 6, self.width, self.height - self.bottom)
        for (x, y, anchor), (_, text) in zip(places(marks, [text for _, text in labels], inside), labels, strict=True):
            self.text(x, y, text, f"label {anchor} strong".replace("  ", " "))

    def across(self, value: float, label: str, kind: str) -> None:
        """A horizontal line over the whole plot with its label at its left end, above it where there is room."""
        y, end = self.py(value), self.width - self.right
        self.marks.append(f'<path class="rule {kind}" d="M{self.left} {y:.1f}H{end}"/>')
        self.text(self.left + 4, y - 5 if y > self.top + 16 else y + 14, label, f"label {kind}")

    def flag(self, value: float, label: str, kind: str) -> None:
        """A vertical line over the whole plot with its label above the plot, where curves may run anywhere in it."""
        x, half = self.px(value), CHAR * len(label) / 2
        self.marks.append(f'<path class="rule {kind}" d="M{x:.1f} {self.top}V{self.height - self.bottom}"/>')
        middle = min(max(x, self.left + half), self.width - half)
        self.text(middle, self.top - 7, label, f"label mid {kind}")

    def upright(self, value: float, label: str, kind: str, at_top: bool = False) -> None:
        """A vertical line over the whole plot with its label beside its foot, or its top where lines lie low."""
        x = self.px(value)
        self.marks.append(f'<path class="rule {kind}" d="M{x:.1f} {self.top}V{self.height - self.bottom}"/>')
        near_end = x > self.width * 0.6
        y = self.top + 10 if at_top else self.height - self.bottom - 8
        self.text(x + (-5 if near_end else 5), y, label, f"label {'end ' if near_end else ''}{kind}")

    def beside(self, labels: Sequence[tuple[float, str]], kind: str, apart: float = 16) -> None:
        """Labels of horizontal lines in the right margin, moved apart where they would touch."""
        x = self.width - self.right
        wanted = sorted((self.py(value), text) for value, text in labels)
        places = spread([y for y, _ in wanted], apart, self.top, self.height - self.bottom)
        for (y, text), place in zip(wanted, places, strict=True):
            self.marks.append(f'<path class="grid" d="M{x} {y:.1f}L{x + 10} {place:.1f}"/>')
            self.text(x + 14, place + 4, text, f"label {kind}")

    def band(self, lo: float, hi: float, kind: str) -> None:
        """A vertical band over the whole height."""
        x, width = self.px(lo), self.px(hi) - self.px(lo)
        height = self.height - self.top - self.bottom
        self.marks.append(
            f'<rect class="band {kind}" x="{x:.1f}" y="{self.top}" width="{width:.1f}" height="{height}"/>'
        )

    def point_at(self, point: Point, words: str) -> None:
        """What the reader is told when the pointer is near that point."""
        self.hover.append((round(self.px(point[0]), 1), round(self.py(point[1]), 1), words))

    def render(self, name: str, kind: str = "") -> str:
        """The `<svg>` element; ``name`` must be unique in the page, its title and description are announced."""
        data = escape(json.dumps(self.hover, ensure_ascii=False, separators=(",", ":")), quote=True)
        focus = f' tabindex="0" data-points="{data}"' if self.hover else ""
        return (
            f'<svg class="plot {kind}" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-labelledby="{name}-t {name}-d"{focus}>'
            f'<title id="{name}-t">{escape(self.title)}</title><desc id="{name}-d">{escape(self.description)}</desc>'
            f"{''.join(self.marks)}</svg>"
        )

    def _path(self, points: Sequence[Point]) -> str:
        xy = [(f"{self.px(x):.1f}", f"{self.py(y):.1f}") for x, y in points]
        return "M" + "L".join(f"{x} {y}" for x, y in xy) if xy else "M0 0"
