"""`predict` and `recommend` in words."""

from __future__ import annotations

from toolkit.types import GIB, Band, HardwareOption, Prediction, Recommendation

NOT_JUDGED_SHOWN = 6


def render(p: Prediction) -> str:
    """A prediction as lines of text."""
    load = f"{p.concurrency} at a time" if p.concurrency is not None else f"as many as it carries ({p.running:.0f})"
    reached = p.output_tok_s.p50 / p.ceiling_output_tok_s
    hardware = f"{p.model} ({p.quant}) on {p.count} × {p.gpu}, {p.engine}"
    first = (
        _line("first token, ms", p.ttft_s, 1e3) if p.ttft_s else f"{'first token':<24} not predicted: it is queueing"
    )
    lines = [
        f"{hardware}: requests of {p.input_len} + {p.output_len} tokens, {load}",
        f"{'':<24} expected   80 % interval",
        _line("output tokens/s", p.output_tok_s),
        _line("per user, tokens/s", p.decode_tok_s_per_user),
        _line("prompt tokens/s", p.prefill_tok_s),
        first,
        _line("each token, ms", p.tpot_s, 1e3),
        f"{'ceiling by data sheet':<24} {p.ceiling_output_tok_s:>8,.0f} ({reached:.0%} reached); bound by {p.bound_by}",
        f"basis: {p.basis}, {p.how}; model facts from {p.model_basis}",
    ]
    if p.uncorrected_output_tok_s is not None:
        lines.append(f"without that bench, {p.uncorrected_output_tok_s:,.0f} output tokens/s would be expected")
    if p.max_context is not None and p.input_len + p.output_len > p.max_context:
        lines.append(f"the model takes {p.max_context:,} tokens at most: it was not made for requests as long as these")
    if p.concurrency is not None and p.running < p.concurrency:
        lines.append(f"only {p.running:.0f} requests run at once: cache or engine take no more, the rest wait")
    return "\n".join(lines)


def _line(what: str, band: Band, scale: float = 1) -> str:
    low, middle, high = (f"{scale * v:,.{0 if scale * v >= 100 else 1}f}" for v in (band.p10, band.p50, band.p90))
    return f"{what:<24} {middle:>8}   {low} – {high}"


def render_recommendation(r: Recommendation) -> str:
    """A ranking as a table, best first, with what was not judged."""
    load = (
        f"{r.users} user{'' if r.users == 1 else 's'}" if r.users is not None else f"{r.tokens_per_day:,} tokens a day"
    )
    rows = [("hardware", "quant", "output tok/s", "$/h", "$/M tokens"), *map(_row, r.options)]
    name, quant, *numbers = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = [f"{r.model}: {r.context:,} tokens a request, {load}{', ' + r.slo if r.slo else ''}"]
    for row in rows:
        right = "  ".join(f"{text:>{width}}" for text, width in zip(row[2:], numbers, strict=True))
        lines.append(f"{row[0]:<{name}}  {row[1]:<{quant}}  {right}")
    lines += _formats(r)
    if r.not_judged:
        shown = "; ".join(f"{n.gpu}: {n.reason}" for n in r.not_judged[:NOT_JUDGED_SHOWN])
        more = len(r.not_judged) - NOT_JUDGED_SHOWN
        lines.append(f"not ranked: {shown}{f'; and {more} more (in the JSON)' if more > 0 else ''}")
    return "\n".join([*lines, *r.notes])


def _row(option: HardwareOption) -> tuple[str, str, str, str, str]:
    """One option in the table's columns: a figure and, in brackets, its spread."""
    speed, hourly, each = option.output_tok_s, option.usd_per_hour, option.usd_per_mtok
    return (
        f"{option.replicas} × ({option.count} × {option.gpu}){', yours' if option.here else ''}",
        option.quant,
        f"{speed.p50:,.0f} ({speed.p10:,.0f}–{speed.p90:,.0f})",
        f"{hourly.p50:.2f} ({hourly.p25:.2f}–{hourly.p75:.2f})",
        f"{each.p50:.2f} ({each.p25:.2f}–{each.p75:.2f})",
    )


def _formats(r: Recommendation) -> list[str]:
    """Where weight formats are compared: what each takes of the same hardware, gives, and loses in quality."""
    quants = list(dict.fromkeys(option.quant for option in r.options))
    if len(quants) < 2:
        return []
    lines = ["weight formats:"]
    for quant in quants:
        best = next(option for option in r.options if option.quant == quant)
        lines.append(
            f"  {quant:<9} {best.memory_bytes_per_device / GIB:6.1f} GiB a device, {1 / best.tpot_s.p50:,.0f} tokens/s"
            f" each user on {best.count} × {best.gpu}; quality: {best.quality or 'nothing published that we know'}"
        )
    return lines
