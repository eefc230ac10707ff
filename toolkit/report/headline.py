"""The result in plain words: one sentence a manager can repeat, and whether it may be believed."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.cost.goodput import load_of
from toolkit.report import words
from toolkit.types import BenchResult, CostReport, Level


@dataclass(frozen=True)
class Figure:
    """One of the few big numbers: its value, its unit and what it means."""

    value: str
    unit: str
    meaning: str


def headline_level(result: BenchResult) -> Level | None:
    """The level the headline speaks of: best under the service level, else the best valid one, else any."""
    if result.best_under_slo is not None:
        return result.best_under_slo
    valid = [lv for lv in result.levels if lv.valid] or list(result.levels)
    return max(valid, key=lambda lv: (lv.goodput_total_tok_s, lv.total_tok_s), default=None)


def headline(result: BenchResult, cost: CostReport | None = None) -> str:
    """``At 16 users: first token in 180 ms (p95), 23 tokens/s each, 370 tokens/s in all, …``."""
    level = headline_level(result)
    if level is None:
        return "Nothing was measured."
    if level.completed == 0:
        return f"At {load_of(level)}: no request completed; {words.count(level.failed, 'request')} failed."
    parts = []
    if result.endpoint == "embeddings" and level.e2e_s:
        parts.append(f"answer in {words.seconds(level.e2e_s.p95)} (p95)")
        parts.append(f"{words.significant(level.request_s)} requests/s")
    if level.ttft_s:
        parts.append(f"first token in {words.seconds(level.ttft_s.p95)} (p95)")
    if level.decode_tok_s_per_user is not None:
        parts.append(f"{words.significant(level.decode_tok_s_per_user)} tokens/s each")
    speed, kind = speed_of(result, level)
    parts.append(f"{words.significant(speed)} {kind}tokens/s in all")
    if cost is not None:
        parts.append(_price_words(cost))
    return f"At {load_of(level)}: {', '.join(parts)}; {limit_words(result)}."


def _price_words(cost: CostReport) -> str:
    """What is really paid where a volume is known, else what the machine could do."""
    if cost.allocation_usd_per_mtok is None or cost.tokens_per_day is None:
        return f"{words.usd(cost.usage_usd_per_mtok)} per million tokens at {hourly(cost)}"
    return f"{words.usd(cost.allocation_usd_per_mtok)} per million tokens at {words.tokens(cost.tokens_per_day)} a day"


def speed_of(result: BenchResult, level: Level) -> tuple[float, str]:
    """The throughput that means something for the endpoint, and what to call it before "tokens/s"."""
    return (level.input_tok_s, "input ") if result.endpoint == "embeddings" else (level.output_tok_s, "")


def limit_words(result: BenchResult) -> str:
    """Where the service level breaks: the highest load that met it and the first above that did not."""
    if not result.slo:
        return "no service level was set"
    judged = sorted((lv for lv in result.levels if lv.slo_met is not None), key=load_key)
    met = [lv for lv in judged if lv.slo_met]
    if not met:
        return f"no load tested meets {result.slo}"
    beyond = [lv for lv in judged if not lv.slo_met and load_key(lv) > load_key(met[-1])]
    if beyond:
        return f"breaks the SLO beyond {load_of(met[-1])}"
    return f"meets the SLO up to {load_of(met[-1])}, the most that was tested"


def hourly(cost: CostReport) -> str:
    """The price of one replica's machine: ``$1.39/h``, ``4 × $1.39/h``."""
    each = f"{words.usd(cost.usd_per_gpu_hour)}/h"
    return each if cost.gpus == 1 else f"{cost.gpus} × {each}"


def cost_headline(cost: CostReport) -> str:
    """The answer in one sentence: the month and who is cheaper, or without a volume what the machine could do."""
    month, volume = cost.monthly_usd, cost.tokens_per_day
    if month is None or volume is None:
        return (
            f"{words.usd(cost.usage_usd_per_mtok)} per million tokens at {hourly(cost)} and "
            f"{words.significant(cost.goodput_tok_s)} tokens/s ({cost.goodput_basis}), if it is busy all day."
        )
    said = (
        f"At {words.tokens(volume)} tokens a day self-hosting costs {words.usd(month.total)} a month, "
        f"{words.usd(cost.allocation_usd_per_mtok)} per million"
    )
    priced = [a for a in cost.alternatives if a.usd_per_month is not None]
    beaten = [a.name for a in priced if (a.usd_per_month or 0) > month.total]
    cheaper = [a.name for a in priced if (a.usd_per_month or 0) <= month.total]
    judged = [f"{how} {_few(names)}" for how, names in (("cheaper than", beaten), ("dearer than", cheaper)) if names]
    return f"{said}: {', '.join(judged)}." if judged else f"{said}."


