"""`selfhost audit`: what a claim about cost or memory implies, and whether it can hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from toolkit.cost.audit import Figures, MemoryNeed
    from toolkit.cost.claims import Claim, ClaimsFile, Memory, Rental
    from toolkit.cost.rental_audit import Market
    from toolkit.types import Audit

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

BUILT_IN = ("article",)
"""Claims that are shipped, by the name of their file in `profiles/claims`."""


@app.command()
def audit(
    name: Annotated[
        str | None, typer.Argument(metavar="[article]", help="Shipped claims: article, those of the source article.")
    ] = None,
    claims: Annotated[Path | None, typer.Option(help="A TOML file of [[claim]] tables.")] = None,
    model: Annotated[str | None, typer.Option(help="The claim: this model …")] = None,
    hardware: Annotated[str | None, typer.Option(help="… runs on this device, as NAME or NAME:COUNT,")] = None,
    usd_per_month: Annotated[float | None, typer.Option(help="… costs so much a month,")] = None,
    usd_per_hour: Annotated[float | None, typer.Option(help="… or so much an hour, all devices together,")] = None,
    tokens_per_day: Annotated[str | None, typer.Option(help="… at this volume, input + output: 250k, 10M,")] = None,
    api: Annotated[str | None, typer.Option(help="… through this API, or instead of it if hardware is named.")] = None,
    quant: Annotated[str | None, typer.Option(help="Weight format: bf16, awq, Q4_K_M, …")] = None,
    vram_gib: Annotated[float | None, typer.Option(help="Memory of each device in GiB.")] = None,
    as_json: o.Json = False,
) -> None:
    """Judge a claim: what it implies, and whether it can hold.

    Exit status 1 when any claim cannot hold.
    """
    from toolkit.cli.output import emit
    from toolkit.errors import InputError
    from toolkit.report.audit import render

    said = {
        "model": model, "hardware": hardware, "usd_per_month": usd_per_month, "usd_per_hour": usd_per_hour,
        "tokens_per_day": tokens_per_day, "api": api, "quant": quant, "vram_gib": vram_gib,
    }  # fmt: skip
    said = {key: value for key, value in said.items() if value is not None}
    if sum((name is not None, claims is not None, bool(said))) != 1:
        raise InputError(
            "one claim at a time: shipped claims, a file, or what you state",
            "Say `selfhost audit article`, --claims FILE.toml, or state one, like "
            "--hardware A100-SXM-80GB --usd-per-month 180 --tokens-per-day 10M.",
        )
    document = _of_file(_path(name, claims)) if not said else _of_flags(said)
    if as_json:
        emit(document)
    else:
        print(render(document))
    raise typer.Exit(1 if any(claim.verdict == "cannot_hold" for claim in document.claims) else 0)


def _path(name: str | None, claims: Path | None) -> Path:
    from toolkit import paths
    from toolkit.errors import UnknownNameError

    if claims is not None:
        return claims
    if name not in BUILT_IN:
        raise UnknownNameError("set of claims", str(name), BUILT_IN, "For a file of your own use --claims FILE.")
    return paths.data_root() / "profiles" / "claims" / f"{name}.toml"


def _of_file(path: Path) -> Audit:
    from toolkit.cli.toml import read_toml
    from toolkit.cost.claims import read_claims

    file, found = read_claims(read_toml(path))
    return _judged(file, found)


def _of_flags(said: dict[str, Any]) -> Audit:
    """One stated claim, taken apart into what can be judged: memory, rent, an API's bill, break-even."""
    from toolkit.cost.claims import ClaimsFile, read_claim

    tables = list(_tables(said))
    return _judged(ClaimsFile(source="stated by you", claim=tuple(tables)), [read_claim(t) for t in tables])


def _tables(said: dict[str, Any]) -> list[dict[str, Any]]:
    from toolkit.errors import InputError

    found = [_memory_table(said), _rental_table(said), _api_table(said)]
    used = {key for keys, _ in found for key in keys}
    idle = [key for key in said if key not in used]
    if idle:
        raise InputError(
            f"nothing follows from {', '.join(idle).replace('_', ' ')} without more",
            "A model needs a device; money needs a device or a volume; an API needs a volume and dollars per month.",
        )
    return [table for _, table in found if table]


Table = tuple[set[str], dict[str, Any]]
"""The stated keys that a claim takes, and the claim; both empty when too little is stated for it."""


def _memory_table(said: dict[str, Any]) -> Table:
    if "model" not in said or not said.keys() & {"hardware", "vram_gib"}:
        return set(), {}
    fields: dict[str, Any] = {key: said[key] for key in ("model", "hardware", "quant", "vram_gib") if key in said}
    size = f" with {said['vram_gib']:g} GiB" if "vram_gib" in said else ""
    quant = f" in {said['quant']}" if "quant" in said else ""
    claim = f"{said['model']}{quant} runs on {said.get('hardware', 'a device')}{size}"
    return set(fields), {"kind": "memory", "claim": claim, **fields}


