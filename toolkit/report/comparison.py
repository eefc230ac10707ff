"""A comparison in words: its table for the terminal and for Markdown, and one sentence a reviewer can read."""

from __future__ import annotations

from toolkit.report import markdown, words
from toolkit.report.tables import Table
from toolkit.types import Comparison, Finding, LevelChange, MetricChange, RunRef

FINDINGS: dict[Finding, str] = {
    "faster": "faster",
    "slower": "slower",
    "higher": "more failures",
    "lower": "fewer failures",
    "no_difference": "no difference seen",
    "too_few": "too few to say",
    "not_valid": "not valid",
}
NAMES = {
    "output_tok_s": "output tokens/s", "input_tok_s": "input tokens/s", "total_tok_s": "all tokens/s",
    "request_s": "requests/s", "failed_share": "failed",
}  # fmt: skip
LATENCIES = {"ttft": "TTFT", "ttfat": "TTFAT", "itl": "ITL", "tpot": "TPOT", "e2e": "E2E"}


def sentence(found: Comparison) -> str:
    """The finding in words: ``B against A: at 4 users slower in 3 figures (most: TTFT p95 +12.0 %).``."""
    if not found.levels:
        return "The two benches have no load in common."
    parts = [text for level in found.levels if (text := _level_words(level))]
    if parts:
        return f"B against A: {'; '.join(parts)}."
    judged = sum(m.finding == "no_difference" for level in found.levels for m in level.metrics)
    if not judged:
        return "B against A: nothing could be judged; the runs are too short or not valid."
    return f"B against A: no difference seen in {words.count(judged, 'figure')}."


def table(found: Comparison) -> Table:
    """Every figure a row, under the heading of its load."""
    groups: dict[int, str] = {}
    rows: list[tuple[str, ...]] = []
    for level in found.levels:
        groups[len(rows)] = level.load
        rows += [_row(metric) for metric in level.metrics]
    caption = (
        f"B against A. With {found.confidence:.0%} probability all {found.intervals} intervals hold at once; they know "
        "the spread within each run, not how the machine changes from run to run."
    )
    return Table(caption, ("", "A", "B", "change", "interval", "finding"), tuple(rows), groups, {}, words_from=5)


def to_markdown(found: Comparison) -> str:
    """The whole comparison, for a pull request; foreign text is escaped."""
    parts = ["# Comparison of two load tests", f"**{markdown.text(sentence(found))}**", markdown.bullets(sides(found))]
    if found.limits:
        parts += [f"Limits: {'kept' if found.passed else 'not kept'}.", markdown.bullets(limit_lines(found))]
    if found.levels:
        shown = table(found)
        parts += [markdown.text(shown.caption), markdown.table(shown)]
    parts += [markdown.bullets(remarks(found))]
    return "\n\n".join(part for part in parts if part) + "\n"


def sides(found: Comparison) -> list[str]:
    """Which runs these are."""
    return [f"{name}: {_run(run)}" for name, run in (("A", found.a), ("B", found.b))]


def limit_lines(found: Comparison) -> list[str]:
    """What became of each limit at each load."""
    said = {
        "broken": "BROKEN",
        "kept": "kept",
        "noise": "beyond the limit, but it may be chance: not counted",
        "undecided": "cannot be judged",
    }
    return [
        f"{o.limit} at {o.load}: {said[o.outcome]}"
        + (f" ({signed(o.change)})" if o.change is not None else "")
        + (f": {o.why}" if o.outcome == "undecided" and o.why else "")
        for o in found.limits
    ]


def remarks(found: Comparison) -> list[str]:
    """What differs between the runs, and what was left out."""
    lines = [f"{'UNLIKE: ' if d.unlike else ''}{d.what}: A {d.a}, B {d.b}" for d in found.differences]
    lines += [f"only in {name}: {', '.join(loads)}" for name, loads in _alone(found) if loads]
    seen: dict[str, None] = {}
    for level in found.levels:
        for metric in level.metrics:
            if metric.finding == "not_valid" and metric.why:
                seen[f"{level.load}: {metric.why}"] = None
    return [*lines, *seen]


def signed(share: float | None) -> str:
    """``+12 %``, ``−0.4 %``; a dash when unknown."""
    if share is None:
        return words.UNKNOWN
    points = share * 100
    text = f"{abs(points):.0f}" if abs(points) >= 99.5 else f"{abs(points):.1f}"
    return f"{'−' if points < 0 else '+'}{text} %"


def metric_name(metric: str) -> str:
    """``ttft_p95`` → ``TTFT p95``."""
    if metric in NAMES:
        return NAMES[metric]
    latency, _, quantile = metric.rpartition("_")
    return f"{LATENCIES.get(latency, latency)} {quantile}"


def _alone(found: Comparison) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (("A", found.only_a), ("B", found.only_b))


def _run(run: RunRef) -> str:
    name = run.label or run.id or run.folder or "?"
    where = f" ({run.id})" if run.label and run.id else ""
    return f"{name}{where}, {run.model} at {run.target}, {run.at}"


def _level_words(level: LevelChange) -> str:
    moved: dict[Finding, list[MetricChange]] = {}
    for metric in level.metrics:
        if metric.finding in ("faster", "slower", "higher", "lower"):
            moved.setdefault(metric.finding, []).append(metric)
    parts = []
    for finding, metrics in moved.items():
        most = max(metrics, key=lambda m: abs(m.change or 0))
        shown = f"{metric_name(most.metric)} {signed(most.change)}"
        if finding in ("higher", "lower"):
            parts.append(f"{FINDINGS[finding]} ({signed(most.change)})")
        elif len(metrics) == 1:
            parts.append(f"{FINDINGS[finding]} in {shown}")
        else:
            parts.append(f"{FINDINGS[finding]} in {len(metrics)} figures (most: {shown})")
    return f"at {level.load} {words.listing(parts)}" if parts else ""


def _row(metric: MetricChange) -> tuple[str, ...]:
    interval = words.UNKNOWN
    if metric.low is not None and metric.high is not None:
        interval = f"{signed(metric.low)} … {signed(metric.high)}"
    change = words.UNKNOWN if metric.change is None else signed(metric.change)
    finding = FINDINGS[metric.finding]
    return (metric_name(metric.metric), value(metric, metric.a), value(metric, metric.b), change, interval, finding)


def value(metric: MetricChange, figure: float | None) -> str:
    """One run's figure with its unit."""
    if figure is None:
        return words.UNKNOWN
    if metric.unit == "s":
        return words.seconds(figure, pad=True)
    return words.percent(figure) if metric.unit == "share" else words.significant(figure, pad=True)
