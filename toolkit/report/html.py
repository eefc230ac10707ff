"""The report as one self-contained HTML page: no network, no script needed to read it.

Every text that came from a server, a file or a user goes through `escape`; the page's policy forbids any request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from toolkit.cost.goodput import load_of
from toolkit.load.rows import Row
from toolkit.report import definitions, expected, facts, headline, monthly, tables, tornado, words
from toolkit.report.charts import Series, distribution, latency_by_load, timelines
from toolkit.report.colors import level_colors
from toolkit.report.cost_charts import bar_list, bars, price_over_volume
from toolkit.report.limits import limit_of
from toolkit.report.series import spans, timeline, waits
from toolkit.report.server_panels import server_panels
from toolkit.report.tables import Table
from toolkit.types import BenchResult, CostReport, Level

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


WAITS = (("ttft", "time to first token"), ("itl", "gap between tokens"))
"""The latencies that have plots: their name in `types.Level` without the unit, and in words."""


def waits_of(result: BenchResult) -> tuple[tuple[str, str], ...]:
    """The latencies that have plots for this endpoint."""
    return (("e2e", "answer in one piece"),) if result.endpoint == "embeddings" else WAITS


def bench_page(
    result: BenchResult, rows: Sequence[Row], cost: CostReport | None = None, looks: Sequence[Mapping[str, Any]] = ()
) -> str:
    """The whole page of a load test, with its cost when that is known; ``looks`` are the lines of `server.jsonl`."""
    body = [
        _header(result, cost),
        _curves(result),
        _distributions(result, rows),
        _over_time(result, rows),
        _server(result, rows, looks),
        _expected(result),
        _levels(result),
        _cost(cost, beside_bench=True) if cost else "",
        _definitions(definitions.used(result, cost)),
        _environment(result),
    ]
    return page(f"{facts.model_name(result.model)}: load test", "".join(body), len(result.levels))


def cost_page(cost: CostReport) -> str:
    """A page of cost alone, for a speed that was stated and not measured."""
    title = f"{facts.model_name(cost.model or 'Self-hosting')}: what a million tokens costs"
    head = f'<header><p class="over">Cost</p><h1>{escape(headline.cost_headline(cost))}</h1></header>'
    return page(title, head + _cost(cost) + _definitions(definitions.used(None, cost)), 0)


def page(title: str, body: str, levels: int) -> str:
    """A whole document around ``body``, with colours for so many levels."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_asset('page.css')}{level_colors(levels)}\n</style>\n</head>\n"
        f'<body>\n{body}\n<div id="tip" role="status" hidden></div>\n'
        f"<script>\n{_asset('page.js')}</script>\n</body>\n</html>\n"
    )


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _header(result: BenchResult, cost: CostReport | None) -> str:
    over = [
        f"<b>{escape(facts.model_name(result.model))}</b>",
        escape(result.workload.name),
        escape(facts.moment(result.environment.at)),
    ]
    big = "".join(
        f"<li><b>{escape(f.value)}{f'<small>{escape(f.unit)}</small>' if f.unit else ''}</b>"
        f"<span>{escape(f.meaning)}</span></li>"
        for f in headline.figures(result, cost)
    )
    return (
        f'<header><p class="over">{" · ".join(over)}</p><h1>{_unbroken(escape(headline.headline(result, cost)))}</h1>'
        f"{f'<ul class=figures>{big}</ul>' if big else ''}{_trust(result)}</header>"
    )


def _unbroken(text: str) -> str:
    """The same without a line break between a number and its unit."""
    return re.sub(r"(?<=\d) (?=(ms|s|tokens/s)\b)", "\N{NO-BREAK SPACE}", text)


def _trust(result: BenchResult) -> str:
    reasons = headline.verdicts(result)
    if not reasons:
        levels = words.count(len(result.levels), "load")
        requests = words.count(sum(lv.requests for lv in result.levels), "request")
        return (
            f'<div class="trust yes"><p><strong>Valid.</strong> Every check of the tester itself passed at {levels}, '
            f"{requests} in all.</p></div>"
        )
    items = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f'<div class="trust no" role="alert"><p><strong>Not valid in full.</strong></p><ul>{items}</ul></div>'