def _few(names: list[str]) -> str:
    return words.listing(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"


def cost_sentences(cost: CostReport) -> list[str]:
    """The cost in plain words: what the hardware could do, what the volume really costs, who is cheaper."""
    found = [
        f"{words.usd(cost.usage_usd_per_mtok)} per million tokens when busy all day: "
        f"{hourly(cost)} ({cost.price_basis}), {words.significant(cost.goodput_tok_s)} tokens/s ({cost.goodput_basis})."
    ]
    if cost.allocation_usd_per_mtok is not None and cost.monthly_usd is not None:
        found.append(
            f"{words.usd(cost.allocation_usd_per_mtok)} per million at {words.tokens(cost.tokens_per_day)} a day: "
            f"{words.usd(cost.monthly_usd.total)} a month for {words.count(cost.replicas or 0, 'replica')} used to "
            f"{words.percent(cost.utilisation)}."
        )
    return found + _how_sure(cost)


def _how_sure(cost: CostReport) -> list[str]:
    """The interval of the draws, and the odds against each API."""
    if cost.uncertainty is None:
        return []
    band = cost.uncertainty.allocation_usd_per_mtok
    odds = [
        f"{words.percent(a.p_self_host_cheaper)} against {a.name}"
        for a in cost.alternatives
        if a.p_self_host_cheaper is not None
    ]
    against = f" Self-hosting is cheaper with a probability of {words.listing(odds)}." if odds else ""
    span = (
        f"stays at {words.usd(band.p50)}"
        if band.p10 == band.p90
        else f"is between {words.usd(band.p10)} and {words.usd(band.p90)}"
    )
    return [f"Four times in five it {span} per million ({cost.uncertainty.draws:,} draws).{against}"]


def figures(result: BenchResult, cost: CostReport | None) -> list[Figure]:
    """The big numbers below the headline."""
    level = headline_level(result)
    if level is None or level.completed == 0:
        return []
    found = []
    if level.ttft_s:
        found.append(_figure(words.seconds(level.ttft_s.p95), "to the first token (p95)"))
    if level.itl_s:
        found.append(_figure(words.seconds(level.itl_s.p95), "between tokens (p95)"))
    if result.endpoint == "embeddings" and level.e2e_s:
        found.append(_figure(words.seconds(level.e2e_s.p95), "to the vector (p95)"))
        found.append(Figure(words.significant(level.request_s), "/s", "requests"))
    speed, kind = speed_of(result, level)
    found.append(Figure(words.significant(speed), "tokens/s", f"{kind.strip() or 'output'}, {load_of(level)} together"))
    if cost is not None:
        price, _, meaning = _price_words(cost).partition(" ")
        busy = "" if cost.allocation_usd_per_mtok is None else f"; {words.usd(cost.usage_usd_per_mtok)} if busy all day"
        found.append(Figure(price, "", meaning + busy))
    else:
        failed = words.percent(level.failed / level.requests) if level.requests else words.UNKNOWN
        found.append(_figure(failed, "of requests failed"))
    return found


def verdicts(result: BenchResult) -> list[str]:
    """Every reason not to trust the result, most serious first; empty when it is valid."""
    found = []
    if result.stopped_early:
        found.append(f"The run was stopped early: {result.stopped_early}.")
    if result.interrupted:
        found.append("The run was interrupted; the figures cover what was measured until then.")
    found += [
        f"{load_of(lv)}: {lv.why_invalid or 'not valid, no reason recorded'}." for lv in result.levels if not lv.valid
    ]
    return found


def remarks(result: BenchResult) -> list[str]:
    """What a careful reader should know about single levels, though they are valid."""
    found = [f"{load_of(lv)}: {failures(lv)}" for lv in result.levels if lv.failed]
    return found + [f"{load_of(lv)}: {note}" for lv in result.levels for note in lv.notes]


def failures(level: Level) -> str:
    """How many requests of a level failed, and of what: ``4 requests failed: stream_error 3, http_500 1``."""
    names = [f"{name} {n:,}" for name, n in sorted(level.errors.items(), key=lambda e: -e[1])]
    return f"{words.count(level.failed, 'request')} failed" + (f": {', '.join(names)}" if names else "")


def _figure(text: str, meaning: str) -> Figure:
    value, _, unit = text.partition(" ")
    return Figure(value, unit, meaning)


def load_key(level: Level) -> float:
    """The load as a number to sort by: users, or requests per second."""
    return float(level.concurrency) if level.concurrency is not None else level.rate or level.achieved_rate
