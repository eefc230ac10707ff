"""Which speed a cost rests on: good tokens per second of one replica, from a bench or from the user's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median, quantiles

from toolkit.cost.energy import Measured
from toolkit.cost.energy import measured as measured_energy
from toolkit.cost.split import Split
from toolkit.cost.traffic import Request
from toolkit.errors import DeclinedError, InputError
from toolkit.types import Basis, BenchResult, Level

SLOWEST, FASTEST = Decimal("0.001"), Decimal(100_000_000)
"""Stated speeds outside are slips of the keyboard: no replica serves so little or so much."""
TYPICAL_INPUT_SHARE = Decimal("0.75")
"""Three input tokens to one output token: the usual blend of price comparisons; an assumption."""


@dataclass(frozen=True)
class Goodput:
    """Input + output tokens per second of requests that met the service level, and how it is known."""

    tok_s: Decimal
    basis: Basis
    how: str
    input_share: Decimal
    input_share_basis: Basis
    request: Request
    model: str | None = None
    level: str | None = None
    notes: tuple[str, ...] = ()
    spread: tuple[float, float, float, float, float] | None = None
    """Least, quartiles and greatest of repeated runs, as factors of their median; None: measured once, or not."""
    energy: Measured | None = None


def assumed(tok_s: float, input_share: Decimal | None = None) -> Goodput:
    """A speed the user states; labelled assumed."""
    value = Decimal(str(tok_s))
    if not value.is_finite() or value <= 0:
        raise InputError(f"a goodput of {tok_s} tokens/s is not above zero", "Give what one replica serves.")
    if not SLOWEST <= value <= FASTEST:
        raise InputError(
            f"a goodput of {tok_s:g} tokens/s is not from {SLOWEST} to {FASTEST:,}", "Give what one replica serves."
        )
    share = TYPICAL_INPUT_SHARE if input_share is None else input_share
    return Goodput(
        value, "assumed", "stated by you, not measured", share, "assumed", request_of(Request().tokens, share)
    )


def measured(result: BenchResult, input_share: Decimal | None = None, allow_invalid: bool = False) -> Goodput:
    """The goodput of a bench: of the best level under its service level, else of the best valid level.

    Raises:
        DeclinedError: no valid level, or no request met the service level.
    """
    level = chosen_level(result, allow_invalid)
    if level.goodput_total_tok_s <= 0:
        raise DeclinedError(
            f"no request of this bench met the service level {result.slo or ''}".rstrip() + ": goodput is zero",
            "Load it less, or relax the service level, and measure again.",
        )
    tokens = level.input_tokens + level.output_tokens
    speed = Decimal(str(level.goodput_total_tok_s))
    if tokens <= 0 or min(level.input_tokens, level.output_tokens) < 0 or not SLOWEST <= speed <= FASTEST:
        raise InputError(
            f"this bench says {tokens:,} tokens and {level.goodput_total_tok_s:,.4g} tokens/s at {load_of(level)}: "
            "that is no measurement",
            "Was the file changed by hand? Measure again.",
        )
    share = Decimal(level.input_tokens) / tokens if input_share is None else input_share
    request = request_of(round(tokens / max(1, level.completed)), share)
    return Goodput(
        tok_s=speed,
        basis="measured",
        how=f"measured at {load_of(level)}, {_meaning(result)}",
        input_share=share,
        input_share_basis="measured" if input_share is None else "assumed",
        request=request,
        model=result.model,
        level=load_of(level),
        notes=tuple(_warnings(result, level)),
        energy=measured_energy(level),
    )


def stated(result: BenchResult, tok_s: float, input_share: Decimal | None = None) -> Goodput:
    """A speed the user states in place of a bench's own; the mix and the model stay those of the bench."""
    level = max(result.levels, key=lambda lv: lv.total_tok_s, default=None)
    tokens = level.input_tokens + level.output_tokens if level else 0
    if level is None or tokens == 0:
        return replace(assumed(tok_s, input_share), model=result.model)
    share = Decimal(level.input_tokens) / tokens if input_share is None else input_share
    return replace(
        assumed(tok_s, share),
        input_share_basis="measured" if input_share is None else "assumed",
        request=request_of(round(tokens / max(1, level.completed)), share),
        model=result.model,
    )


