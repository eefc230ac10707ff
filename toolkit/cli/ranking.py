"""The stages behind `recommend`: `size` says what fits, `predict` how fast it is, `cost` what that costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from toolkit import profiles
from toolkit.cli import instead
from toolkit.cli.fitting import Candidate, Load, Own, engine_of, fitting
from toolkit.cli.instead import Nearest
from toolkit.cli.supported import why_not
from toolkit.cost import formulas, machine_price, sources
from toolkit.cost.machine_price import MachinePrice
from toolkit.errors import DeclinedError, InputError
from toolkit.load.slo import Bound
from toolkit.models.resolve import resolve
from toolkit.predict import facts, formats, hardware
from toolkit.predict.answer import predict
from toolkit.predict.layout import question
from toolkit.types import (
    GIB,
    Band,
    Gpu,
    HardwareOption,
    ModelSpec,
    NotJudged,
    Prediction,
    Recommendation,
    UsdSpread,
)

Reasons = dict[str, str]
"""By weight format, why a device is not ranked with it."""
COUNTS_TRIED = 2
"""Of the counts that fit, the first two are priced: more devices cost more a token, unless the service level asks for
them. Then larger ones are tried as long as none keeps it and each comes nearer."""
PEAK_RATIO = Decimal(3)


def rank(
    target: str,
    load: Load,
    quants: Sequence[str | None],
    only: str | None,
    one: Gpu | None,
    price: Decimal | None,
    here: Sequence[Own] = (),
) -> Recommendation:
    """Every priced device that can serve the load, cheapest per token first; the others with their reasons.

    ``here`` are the devices of this machine, ranked beside the others.

    Raises:
        InputError: no such model or format.
        DeclinedError: nothing fits, or nothing keeps the service level; says what comes nearest.
    """
    specs = list({spec.quant: spec for spec in (resolve(target, quant) for quant in quants)}.values())
    if load.context > specs[0].max_context:
        raise InputError(f"{specs[0].name} takes {specs[0].max_context:,} tokens, not {load.context:,}")
    devices = [one] if one else list(profiles.gpus().values())
    options: list[HardwareOption] = []
    left_out: list[NotJudged] = []
    nearest = Nearest()
    for gpu in devices:
        if only and gpu.device_class != only:
            continue
        found, reasons = _of_gpu(gpu, specs, load, price, nearest)
        options += found
        left_out += _left_out(gpu, reasons, len(specs))
    mine: list[NotJudged] = []
    for own in here:
        found, reasons = _of_own(own, specs, load, nearest)
        options += found
        mine += _left_out(own.gpu, reasons, len(specs))
    if not options:
        wanted = [gpu for gpu in devices if not only or gpu.device_class == only]
        error = instead.nothing(
            target, load, left_out, nearest, lambda: _change(target, load, specs, wanted, price), only
        )
        raise DeclinedError("; ".join([error.message, *(f"{n.gpu}: {n.reason}" for n in mine)]), error.hint)
    options.sort(key=lambda option: (option.usd_per_mtok.p50, option.usd_per_hour.p50))
    return Recommendation(
        model=specs[0].name,
        context=load.context,
        users=load.users,
        tokens_per_day=load.tokens_per_day,
        slo=load.slo.text if load.slo else None,
        options=tuple(options),
        not_judged=(*mine, *left_out),
        notes=(*_notes(load, price), *_more(load, options)),
    )


def _left_out(gpu: Gpu, reasons: Reasons, formats: int) -> list[NotJudged]:
    """A device that is not ranked in some of so many formats, with the reasons; the formats named where they differ."""
    by_reason: dict[str, list[str]] = {}
    for quant, reason in reasons.items():
        by_reason.setdefault(reason, []).append(quant)
    named = formats > 1 and not (len(by_reason) == 1 and len(reasons) == formats)
    return [
        NotJudged(gpu=gpu.name, reason=f"{', '.join(quants)}: {reason}" if named else reason)
        for reason, quants in by_reason.items()
    ]


def _notes(load: Load, price: Decimal | None) -> tuple[str, ...]:
    """What a reader must know to trust the ranking."""
    tails = ("the service level is held against expected times: tails under load are not predicted",)
    return (_basis(load, price), *(tails if load.slo else ()))


def _more(load: Load, options: Sequence[HardwareOption]) -> tuple[str, ...]:
    """That the load takes more than what is deployed."""
    most = max(option.replicas for option in options)
    if load.there is None or most <= load.there.replicas:
        return ()
    return (f"{load.there.replicas} deployed: this load needs {most:,} replicas",)


def _basis(load: Load, price: Decimal | None) -> str:
    offers = "spot prices" if load.there and load.there.spot else "on-demand list prices"
    paid = "the price you gave" if price is not None else f"median and quartiles of the providers' dated {offers}"
    spread = f"$: {paid}; speeds are predicted, with an 80 % interval"
    if load.tokens_per_day is not None:
        return f"{spread}; replicas carry a peak of {PEAK_RATIO} × the mean (assumed)"
    return f"{spread}; $/M tokens with all users busy"


def _of_gpu(
    gpu: Gpu, specs: list[ModelSpec], load: Load, price: Decimal | None, nearest: Nearest
) -> tuple[list[HardwareOption], Reasons]:
    """The options on that device, and by weight format why there is none."""
    try:
        hourly = machine_price.given(price) if price else _rent(gpu, load)
    except InputError:
        kind = "spot" if load.there and load.there.spot else "rental"
        return [], dict.fromkeys((s.quant for s in specs), f"{instead.NO_PRICE} {kind} price is known")
    if not _on_record(gpu):
        return [], dict.fromkeys((s.quant for s in specs), "its bandwidth or memory is not on record")
    return _of_specs(gpu, specs, load, hourly, nearest)


def _on_record(gpu: Gpu) -> bool:
    return gpu.mem_bw_gbs is not None and gpu.vram_gib is not None


def _of_own(own: Own, specs: list[ModelSpec], load: Load, nearest: Nearest) -> tuple[list[HardwareOption], Reasons]:
    """A device of this machine, with no more of them than there are; a count that is asked for is of the named one."""
    runs = [spec for spec in specs if own.gpu.device_class != "cpu" or engine_of(spec) == "llama.cpp"]
    found, reasons = _of_specs(own.gpu, runs, replace(load, count=None), own.price, nearest, own.count)
    why = "on a processor, speeds are on record for llama.cpp's formats alone; ask for one, e.g. q4_k_m"
    return found, {spec.quant: why for spec in specs if spec not in runs} | reasons


def _of_specs(
    gpu: Gpu,
    specs: list[ModelSpec],
    load: Load,
    hourly: MachinePrice,
    nearest: Nearest,
    owned: int | None = None,
) -> tuple[list[HardwareOption], Reasons]:
    found: list[HardwareOption] = []
    reasons: Reasons = {}
    for spec in specs:
        options, why = _of_spec(gpu, spec, load, hourly, nearest, owned)
        found += options
        if not options:
            reasons[spec.quant] = why
    return found, reasons


def _of_spec(
    gpu: Gpu, spec: ModelSpec, load: Load, hourly: MachinePrice, nearest: Nearest, owned: int | None
) -> tuple[list[HardwareOption], str]:
    """The options with that format, or why there is none: of those that miss the service level, the least miss."""
    refused = why_not(spec.quant, gpu) if engine_of(spec) == "vllm" else None
    most = owned or load.counts[-1]
    why = refused or f"{instead.NO_ROOM} on {'' if len(load.counts) == 1 else 'up to '}{most}"
    found: list[HardwareOption] = []
    over: list[float] = []
    for step in fitting(spec, gpu, load, hourly, owned):
        if isinstance(step, str):
            why = step
            continue
        option, reason, times = _priced(step, load, nearest)
        if times == math.inf:
            why = reason
            continue
        over.append(times)
        if option:
            found.append(option)
        elif times == min(over):
            why = reason
        if len(over) >= COUNTS_TRIED and (min(over) <= 1 or over[-1] >= over[-2]):
            break
    return found, why


def _rent(gpu: Gpu, load: Load) -> MachinePrice:
    return sources.rent(gpu.name, kind="spot" if load.there and load.there.spot else "on_demand")


def _priced(c: Candidate, load: Load, nearest: Nearest) -> tuple[HardwareOption | None, str, float]:
    """The option with as few replicas as room and service level allow, or why there is none.

    Last, how many times over the service level one request alone is; 1 where it is kept, infinite where none runs.
    """
    asked = min(c.most, load.users) if load.users else c.most
    try:
        alone = _predict(c, load, 1)
    except DeclinedError as error:  # `size` gives it room by a hair, and by `predict` there is none
        return None, error.message, math.inf
    broken = _broken(alone, load)
    if broken:
        nearest.level.append(broken)
        return None, broken[1], broken[0]
    users = _most_within(c, load, asked)
    least = load.there.replicas if load.there else 1
    replicas = max(least, math.ceil(load.users / users)) if load.users else least
    users = math.ceil(load.users / replicas) if load.users else users
    speed = _predict(c, load, users)
    total = Decimal(str(speed.output_tok_s.p50 * load.context / (load.context - load.prompt)))
    if load.tokens_per_day is not None:
        hosting = formulas.Hosting(total, c.count, c.price.usd_per_gpu_hour, PEAK_RATIO)
        replicas = max(least, formulas.replicas(hosting, load.tokens_per_day))
    if c.owned is not None and c.count * replicas > c.owned:
        return None, f"the load needs {c.count * replicas}, and this machine has {c.owned}", 1.0
    hourly = _spread(c.price, c.price.usd_per_gpu_hour * c.count * replicas)
    if load.max_usd_per_hour is not None and hourly.p50 > load.max_usd_per_hour:
        nearest.budget.append((hourly.p50, f"{replicas} × ({c.count} × {c.gpu.name}) for ${hourly.p50:.2f} per hour"))
        return None, f"${hourly.p50:.2f} per hour is above the budget", 1.0
    return _option(c, load, speed, replicas, users, total, hourly), "", 1.0


def _option(
    c: Candidate, load: Load, speed: Prediction, replicas: int, users: int, total: Decimal, hourly: UsdSpread
) -> HardwareOption:
    busy = min(replicas, load.users or replicas)
    out = speed.output_tok_s
    return HardwareOption(
        gpu=c.gpu.name,
        count=c.count,
        quant=c.spec.quant,
        engine=c.engine,
        certainty=c.sure,
        replicas=replicas,
        users_per_replica=users,
        output_tok_s=Band(p10=out.p10 * busy, p50=out.p50 * busy, p90=out.p90 * busy),
        ttft_s=speed.ttft_s,
        tpot_s=speed.tpot_s,
        memory_bytes_per_device=c.bytes_each,
        usd_per_hour=hourly,
        usd_per_mtok=_spread(c.price, _usd_per_mtok(load, c.price.usd_per_gpu_hour, c.count, replicas, total)),
        price_basis=c.price.basis,
        here=c.owned is not None,
        quality=_quality(c.spec.quant),
        why=f"{users} requests at once on each replica, bound by {speed.bound_by}; "
        f"{c.bytes_each / GIB:.1f} GiB a device for one request; price: {c.price.how}",
    )


def _quality(quant: str) -> str | None:
    """What the format loses; 16-bit formats lose nothing."""
    if quant.lower() in ("bf16", "fp16", "f16", "fp32"):
        return "the reference"
    found = profiles.quality(quant)
    return f"{found.loss}, on {found.measured_on}; {found.source}" if found else None


def _usd_per_mtok(load: Load, price: Decimal, count: int, replicas: int, total: Decimal) -> Decimal:
    """Dollars per million tokens: of the month at a daily volume, of a busy hour at a number of users."""
    if load.tokens_per_day is None:
        busy = min(replicas, load.users or replicas)
        return formulas.usage_usd_per_mtok(count * replicas, price, total * busy)
    monthly = formulas.compute_usd_per_month(replicas, count, price)
    return monthly / formulas.mtok_per_month(load.tokens_per_day)


def _predict(c: Candidate, load: Load, users: int) -> Prediction:
    model = facts.of_spec(c.spec)
    if c.cache_share != 1:
        windows = tuple((window, elements * c.cache_share) for window, elements in model.kv_windows)
        model = replace(model, kv_full=model.kv_full * c.cache_share, kv_windows=windows)
    q = question(
        model,
        formats.parse(c.spec.quant),
        hardware.of_gpu(c.gpu),
        hardware.of_engine(c.engine, None),
        c.count,
        input_len=load.prompt,
        output_len=load.context - load.prompt,
        concurrency=users,
    )
    if load.there and c.engine == "vllm":
        stages = load.there.settings.get("pp", 1)
        q = replace(q, tp=load.there.settings.get("tp", c.count // stages), pp=stages)
    return predict(q)


def _most_within(c: Candidate, load: Load, asked: int) -> int:
    """Most requests at once, up to what is asked, that keep the service level; one does."""
    if not _broken(_predict(c, load, asked), load):
        return asked
    low, high = 1, asked
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if not _broken(_predict(c, load, middle), load) else (low, middle)
    return low


def _broken(p: Prediction, load: Load) -> tuple[float, str] | None:
    """The bound that is missed by most: how many times over, and in words."""
    missed = []
    for bound in load.slo.bounds if load.slo else ():
        expected = _expected(p, bound)
        if expected > bound.limit_s:
            where = f"at {p.concurrency} at once on {p.count} × {p.gpu}"
            words = f"{bound.metric} of about {expected:.3g} s is expected {where}"
            missed.append((expected / bound.limit_s, f"{words}, where {bound.limit_s:g} s is asked"))
    return max(missed) if missed else None


def _expected(p: Prediction, bound: Bound) -> float:
    first = p.ttft_s.p50 if p.ttft_s else 0.0
    if bound.metric in ("ttft", "ttfat"):
        return first
    return p.tpot_s.p50 if bound.metric in ("itl", "tpot") else first + p.output_len * p.tpot_s.p50


def _spread(price: MachinePrice, usd: Decimal) -> UsdSpread:
    """Those dollars at the price taken, and at the providers' quartiles, to a millionth: those are ratios of floats."""
    _, low, _, high, _ = price.spread
    return UsdSpread(p25=round(usd * Decimal(str(low)), 6), p50=usd, p75=round(usd * Decimal(str(high)), 6))


def _change(target: str, load: Load, specs: list[ModelSpec], devices: list[Gpu], price: Decimal | None) -> str | None:
    """What these devices would hold; else, where some were asked about, the cheapest hardware that holds it all."""
    found = instead.change(
        target, load, specs, [gpu for gpu in devices if _on_record(gpu) and _has_price(gpu, load, price)]
    )
    return found or (None if len(devices) == len(profiles.gpus()) or load.there else _elsewhere(specs, load))


def _has_price(gpu: Gpu, load: Load, price: Decimal | None) -> bool:
    try:
        return price is not None or bool(_rent(gpu, load))
    except InputError:
        return False


def _elsewhere(specs: list[ModelSpec], load: Load) -> str | None:
    anything = instead.fewer(load)
    found = [o for gpu in profiles.gpus().values() for o in _of_gpu(gpu, specs, anything, None, Nearest())[0]]
    if not found:
        return None
    least = min(found, key=lambda option: option.usd_per_hour.p50)
    hardware = f"{least.replicas} × ({least.count} × {least.gpu})"
    return f"{hardware} would hold it ({least.quant}), for ${least.usd_per_hour.p50:.2f} per hour."
