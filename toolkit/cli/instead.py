"""What would help where nothing can be ranked: the nearest miss, another format, a shorter context, other hardware."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from toolkit.cli.fitting import Load, fitting, longest_context
from toolkit.cost import machine_price
from toolkit.errors import DeclinedError
from toolkit.models.resolve import resolve
from toolkit.types import Gpu, ModelSpec, NotJudged

SMALLER = (None, "fp8", "awq")
"""Weight formats to propose where nothing fits, the gentler first; None is the model's own."""

NO_ROOM = "the model does not fit"
NO_PRICE = "no dated"
"""How two reasons begin that are looked for among others."""

SHORTEST = 1024
"""Tokens: a shorter request is not proposed in place of a longer one."""


@dataclass
class Nearest:
    """What came near: times over the service level, and dollars per hour above the budget; each in words."""

    level: list[tuple[float, str]] = field(default_factory=list)
    budget: list[tuple[Decimal, str]] = field(default_factory=list)


def nothing(
    target: str,
    load: Load,
    left_out: Sequence[NotJudged],
    nearest: Nearest,
    change: Callable[[], str | None],
    only: str | None,
) -> DeclinedError:
    """Why nothing is left, and the smallest change that would help."""
    if nearest.level:
        times, words = min(nearest.level)
        each = "each limit" if load.slo and len(load.slo.bounds) > 1 else "that"
        return DeclinedError(
            f"no hardware keeps the service level: {words}", f"allow {up_to_a_tenth(times)} times {each}, or more."
        )
    if nearest.budget:
        return DeclinedError("nothing serves this load within the budget", f"the least is {min(nearest.budget)[1]}.")
    if left_out and all(n.reason.startswith(NO_PRICE) for n in left_out):
        return DeclinedError("no dated rental price is known for any of these devices", "give what the device costs.")
    hint = change() or "no smaller format or context that was tried fits either; take a smaller model."
    judged = [n for n in left_out if not n.reason.startswith(NO_PRICE)]
    if judged and not any(NO_ROOM in n.reason for n in judged):
        told = dict.fromkeys(n.reason for n in judged)
        where = judged[0].gpu if len({n.gpu for n in judged}) == 1 else "these devices"
        return DeclinedError(f"{target} cannot be ranked on {where}: {'; '.join(told)}", hint)
    place = _place(load, left_out, only)
    return DeclinedError(f"{target} with {load.context:,} tokens does not fit on {place}", hint)


def up_to_a_tenth(times: float) -> str:
    """A factor rounded up, so that following it is enough."""
    return f"{math.ceil(times * 10) / 10:.1f}"


def change(target: str, load: Load, specs: Sequence[ModelSpec], devices: Sequence[Gpu]) -> str | None:
    """Another format for the whole context, and the longest context in the asked ones, whichever these devices hold.

    A shorter context in another format only where neither is.
    """
    asked = {spec.quant for spec in specs}
    others: list[ModelSpec] = []
    if specs[0].source != "gguf":
        imagined = {spec.quant: spec for spec in (resolve(target, fmt) for fmt in SMALLER)}
        others = [spec for quant, spec in imagined.items() if quant not in asked]
    whole = (_whole(spec, load, devices) for spec in others)
    shorter = (_shorter(spec, load, devices) for spec in specs)
    ways = [way for way in (next(filter(None, whole), None), next(filter(None, shorter), None)) if way]
    if not ways:
        ways = list(filter(None, (_shorter(spec, load, devices) for spec in others)))[:1]
    return f"{'; or '.join(ways)}." if ways else None


def _whole(spec: ModelSpec, load: Load, devices: Sequence[Gpu]) -> str | None:
    anyhow = machine_price.given(Decimal(0))
    for gpu in devices:
        if any(not isinstance(step, str) for step in fitting(spec, gpu, load, anyhow)):
            return f"{spec.quant} with {load.context:,} tokens fits {gpu.name}"
    return None


def _shorter(spec: ModelSpec, load: Load, devices: Sequence[Gpu]) -> str | None:
    best, where = 0, ""
    for gpu in devices:
        found = readable(min(load.context - 1, longest_context(spec, gpu, load)))
        if found > best:
            best, where = found, gpu.name
    return f"{spec.quant} with {best:,} tokens fits {where}" if best >= SHORTEST else None


def readable(tokens: int) -> int:
    """That many tokens, rounded down to whole hundreds, or thousands from 10,000 on."""
    step = 1000 if tokens >= 10_000 else 100
    return tokens // step * step


def _place(load: Load, left_out: Sequence[NotJudged], only: str | None) -> str:
    names = {n.gpu for n in left_out}
    one = next(iter(names)) if len(names) == 1 else None
    most = load.counts[-1]
    if one and len(load.counts) == 1:
        return f"{most} × {one}"
    kind = f"{only} " if only else ""
    return f"up to {most} {f'× {one}' if one else f'of any priced {kind}device'}"


def fewer(load: Load) -> Load:
    """The same load where room is all that counts: no service level, no budget, as many devices as it takes."""
    return replace(load, slo=None, max_usd_per_hour=None, count=None)