def repeated(runs: Sequence[Goodput], input_share: Decimal | None = None) -> Goodput:
    """The median of two or more runs of the same load, and how far apart they came out.

    Raises:
        InputError: fewer than two runs, or the same one twice would hide how they differ.
    """
    if len(runs) < 2:
        raise InputError("one run is no repetition", "Measure the same load again.")
    speeds = sorted(run.tok_s for run in runs)
    middle = median(speeds)
    lower, _, upper = quantiles(speeds, n=4, method="inclusive")
    shares = sorted(run.input_share for run in runs)
    share = median(shares) if input_share is None else input_share
    tokens = sum(run.request.tokens for run in runs) // len(runs)
    return Goodput(
        tok_s=middle,
        basis="measured",
        how=f"median of {len(runs)} runs, {speeds[0]:,.4g} to {speeds[-1]:,.4g} tokens/s",
        input_share=share,
        input_share_basis="measured" if input_share is None else "assumed",
        request=request_of(tokens, share),
        model=runs[0].model,
        level=runs[0].level,
        notes=tuple(dict.fromkeys(note for run in runs for note in run.notes)),
        spread=(
            float(speeds[0] / middle),
            float(lower / middle),
            1.0,
            float(upper / middle),
            float(speeds[-1] / middle),
        ),
    )


def fitted(runs: Sequence[Goodput], split: Split, input_share: Decimal | None = None) -> Goodput:
    """The speed at one mix, from the cost per kind of token that several measured runs gave together."""
    share = sum((run.input_share for run in runs), Decimal(0)) / len(runs) if input_share is None else input_share
    tokens = sum(run.request.tokens for run in runs) // len(runs)
    return Goodput(
        tok_s=split.goodput_tok_s(share),
        basis="computed",
        how=f"fitted to {len(runs)} measured shapes; the worst of them is off by {split.worst_residual:.0%}",
        input_share=share,
        input_share_basis="computed" if input_share is None else "assumed",
        request=request_of(tokens, share),
        model=runs[0].model,
        notes=tuple(dict.fromkeys(note for run in runs for note in run.notes)),
    )


def chosen_level(result: BenchResult, allow_invalid: bool = False) -> Level:
    """The level a cost rests on; DeclinedError when every candidate is invalid."""
    if not result.levels:
        raise DeclinedError("this bench has no level: nothing was measured", "Run it again, to its end.")
    best = result.best_under_slo
    candidates = (best,) if best else result.levels
    usable = [lv for lv in candidates if lv.valid or allow_invalid]
    if not usable:
        worst = max(candidates, key=lambda lv: lv.goodput_total_tok_s)
        raise DeclinedError(
            f"this bench is not valid at {load_of(worst)}: {worst.why_invalid or 'no reason recorded'}",
            "Mend that and measure again; a cost from it would mislead.",
        )
    return max(usable, key=lambda lv: lv.goodput_total_tok_s)


def load_of(level: Level) -> str:
    """The load of a level in words: ``16 users``, ``1 user``, ``2.5 requests/s``."""
    if level.shape is not None:
        return level.shape
    if level.concurrency is not None:
        return f"{level.concurrency} user{'' if level.concurrency == 1 else 's'}"
    rate = level.rate if level.rate is not None else level.achieved_rate
    return f"{rate:g} requests/s"


def request_of(tokens: int, input_share: Decimal) -> Request:
    """A request of that many tokens with that share of input, each part at least one token."""
    into = min(max(1, round(tokens * input_share)), max(1, tokens - 1))
    return Request(into, max(1, tokens - into))


def _meaning(result: BenchResult) -> str:
    if result.slo:
        return f"counting requests that met {result.slo}"
    return "counting every completed request (no service level was set)"


def _warnings(result: BenchResult, level: Level) -> list[str]:
    notes = []
    if not level.valid:
        notes.append(f"The bench is not valid at {load_of(level)}: {level.why_invalid or 'no reason recorded'}.")
    if result.slo and result.best_under_slo is None:
        notes.append(f"No level met {result.slo}; the goodput counts only the requests that did.")
    if result.interrupted:
        notes.append("The bench was interrupted; the figures cover what was measured until then.")
    skipped = [
        lv
        for lv in result.levels
        if not lv.valid and lv is not level and lv.goodput_total_tok_s > level.goodput_total_tok_s
    ]
    notes += [f"{load_of(lv)} went faster but is not valid ({lv.why_invalid}) and is left out." for lv in skipped]
    return notes