def _curves(result: BenchResult) -> str:
    levels = sorted(
        ((load_of(lv), kind, lv) for lv, kind in zip(result.levels, _kinds(result), strict=True)),
        key=lambda named: headline.load_key(named[2]),
    )
    drawn = [_curve(result, levels, metric, what) for metric, what in waits_of(result) if _seen(result, metric)]
    if not drawn:
        return ""
    judged = " A ring missed the service level." if any(lv.slo_met is False for lv in result.levels) else ""
    judged += " A dotted ring is not valid." if any(not lv.valid for lv in result.levels) else ""
    judged += " The knee is where throughput over latency is greatest." if _knee(result) else ""
    lead = f"What each user waits for against what the server gives to all. One mark a load.{judged}"
    found = f"<p><strong>{escape(result.search.statement)}</strong></p>" if result.search else ""
    return section("Speed against load", lead, f'{found}<div class="pair">{"".join(drawn)}</div>')


def _knee(result: BenchResult) -> Level | None:
    search = result.search
    return result.levels[search.knee_level] if search is not None and search.knee_level is not None else None


def _curve(result: BenchResult, levels: Sequence[tuple[str, str, Level]], metric: str, what: str) -> str:
    """One latency against throughput, judged by the service level's own percentile, else by p95."""
    limit = limit_of(result.slo, metric)
    field = (limit.field if limit else None) or "p95"

    def pick(level: Level) -> float | None:
        stat = getattr(level, f"{metric}_s")
        return getattr(stat, field) if stat else None

    shown = limit if limit and limit.field else None
    embeds = result.endpoint == "embeddings"
    return latency_by_load(f"curve-{metric}", f"{what}, {field}", levels, pick, shown, embeds, _knee(result))


def _seen(result: BenchResult, metric: str) -> bool:
    return any(getattr(lv, f"{metric}_s") for lv in result.levels)


def _distributions(result: BenchResult, rows: Sequence[Row]) -> str:
    drawn = []
    for metric, what in waits_of(result):
        series = [
            Series(load_of(lv), kind, waits(rows, i, metric))
            for i, (lv, kind) in enumerate(zip(result.levels, _kinds(result), strict=True))
        ]
        if any(s.values for s in series):
            drawn.append(distribution(f"spread-{metric}", what, series, limit_of(result.slo, metric)))
    if not drawn:
        return ""
    lead = "How the waits are spread: each line climbs from the quickest request to the slowest."
    return section("Spread of the waits", lead, f'{_keys(result)}<div class="pair">{"".join(drawn)}</div>')


def _over_time(result: BenchResult, rows: Sequence[Row]) -> str:
    line = timeline(rows)
    if line is None:
        return ""
    kinds = _kinds(result)
    named = [
        (span, load_of(result.levels[span.level]), kinds[span.level])
        for span in spans(rows)
        if 0 <= span.level < len(result.levels)
    ]
    drawn = "".join(wide + narrow for wide, narrow in timelines(line, named, sum(line.failures)))
    return section(
        "Over time",
        "The whole run; shaded parts are warm-up and count for nothing.",
        f'<div class="stack">{drawn}</div>',
    )


def _server(result: BenchResult, rows: Sequence[Row], looks: Sequence[Mapping[str, Any]]) -> str:
    """The server's own account of the run, on the same time axis as the load."""
    line = timeline(rows)
    if line is None:
        return ""
    end = line.start_s + line.bin_s * len(line.tok_s)
    kinds = _kinds(result)
    named = [(s, load_of(result.levels[s.level]), kinds[s.level]) for s in spans(rows) if s.level < len(result.levels)]
    drawn = server_panels(looks, line.start_s, end, named)
    if not drawn:
        return ""
    lead = "What the server said of itself, and what it drew from the machine, twice a second."
    body = "".join(wide + narrow for wide, narrow in drawn)
    return section("Inside the server", lead, f'<div class="stack">{body}</div>')


def _expected(result: BenchResult) -> str:
    data = expected.table(result)
    if data is None:
        return ""
    lead = "What was measured beside what was predicted for this machine and what its data sheet allows."
    return section("Measured against predicted", lead, table(data))


def _levels(result: BenchResult) -> str:
    extra = "".join(f"<li>{escape(note)}</li>" for note in headline.remarks(result))
    notes = f'<ul class="notes">{extra}</ul>' if extra else ""
    return section("Every load", "", table(tables.of_levels(result)) + notes)


