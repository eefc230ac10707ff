"""A comparison as one HTML page: what changed, how sure that is, and every figure."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from toolkit.report import comparison, facts, html
from toolkit.report.comparison import FINDINGS, metric_name, signed
from toolkit.types import Comparison, LevelChange, MetricChange, RunRef

GOOD, BAD = ("faster", "lower"), ("slower", "higher")
LEAST_SPAN = 0.02
"""Share that the plot shows on each side at least: changes below are not blown up."""
MOST_SPAN = 1.0
"""And at most: −100 % is all there can be, and one figure ten times as great must not flatten the others."""
LEAD = (
    "The mark is the change from A to B, the bar its interval: a bar that touches the middle line may be chance. "
    "Right of it is more: slower where a time is counted, faster where a speed is."
)


def comparison_page(found: Comparison) -> str:
    """The whole page."""
    span = _span(found)
    levels = "".join(_level(level, span) for level in found.levels)
    body = [
        _header(found),
        html.section("What changed", LEAD, levels) if levels else "",
        html.section("Every figure", "", html.table(comparison.table(found))) if found.levels else "",
        html.section("The two benches", "", _sides(found)),
    ]
    return html.page("Comparison of two load tests", "".join(body), 0)


def _header(found: Comparison) -> str:
    over = f"<b>Comparison</b> · A is {escape(_name(found.a))} · B is {escape(_name(found.b))}"
    return f'<header><p class="over">{over}</p><h1>{escape(comparison.sentence(found))}</h1>{_verdict(found)}</header>'


def _verdict(found: Comparison) -> str:
    """What became of the limits."""
    if not found.limits:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in comparison.limit_lines(found))
    kind, words = ("yes", "Every limit kept.") if found.passed else ("no", "Not every limit kept.")
    return f'<div class="trust {kind}"><p><strong>{words}</strong></p><ul>{items}</ul></div>'


def _level(level: LevelChange, span: float) -> str:
    items = "".join(_bar(metric, span) for metric in level.metrics if metric.change is not None and _moves(metric))
    if not items:
        return ""
    name = escape(level.load, quote=True)
    ends = f"<i>−{span * 100:.0f} %</i><i>no change</i><i>+{span * 100:.0f} %</i>"
    axis = f'<li class="axis" aria-hidden="true"><span></span><span class="bar-track">{ends}</span><b></b></li>'
    return f'<h3>{name}</h3><ul class="bars change" aria-label="Change from A to B at {name}">{axis}{items}</ul>'


def _moves(metric: MetricChange) -> bool:
    """Not: no failure here and none there."""
    return not (metric.unit == "share" and metric.a == metric.b == 0)


def _bar(metric: MetricChange, span: float) -> str:
    """One figure: its interval as a bar around the middle line, its change as a mark."""
    change, kind = metric.change or 0.0, _kind(metric)
    track = '<i class="zero"></i>'
    if metric.low is not None and metric.high is not None:
        begin, end = _place(metric.low, span), _place(metric.high, span)
        track += f'<span class="bar" style="margin-left:{begin:.2f}%;width:{end - begin:.2f}%"></span>'
        track += f'<i class="stated" style="left:{_place(change, span):.2f}%"></i>'
    figures = f"{comparison.value(metric, metric.a)} → {comparison.value(metric, metric.b)}"
    remark = f"{figures}, {FINDINGS[metric.finding]}"
    return (
        f'<li class="{kind}"><span class="bar-name">{escape(metric_name(metric.metric))}<small>{escape(remark)}</small>'
        f'</span><span class="bar-track">{track}</span><b>{signed(change)}</b></li>'
    )


def _kind(metric: MetricChange) -> str:
    if metric.finding in GOOD:
        return "better"
    return "worse" if metric.finding in BAD else "same"


def _span(found: Comparison) -> float:
    """How far the plots reach on each side: as far as the farthest change, and most of its interval."""
    ends = [abs(end) for metric in _judged(found) for end in (metric.low, metric.high) if end is not None]
    return min(MOST_SPAN, max([LEAST_SPAN, *ends]))


def _judged(found: Comparison) -> Iterator[MetricChange]:
    return (metric for level in found.levels for metric in level.metrics if metric.change is not None)


def _place(change: float, span: float) -> float:
    """Where a change lies on the track, in per cent from its left end; what lies beyond is put at the end."""
    return 50 + 50 * max(-1.0, min(1.0, change / span))


def _sides(found: Comparison) -> str:
    notes = "".join(f"<li>{escape(line)}</li>" for line in comparison.remarks(found))
    body = "".join(
        f"<dt>{name}: {escape(_name(run))}</dt><dd>{escape(_about(run))}</dd>"
        for name, run in (("A", found.a), ("B", found.b))
    )
    return f"<dl>{body}</dl>{f'<ul class=notes>{notes}</ul>' if notes else ''}"


def _name(run: RunRef) -> str:
    return run.label or run.id or run.folder or "?"


def _about(run: RunRef) -> str:
    loads = ", ".join(run.loads)
    valid = "" if run.valid else "; not valid in full"
    return f"{facts.model_name(run.model)} at {run.target}, {facts.moment(run.at)}; {run.workload}; {loads}{valid}"
