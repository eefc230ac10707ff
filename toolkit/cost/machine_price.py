"""What an hour of the machine costs: the user's figure, the median of dated rentals, or a labelled assumption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median, quantiles
from typing import Any, Literal

from toolkit.cost.formulas import HOURS_PER_MONTH, capex_usd_per_hour, spot_usd_per_hour
from toolkit.errors import InputError
from toolkit.types import Basis, GpuPrice, VcpuPrice

Spread = tuple[float, float, float, float, float]
CERTAIN: Spread = (1, 1, 1, 1, 1)
ASSUMED_SPREAD: Spread = (0.5, 0.75, 1, 1.5, 2)
"""A machine nobody named a price for: half to twice, as clouds differ for small machines; itself an assumption."""
GIVE_IT = "Give the price you pay, like 1.39/h."


@dataclass(frozen=True)
class MachinePrice:
    """Dollars per device and hour, how many devices one replica has, and where the price comes from."""

    usd_per_gpu_hour: Decimal
    gpus: int
    basis: Basis
    how: str
    spread: Spread = CERTAIN
    """Least, quartiles and greatest price over providers, as factors of the price taken; all 1 when it is certain."""
    hardware: Literal["rented", "owned"] = "rented"


def given(usd_per_gpu_hour: Decimal, gpus: int | None = None) -> MachinePrice:
    """The price the user pays, for one device unless said otherwise."""
    count = 1 if gpus is None else gpus
    return MachinePrice(usd_per_gpu_hour, count, "priced", f"${usd_per_gpu_hour:.4g} per hour, given by you")


def spot_mix(spot: MachinePrice, on_demand: MachinePrice | None, share: Decimal = Decimal(1)) -> MachinePrice:
    """The price when that share (above 0, at most 1) of the hours is spot and the rest on demand.

    Raises:
        InputError: spot is not below on demand, or a share of the hours has no price.
    """
    if on_demand is None:
        if share < 1:
            raise InputError("a part of the hours is on demand, and its price is not known", GIVE_IT)
        return replace(spot, how=f"spot, {spot.how}")
    if spot.usd_per_gpu_hour >= on_demand.usd_per_gpu_hour:
        raise InputError(
            f"spot at ${spot.usd_per_gpu_hour:.4g} per hour is not below on demand at "
            f"${on_demand.usd_per_gpu_hour:.4g}",
            "Check which is which: the same machine is never dearer as spot.",
        )
    if share == 1:
        return replace(spot, how=f"spot, {spot.how}")
    mixed = spot_usd_per_hour(on_demand.usd_per_gpu_hour, spot.usd_per_gpu_hour, share)
    how = f"{share:.0%} spot ({spot.how}), the rest on demand ({on_demand.how})"
    return replace(on_demand, usd_per_gpu_hour=mixed, how=how)


def owned(usd: Decimal, residual: Decimal, years: Decimal, paid_hours: Decimal, gpus: int = 1) -> MachinePrice:
    """A device that was bought, per hour that it runs: idle hours are paid by those that are not.

    ``usd`` is the price of one device with its share of the server; ``residual`` the share it is sold for at the end.
    """
    use = paid_hours / HOURS_PER_MONTH
    how = f"${usd:,.2f} bought, {residual:.0%} left after {years:g} years"
    how += f", running {use:.0%} of the hours" if use != 1 else ""
    return MachinePrice(capex_usd_per_hour(usd, residual, years, use), gpus, "computed", how, hardware="owned")


def of_gpu(
    name: str, prices: Sequence[GpuPrice], gpus: int = 1, kind: Literal["on_demand", "spot"] = "on_demand"
) -> MachinePrice:
    """The median rental of that GPU over providers; InputError when no dated price is known."""
    rentals = [p for p in prices if p.gpu == name and p.kind == kind]
    words = kind.replace("_", "-")
    if not rentals:
        raise InputError(f"no dated {words} rental price is known for {name}", GIVE_IT)
    by_provider: dict[str, list[Decimal]] = {}
    for p in rentals:
        by_provider.setdefault(p.provider, []).append(p.usd_per_hour)
    by_price = sorted(median(of_one) for of_one in by_provider.values())
    middle = median(by_price)
    low, high = min(p.usd_per_hour for p in rentals), max(p.usd_per_hour for p in rentals)
    read = max(p.checked for p in rentals)
    spread = f", {low:.2f}–{high:.2f}" if low != high else ""
    how = f"median {words} rental of {name} over {_count(len(by_provider), 'provider')}{spread}, read {read}"
    return MachinePrice(middle, gpus, "priced", how, _spread(by_price, middle))


def _spread(by_price: Sequence[Decimal], middle: Decimal) -> Spread:
    """Five numbers of the providers' prices around their median."""
    if len(by_price) < 2:
        return CERTAIN
    lower, _, upper = quantiles(by_price, n=4, method="inclusive")
    least, q1, q3, most = (float(usd / middle) for usd in (by_price[0], lower, upper, by_price[-1]))
    return (least, q1, 1, q3, most)


def of_machine(
    machine: Mapping[str, Any],
    rentals: Callable[[str], Sequence[GpuPrice]],
    vcpu: Callable[[], VcpuPrice],
    gpus: int | None = None,
) -> MachinePrice:
    """The price of the machine a bench ran on, from its recorded facts.

    With GPUs: the median rental of that GPU, for as many as the machine has (all are paid for). Without: a price
    per vCPU for the whole machine. ``rentals`` and ``vcpu`` look prices up.

    Raises:
        InputError: the machine is not recorded, or its GPU has no known price.
    """
    found = [str(gpu.get("name", "") if isinstance(gpu, Mapping) else gpu) for gpu in machine.get("gpus") or ()]
    if found:
        return _of_driver_name(found[0], rentals, gpus or len(found))
    cores = machine.get("usable_cores") or machine.get("cores")
    if not cores:
        raise InputError("the result does not say which machine served it, so its price is not known", GIVE_IT)
    rate = vcpu()
    usd = rate.usd_per_vcpu_hour * int(cores)
    how = f"${rate.usd_per_vcpu_hour} per vCPU-hour × {_count(int(cores), 'vCPU')}: {rate.source}"
    return MachinePrice(usd, 1, rate.basis, how, ASSUMED_SPREAD if rate.basis == "assumed" else CERTAIN)


def _of_driver_name(name: str, rentals: Callable[[str], Sequence[GpuPrice]], gpus: int) -> MachinePrice:
    try:
        prices = rentals(name)
    except InputError:
        prices = ()
    if not prices:
        raise InputError(f"no dated rental price is known for this machine's {name!r}", GIVE_IT)
    return of_gpu(prices[0].gpu, prices, gpus)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