def _cost(cost: CostReport, beside_bench: bool = False) -> str:
    parts = [f'<ul class="bars" aria-label="Dollars per million tokens">{bar_list(bars(cost))}</ul>']
    curve = price_over_volume(cost)
    if curve:
        parts.append("<h3>The more you serve, the less a token costs</h3>")
        parts.append(f'<p class="lead">{escape(facts.curve_words(cost))}</p>{curve[0]}{curve[1]}')
    month = monthly.stacked(cost)
    if month:
        parts.append(f"<h3>The month at {words.tokens(cost.tokens_per_day)} tokens a day</h3>{month}")
        parts.append(table(monthly.table(cost)))
    moved = tornado.bars(cost)
    if moved:
        parts.append(f"<h3>What moves it most</h3>{moved}{table(tornado.table(cost))}")
    if cost.alternatives:
        parts.append("<h3>Against APIs</h3>" + table(tables.of_alternatives(cost)))
    if cost.good_answers:
        parts.append("<h3>What a good answer costs</h3>" + table(tables.of_good_answers(cost)))
    parts.append("<h3>Where the figures come from</h3>" + table(tables.of_cost(cost)))
    items = "".join(f"<li>{escape(note)}</li>" for note in cost.notes)
    parts.append(f'<ul class="notes">{items}</ul>' if items else "")
    lead = f"Dollars per million tokens, input and output together, {words.percent(cost.input_share)} of them input."
    if beside_bench and cost.tokens_per_day is not None:
        lead = f"{headline.cost_headline(cost)} {lead}"
    return section("What a million tokens costs", lead, "".join(parts))


def _definitions(items: Sequence[definitions.Definition]) -> str:
    body = "".join(
        f"<dt>{escape(term)}</dt><dd><code>{escape(formula)}</code>{escape(text)}</dd>" for term, formula, text in items
    )
    return section("What the words mean", "", f"<dl>{body}</dl>")


def _environment(result: BenchResult) -> str:
    body = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.environment(result))
    command = f"<pre><code>{escape(result.environment.command)}</code></pre>"
    return section(
        "To repeat this", "The exact command, and what it ran on.", f'{command}<dl class="facts">{body}</dl>'
    )


def _keys(result: BenchResult) -> str:
    named = sorted(zip(_kinds(result), result.levels, strict=True), key=lambda pair: headline.load_key(pair[1]))
    items = "".join(f'<li class="{kind}">{escape(load_of(lv))}</li>' for kind, lv in named)
    return f'<ul class="keys">{items}</ul>'


def _kinds(result: BenchResult) -> list[str]:
    """The colour class of each level: ``l0`` for the least load and so on, whatever the order they ran in."""
    ranked = sorted(range(len(result.levels)), key=lambda i: headline.load_key(result.levels[i]))
    return [f"l{ranked.index(i)}" for i in range(len(result.levels))]


def section(title: str, lead: str, body: str) -> str:
    """A part of a page under its heading; ``body`` is HTML."""
    intro = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return f"<section><h2>{escape(title)}</h2>{intro}{body}</section>"


MARK_WORDS = {"best": "best in the SLO", "knee": "the knee", "missed": "misses the SLO", "invalid": "not valid"}


def table(data: Table) -> str:
    """An HTML table that scrolls in its own box when it is wider than the page."""
    heads = "".join(_head(data, i, text) for i, text in enumerate(data.columns))
    body = []
    for i, row in enumerate(data.rows):
        if i in data.groups:
            span = len(data.columns)
            body.append(f'<tr class="group"><th scope="rowgroup" colspan="{span}">{escape(data.groups[i])}</th></tr>')
        cells = "".join(_cell(data, j, cell) for j, cell in enumerate(row[1:], 1))
        body.append(f'<tr role="row"><th scope="row" role="rowheader">{_row_name(row[0])}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(data.caption, quote=True)}">'
        f'<table role="table"{" class=told" if _told(data) else ""}>'
        f"<caption>{escape(data.caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _told(data: Table) -> bool:
    """Whether the table has words in it: such rows are stacked on a phone, figures are scrolled."""
    return data.words_from < len(data.columns)


def _cell(data: Table, index: int, text: str) -> str:
    kind = ' class="words"' if index >= data.words_from else ""
    head = f' data-head="{escape(data.columns[index], quote=True)}"' if _told(data) else ""
    return f'<td role="cell"{kind}{head}>{escape(text)}</td>'


def _row_name(text: str) -> str:
    """A row's name; what follows a line break is a remark under it."""
    name, _, remark = text.partition("\n")
    return f"<b>{escape(name)}</b><small>{escape(remark)}</small>" if remark else escape(name)


def _head(data: Table, index: int, text: str) -> str:
    mark = data.marks.get(index, "")
    kinds = " ".join(k for k in (mark, "words" if index >= data.words_from else "") if k)
    below = f"<small>{MARK_WORDS[mark]}</small>" if mark else ""
    kind = f' class="{kinds}"' if kinds else ""
    return f'<th scope="col"{kind}>{escape(text)}{below}</th>' if text else "<td></td>"
