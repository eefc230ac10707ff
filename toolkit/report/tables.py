"""The tables of a report, as plain cells: the terminal, Markdown and HTML each draw the same ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from toolkit.cost.goodput import load_of
from toolkit.report import server_rows, words
from toolkit.report.headline import load_key
from toolkit.types import Alternative, BenchResult, CostReport, Currency, Level, Stat


@dataclass(frozen=True)
class Table:
    """A caption, column heads and rows of text. The first column is names, the others are figures.

    ``groups`` names the heading that stands above a row, by its index; ``marks`` a mark for a column head, by its
    index: ``best``, ``missed`` or ``invalid``.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: dict[int, str]
    marks: dict[int, str]
    words_from: int = 99
    """From this column on the cells are words, not figures."""


def of_levels(result: BenchResult) -> Table:
    """Every level a column, by its load, and every figure a row."""
    levels = sorted(result.levels, key=load_key)
    groups: dict[int, str] = {}
    rows: list[tuple[str, ...]] = []
    for heading, lines in _LEVEL_ROWS:
        kept = [(name, [cell(lv) for lv in levels]) for name, cell in lines]
        kept = [(name, cells) for name, cells in kept if any(c != words.UNKNOWN for c in cells)]
        if kept and heading:
            groups[len(rows)] = heading
        rows += [(name, *cells) for name, cells in kept]
    marks = {i: mark for i, lv in enumerate(levels, 1) if (mark := mark_of(lv, result))}
    return Table(
        caption="Figures of each load level. Latencies are of completed requests; failures are counted apart.",
        columns=("", *(load_of(lv) for lv in levels)),
        rows=tuple(rows),
        groups=groups,
        marks=marks,
    )


def mark_of(level: Level, result: BenchResult) -> str:
    """``invalid``, ``best``, ``knee``, ``missed`` or nothing."""
    if not level.valid:
        return "invalid"
    if result.best_under_slo is not None and _same(level, result.best_under_slo):
        return "best"
    if result.search is not None and result.search.knee_level is not None:
        knee = result.levels[result.search.knee_level]
        if knee is level:
            return "knee"
    return "missed" if level.slo_met is False else ""


def of_cost(cost: CostReport) -> Table:
    """What self-hosting costs here: the pieces and how each is known."""
    rows: list[tuple[str, str, str, str]] = [
        ("Goodput of one replica", _speed(cost), cost.goodput_basis, cost.goodput_how),
        ("Machine", _machine(cost), cost.price_basis, cost.price_how),
        ("Input share of tokens", words.percent(cost.input_share), cost.input_share_basis, ""),
        (
            "Usage price",
            f"{money(cost.usage_usd_per_mtok, cost.currency)} per million",
            "computed",
            "the machine busy all day: what the hardware could do",
        ),
    ]
    if cost.usd_per_mtok_input is not None and cost.usd_per_mtok_output is not None:
        split = f"{words.usd(cost.usd_per_mtok_input)} in, {words.usd(cost.usd_per_mtok_output)} out"
        if cost.usd_per_mtok_input_cached is not None:
            split += f", {words.usd(cost.usd_per_mtok_input_cached)} in from the prefix cache"
        rows.append(("Of it per kind of token", split, "computed", "least squares over the runs given"))
    if cost.energy_usd_per_mtok is not None and cost.joules_per_token is not None:
        how = f"{words.significant(cost.joules_per_token)} joules per token ({cost.joules_basis})"
        rows.append(("Electricity", f"{money(cost.energy_usd_per_mtok, cost.currency)} per million", "computed", how))
    elif cost.joules_per_token is not None:
        joules = f"{words.significant(cost.joules_per_token)} joules per token"
        rows.append(("Energy", joules, cost.joules_basis or "computed", "without a price per kWh"))
    else:
        rows.append(("Energy", "unknown", "", "no power was measured or stated; a rent has it in its price"))
    if cost.paid_hours_per_month != 730:
        opened, paid = (words.significant(h) for h in (cost.open_hours_per_month, cost.paid_hours_per_month))
        hours = f"{opened} h open, {paid} h paid"
        rows.append(("Hours of a month", hours, "computed", "cold starts and interruptions are paid and serve nothing"))
    rows += _volume_rows(cost)
    return Table(
        "What self-hosting costs, and how each figure is known.",
        ("", "Figure", "Basis", "How"),
        tuple(rows),
        {},
        {},
        words_from=2,
    )