def _rental_table(said: dict[str, Any]) -> Table:
    money: dict[str, float] = {key: said[key] for key in ("usd_per_month", "usd_per_hour") if key in said}
    if not money or ("hardware" not in said and ("api" in said or "tokens_per_day" not in said)):
        return set(), {}
    fields = {key: said[key] for key in ("hardware", *money, "tokens_per_day") if key in said}
    volume = f" at {_volume(said)}" if "tokens_per_day" in said else ""
    what = said.get("hardware", "self-hosting")
    return set(fields), {"kind": "rental", "claim": f"{what} costs {_money(money)}{volume}", **fields}


def _api_table(said: dict[str, Any]) -> Table:
    """The API's own bill; or, beside hardware, the volume from which that hardware beats the API."""
    keys = {"api", "tokens_per_day", "usd_per_month"}
    if not keys <= said.keys():
        return set(), {}
    name, volume, usd = said["api"], _volume(said), said["usd_per_month"]
    if "hardware" in said:
        claim = f"at ${usd:,.2f} a month {said['hardware']} is cheaper than {name} at {volume}"
        fields = {"kind": "break_even", "self_host_usd_per_month": usd, "apis": [name]}
    else:
        claim = f"{name} costs ${usd:,.2f} a month at {volume}"
        fields = {"kind": "api_cost", "usd_per_month": usd, "apis": [name]}
    return keys, {"claim": claim, "tokens_per_day": said["tokens_per_day"], **fields}


def _volume(said: dict[str, Any]) -> str:
    """The stated volume in words: it may be by the month."""
    amount, _, period = str(said["tokens_per_day"]).partition("/")
    return f"{amount} tokens a {period.strip() or 'day'}"


def _money(money: dict[str, float]) -> str:
    words = {"usd_per_month": "a month", "usd_per_hour": "an hour"}
    return " and ".join(f"${usd:,.2f} {words[key]}" for key, usd in money.items())


def _judged(file: ClaimsFile, found: Sequence[Claim]) -> Audit:
    from datetime import date

    from toolkit.cost.audit import judge
    from toolkit.types import Audit

    figures = _figures(found, file.prices_on or date.today())
    return Audit(source=file.source, claims=tuple(judge(claim, figures) for claim in found))


def _figures(found: Sequence[Claim], on: date) -> Figures:
    """Everything the claims need, looked up: list prices, dated rents, and the memory model's answers."""
    from toolkit.cost import sources
    from toolkit.cost.audit import Figures
    from toolkit.cost.claims import ApiCost, BreakEvenClaim, Memory, Rental
    from toolkit.cost.traffic import Request

    names = dict.fromkeys(name for claim in found if isinstance(claim, ApiCost | BreakEvenClaim) for name in claim.apis)
    return Figures(
        quotes={name: sources.quote(name, (Request(),), on) for name in names},
        rents={claim: _market(claim) for claim in found if isinstance(claim, Rental)},
        memory={claim: _need(claim) for claim in found if isinstance(claim, Memory)},
    )


def _market(claim: Rental) -> Market | None:
    from toolkit import profiles
    from toolkit.cli.devices import split
    from toolkit.cost.rental_audit import market_of

    if claim.hardware is None:
        return None
    device, count = split(claim.hardware)
    record = profiles.gpu(device)
    return market_of(claim, count, () if claim.market_usd_per_hour else profiles.gpu_prices_for(record.name))


def _need(claim: Memory) -> MemoryNeed:
    """The memory the claim's model takes; where it names no weight format and does not fit, in a smaller one too."""
    from dataclasses import replace

    from toolkit.cost.audit import SMALLER_QUANT
    from toolkit.errors import SelfhostError

    need = _planned(claim)
    if need.fits or claim.quant is not None:
        return need
    try:
        return replace(need, smaller=_planned(claim.model_copy(update={"quant": SMALLER_QUANT})))
    except SelfhostError:
        return need  # its weights come in one format only


def _planned(claim: Memory) -> MemoryNeed:
    from toolkit.cli.pipeline import memory_plan_for
    from toolkit.cost.audit import MemoryNeed

    plan = memory_plan_for(
        claim.model,
        gpu=[claim.hardware] if claim.hardware else None,
        vram_gib=claim.vram_gib,
        quant=claim.quant,
        context=claim.context,
        concurrency=claim.concurrency,
    )
    worst = max(plan.devices, key=lambda device: device.total_bytes - device.usable_bytes)
    lines = ", ".join(f"{line.what} {line.bytes / 2**30:.2f}" for line in worst.lines if line.bytes)
    how = (
        f"{plan.model} in {plan.quant} on {plan.engine}, {claim.concurrency} × {claim.context:,} tokens, "
        f"GiB on {worst.name}: {lines}"
    )
    return MemoryNeed(worst.total_bytes, worst.usable_bytes, plan.certainty, plan.fits, how)
