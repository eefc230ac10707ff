"""The plots of a bench report, drawn with the kit in `svg.py`. Each returns finished `<svg>` elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toolkit.report import words
from toolkit.report.limits import Limit
from toolkit.report.series import Span, Timeline, ecdf
from toolkit.report.svg import Plot, Scale, adaptive, linear
from toolkit.types import Level

WIDE, NARROW = 920, 400
"""Drawing widths of full-width plots: desktop and phone. Both are in the page; CSS shows one."""


@dataclass(frozen=True)
class Series:
    """Values of one level: its name, its colour class and its numbers in seconds."""

    name: str
    kind: str
    values: Sequence[float]


def seconds_axis(scale: Scale) -> tuple[dict[float, str], str]:
    """Tick labels of a time axis in one unit, and that unit."""
    unit, factor = ("ms", 1000.0) if scale.hi < 1.5 else ("s", 1.0)
    return {t: words.significant(t * factor) for t in scale.ticks()}, unit


def latency_by_load(
    name: str,
    what: str,
    levels: Sequence[tuple[str, str, Level]],
    pick: Callable[[Level], float | None],
    limit: Limit | None,
    of_input: bool = False,
    knee: Level | None = None,
) -> str:
    """Latency against throughput, one labelled point a level, joined in the order of load.

    ``levels`` are (name, colour class, level). A filled mark met the service level, a ring missed it, a cross is
    not valid.
    """
    points = [(n, kind, lv, value) for n, kind, lv in levels if (value := pick(lv)) is not None]
    y = adaptive([v for *_, v in points] + ([limit.seconds] if limit else []))

    def speed(level: Level) -> float:
        return level.input_tok_s if of_input else level.output_tok_s

    x = linear([speed(lv) for _, _, lv, _ in points])
    y_ticks, unit = seconds_axis(y)
    plot = Plot(
        title=f"{what} against throughput",
        description="; ".join(
            f"{n}: {words.seconds(v)} at {words.significant(speed(lv))} tokens/s" for n, _, lv, v in points
        ),
        x=x,
        y=y,
        right=30,
        x_title=f"{'input' if of_input else 'output'} tokens/s, all users",
        y_title=f"{what}, {unit}",
    )
    plot.axes({t: words.significant(t) for t in x.ticks()}, y_ticks)
    if limit:
        plot.across(limit.seconds, limit.words, "slo")
    plot.line([(speed(lv), v) for _, _, lv, v in points], "through")
    for n, kind, level, value in points:
        at = (speed(level), value)
        missed = "missed" if level.slo_met is False else ""
        plot.dot(at, f"{kind} {missed} {'' if level.valid else 'invalid'}".strip(), 5)
        if level is knee:
            plot.dot(at, "knee", 10)
        words_of = ", the knee" if level is knee else ""
        plot.point_at(at, f"{n}{words_of}: {words.seconds(value)}, {words.significant(at[0])} tokens/s")
    plot.label_points([((speed(lv), v), f"{n.split()[0]}{' knee' * (lv is knee)}") for n, _, lv, v in points])
    return plot.render(name)


def distribution(name: str, what: str, series: Sequence[Series], limit: Limit | None) -> str:
    """Share of values at or below each time, one line a level."""
    curves = [(s, ecdf(s.values)) for s in series if s.values]
    shown = [v for _, points in curves for v, _ in points] + ([limit.seconds] if limit else [])
    x = adaptive(_without_last_percent(curves) + ([limit.seconds] if limit else []), spread=20)
    x_ticks, unit = seconds_axis(x)
    plot = Plot(
        title=f"Distribution of {what}",
        description="; ".join(
            f"{s.name}: half within {words.seconds(_at(points, 0.5))}, 99 % within {words.seconds(_at(points, 0.99))}"
            for s, points in curves
        ),
        x=x,
        y=Scale(0, 1),
        top=42,
        title_gap=25,
        x_title=f"{what}, {unit}" + (" (log scale)" if x.log else ""),
        y_title="share at or below",
    )
    plot.axes(x_ticks, {t: f"{t:.0%}" for t in (0, 0.25, 0.5, 0.75, 1)})
    if limit:
        plot.flag(limit.seconds, limit.words, "slo")
    for s, points in curves:
        start = (x.lo if x.log else 0.0, 0.0)
        plot.steps([start, (points[0][0], 0.0), *points, (max(x.hi, points[-1][0]), 1.0)], s.kind)
        for q in (0.5, 0.9, 0.95, 0.99):
            plot.point_at((_at(points, q), q), f"{s.name}: {q:.0%} within {words.seconds(_at(points, q))}")
    if shown and max(shown) > x.hi * 1.001:
        plot.text(
            plot.width - plot.right, plot.top - plot.title_gap, f"longest {words.seconds(max(shown))}", "axis end"
        )
    return plot.render(name)


def timelines(line: Timeline, spans: Sequence[tuple[Span, str, str]], error_count: int) -> list[tuple[str, str]]:
    """(wide, narrow) drawings of tokens/s, requests in flight and, if there were any, failures over time.

    ``spans`` are (span, level name, colour class).
    """
    panels = [
        ("tokens", "Output tokens/s over time", "output tokens/s", line.tok_s, 190),
        ("flight", "Requests in flight over time", "requests in flight", line.in_flight, 150),
    ]
    if error_count:
        panels.append(("failures", "Failures over time", "failures", tuple(map(float, line.failures)), 120))
    return [
        (
            _timeline(f"time-{key}-w", title, y_title, values, line, spans, height, WIDE, key == "failures"),
            _timeline(f"time-{key}-n", title, y_title, values, line, spans, height, NARROW, key == "failures"),
        )
        for key, title, y_title, values, height in panels
    ]


def _timeline(
    name: str,
    title: str,
    y_title: str,
    values: Sequence[float],
    line: Timeline,
    spans: Sequence[tuple[Span, str, str]],
    height: int,
    width: int,
    whole: bool,
) -> str:
    y = linear(values, about=3)
    end = line.start_s + line.bin_s * len(values)
    x = Scale(0, end - line.start_s)
    plot = Plot(
        title=title,
        description=f"{words.significant(max(values))} at most over {words.seconds(end - line.start_s)}",
        x=x,
        y=y,
        width=width,
        height=height,
        top=46,
        title_gap=30,
        x_title="seconds",
        y_title=y_title,
    )
    for span, level_name, _ in spans:
        plot.band(span.start_s - line.start_s, span.measured_s - line.start_s, "warm")
        middle = (span.start_s + span.end_s) / 2 - line.start_s
        short = level_name if width == WIDE else level_name.split()[0]
        plot.text(plot.px(middle), plot.top - 9, short, "label mid")
    plot.axes(
        {t: words.significant(t) for t in x.ticks(8 if width == WIDE else 4)},
        {t: words.significant(t) for t in y.ticks(3) if not whole or t == round(t)},
    )
    for span, level_name, kind in spans:
        mine = [
            (i * line.bin_s, v)
            for i, v in enumerate(values)
            if span.start_s <= line.start_s + (i + 0.5) * line.bin_s <= span.end_s
        ]
        if mine:
            closed = [*mine, (mine[-1][0] + line.bin_s, mine[-1][1])]
            plot.area(closed, kind)
            plot.steps(closed, kind)
        for t, v in mine[:: max(1, len(mine) // 40)]:
            plot.point_at((t, v), f"{level_name}, {t:.3g} s: {words.significant(v)} {y_title}")
    return plot.render(name, "wide" if width == WIDE else "narrow")


def _at(points: Sequence[tuple[float, float]], share: float) -> float:
    """The least value with at least that share at or below it."""
    return next((v for v, s in points if s >= share - 1e-12), points[-1][0])


def _without_last_percent(curves: Sequence[tuple[Series, Sequence[tuple[float, float]]]]) -> list[float]:
    """Values up to each curve's 99.5th percentile: one straggler must not flatten the picture."""
    return [v for _, points in curves for v, _ in points if v <= _at(points, 0.995)]