def of_alternatives(cost: CostReport) -> Table:
    """Each API at the same mix, and where self-hosting beats it."""
    monthly, judged = cost.tokens_per_day is not None, cost.uncertainty is not None
    rows = [
        (
            f"{a.name}\n{_price_of(a)}",
            money(a.usd_per_mtok, cost.currency),
            *((money(a.usd_per_month, cost.currency),) if monthly else ()),
            *((words.percent(a.p_self_host_cheaper),) if judged else ()),
            words.wins(a.self_host_wins_tokens_per_day, cost.searched_up_to_tokens_per_day),
            words.percent(a.utilisation_needed) if a.utilisation_needed is not None else words.UNKNOWN,
        )
        for a in cost.alternatives
    ]
    heads = (
        "API",
        "$ per million",
        *(("$ a month",) if monthly else ()),
        *(("P(self-hosting cheaper)",) if judged else ()),
        "Self-hosting is cheaper",
        "at a utilisation of",
    )
    share = words.percent(cost.input_share)
    caption = f"API list prices at {share} input tokens, and the volumes at which self-hosting costs less."
    return Table(caption, heads, tuple(rows), {}, {}, words_from=2 + monthly + judged)


def of_good_answers(cost: CostReport) -> Table:
    """What a right answer costs, failures and retries among it."""
    rows = [
        (
            line.name,
            money(line.usd_per_request, cost.currency),
            words.percent(line.good_share),
            money(line.usd_per_good_answer, cost.currency),
            words.usd(line.flip_failure_usd),
        )
        for line in cost.good_answers
    ]
    heads = ("", "$ a request", "answered well", "$ a good answer", "ties with self-hosting if a failure costs")
    return Table("What a good answer costs, with retries and failures.", heads, tuple(rows), {}, {})


def _price_of(a: Alternative) -> str:
    """Which price was taken, and its date."""
    which = "" if a.name in (a.matched_model, f"{a.provider}:{a.matched_model}") else f":{a.matched_model}"
    old = ", deprecated" if a.deprecated else ""
    old += f", last day {a.retires}" if a.retires else ""
    return f"{a.provider}{which}, {a.price_date}{old}{f'; {a.note}' if a.note else ''}"


def money(value: Decimal | None, currency: Currency | None) -> str:
    """Dollars, with the second currency behind them when there is one."""
    if value is None or currency is None:
        return words.usd(value)
    return f"{words.usd(value)} ({in_currency(value, currency)})"


def in_currency(usd: Decimal, currency: Currency) -> str:
    """A dollar amount in the second currency, grouped as its country writes it (₹1,31,250)."""
    from babel.numbers import format_currency

    locale = "en_IN" if currency.code == "INR" else "en_US"
    return format_currency(currency.of_usd(usd), currency.code, locale=locale)


def _speed(cost: CostReport) -> str:
    return f"{words.significant(cost.goodput_tok_s)} tokens/s"


def _machine(cost: CostReport) -> str:
    each = f"{words.usd(cost.usd_per_gpu_hour)}/h"
    return each if cost.gpus == 1 else f"{cost.gpus} × {each}"


