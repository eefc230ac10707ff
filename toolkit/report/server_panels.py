"""Plots of what the server said of itself over the run: requests running and queued, cache use, power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.report import words
from toolkit.report.charts import NARROW, WIDE
from toolkit.report.series import Span
from toolkit.report.svg import Plot, Scale, linear

MOST_POINTS = 400
_Panel = tuple[str, str, tuple[tuple[str, str, str], ...], bool]
_PANELS: tuple[_Panel, ...] = (
    ("requests", "requests in the server", (("running", "running", "s0"), ("queued", "queued", "s3")), False),
    ("kv", "KV cache used", (("kv_use", "KV cache", "s0"),), True),
    ("watts", "power, W", (("watts", "power", "s0"),), False),
    ("machine", "machine busy", (("machine_busy", "all cores", "s0"),), True),
)
"""Name, title, (field of `server.jsonl`, word, colour class) of each line, and whether it is a share."""


def server_panels(
    looks: Sequence[Mapping[str, Any]], start_s: float, end_s: float, spans: Sequence[tuple[Span, str, str]]
) -> list[tuple[str, str]]:
    """(wide, narrow) drawings of every panel that has something to show; the times are those of the rows."""
    inside = [look for look in looks if start_s <= look["at_s"] <= end_s]
    thinned = inside[:: max(1, len(inside) // MOST_POINTS)]
    found = []
    for panel in _PANELS:
        lines = [(word, kind, _points(thinned, name, start_s)) for name, word, kind in panel[2]]
        lines = [line for line in lines if len(line[2]) > 1]
        if lines:
            wide, narrow = (_draw(panel, lines, end_s - start_s, start_s, spans, width) for width in (WIDE, NARROW))
            found.append((wide, narrow))
    return found


def _points(looks: Sequence[Mapping[str, Any]], name: str, start_s: float) -> list[tuple[float, float]]:
    return [(look["at_s"] - start_s, value) for look in looks if isinstance(value := look.get(name), int | float)]


def _draw(
    panel: _Panel,
    lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
    length_s: float,
    start_s: float,
    spans: Sequence[tuple[Span, str, str]],
    width: int,
) -> str:
    name, title, _, share = panel
    y = Scale(0, 1) if share else linear([v for _, _, points in lines for _, v in points], about=3)
    label = (lambda v: f"{v:.0%}") if share else words.significant
    plot = Plot(
        title=f"{title} over time",
        description="; ".join(f"{word}: at most {label(max(v for _, v in points))}" for word, _, points in lines),
        x=Scale(0, length_s),
        y=y,
        width=width,
        height=150,
        top=40,
        title_gap=24,
        x_title="seconds",
        y_title=title,
    )
    for span, _, _ in spans:
        plot.band(span.start_s - start_s, span.measured_s - start_s, "warm")
    plot.axes(
        {t: words.significant(t) for t in plot.x.ticks(8 if width == WIDE else 4)},
        {t: label(t) for t in ((0, 0.5, 1) if share else y.ticks(3))},
    )
    if len(lines) > 1:
        _legend(plot, lines)
    for word, kind, points in lines:
        plot.steps(points, kind)
        for t, v in points[:: max(1, len(points) // 60)]:
            plot.point_at((t, v), f"{t:.3g} s: {label(v)} {word}")
    return plot.render(f"server-{name}-{'w' if width == WIDE else 'n'}", "wide" if width == WIDE else "narrow")


def _legend(plot: Plot, lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]]) -> None:
    """A short stroke and a word for each line, above the right end."""
    x, y = float(plot.width - plot.right), plot.top - plot.title_gap
    for word, kind, _ in reversed(lines):
        plot.text(x, y, word, "label end")
        x -= 7 * len(word) + 8
        plot.marks.append(f'<path class="line {kind}" d="M{x - 18:.1f} {y - 4}h18"/>')
        x -= 34