def _volume_rows(cost: CostReport) -> list[tuple[str, str, str, str]]:
    month = cost.monthly_usd
    if month is None or cost.tokens_per_day is None or cost.replicas is None:
        return []
    spare = f" with {cost.spare} spare" if cost.spare else ""
    peak = f"peak {words.significant(cost.peak_ratio)} × mean ({cost.peak_ratio_basis})"
    return [
        ("Volume", f"{words.tokens(cost.tokens_per_day)} tokens a day", "assumed", peak),
        ("Replicas", f"{cost.replicas:,}{spare}", "computed", f"utilisation {words.percent(cost.utilisation)}"),
        (
            "A month",
            money(month.total, cost.currency),
            "computed",
            f"compute {words.usd(month.compute)}, people {words.usd(month.people)}, other {words.usd(month.other)}",
        ),
        (
            "Allocation price",
            f"{money(cost.allocation_usd_per_mtok, cost.currency)} per million",
            "computed",
            "everything paid over the tokens served: compare APIs with this one",
        ),
        *_interval(cost),
    ]  # fmt: skip


def _interval(cost: CostReport) -> list[tuple[str, str, str, str]]:
    if cost.uncertainty is None:
        return []
    band = cost.uncertainty.monthly_usd
    span = words.usd(band.p50) if band.p10 == band.p90 else f"{words.usd(band.p10)} to {words.usd(band.p90)}"
    how = f"10th to 90th percentile of {cost.uncertainty.draws:,} draws, seed {cost.uncertainty.seed}"
    return [("A month, four times in five", span, "computed", how)]


Cell = Callable[[Level], str]


def _stat(pick: Callable[[Level], Stat | None], quantile: str) -> Cell:
    def cell(level: Level) -> str:
        stat = pick(level)
        return words.seconds(getattr(stat, quantile), pad=True) if stat else words.UNKNOWN

    return cell


def _quantiles(pick: Callable[[Level], Stat | None], names: tuple[str, ...]) -> list[tuple[str, Cell]]:
    labels = {"p50": "median", "p95": "p95", "p99": "p99", "max": "longest"}
    return [(labels[name], _stat(pick, name)) for name in names]


def _figure(pick: Callable[[Level], float | None]) -> Cell:
    def cell(level: Level) -> str:
        value = pick(level)
        return words.UNKNOWN if value is None else words.significant(value, pad=True)

    return cell


def _slo(level: Level) -> str:
    return words.UNKNOWN if level.slo_met is None else "met" if level.slo_met else "missed"


_LEVEL_ROWS: tuple[tuple[str, list[tuple[str, Cell]]], ...] = (
    ("Requests", [("completed", lambda lv: f"{lv.completed:,}"), ("failed", lambda lv: f"{lv.failed:,}")]),
    ("First token", _quantiles(lambda lv: lv.ttft_s, ("p50", "p95", "p99"))),
    ("Gap between tokens", _quantiles(lambda lv: lv.itl_s, ("p50", "p95", "p99", "max"))),
    ("Time per output token", _quantiles(lambda lv: lv.tpot_s, ("p50", "p95"))),
    ("Whole answer", _quantiles(lambda lv: lv.e2e_s, ("p50", "p95"))),
    ("Wait before sending", _quantiles(lambda lv: lv.queue_delay_s if lv.rate is not None else None, ("p95",))),
    (
        "Tokens per second",
        [
            ("each user", _figure(lambda lv: lv.decode_tok_s_per_user)),
            ("output, all users", _figure(lambda lv: lv.output_tok_s if lv.output_tokens else None)),
            ("input, all users", _figure(lambda lv: lv.input_tok_s)),
            ("input + output", _figure(lambda lv: lv.total_tok_s)),
            ("goodput", _figure(lambda lv: lv.goodput_total_tok_s)),
        ],
    ),
    *server_rows.ROWS,
    (
        "Trust",
        [
            ("client lag p99", _stat(lambda lv: lv.client_lag_s, "p99")),
            ("client busy", lambda lv: words.percent(lv.client_busy)),
            ("service level", _slo),
            ("valid", lambda lv: "yes" if lv.valid else "no"),
        ],
    ),
)  # fmt: skip


def _same(a: Level, b: Level) -> bool:
    return a == b or (a.concurrency, a.rate, a.duration_s) == (b.concurrency, b.rate, b.duration_s)
