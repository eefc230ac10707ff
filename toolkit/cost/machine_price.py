"""What an hour of the machine costs: the user's figure, the median of dated rentals, or a labelled assumption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any

from toolkit.errors import InputError, SelfhostError
from toolkit.types import Basis, GpuPrice

USD_PER_VCPU_HOUR = Decimal("0.05")
"""Assumed price of a general-purpose cloud vCPU with 4 GiB: $0.10 per hour for a small 2-vCPU machine.
An order of magnitude to make a CPU result readable in dollars, not a quotation."""


@dataclass(frozen=True)
class MachinePrice:
    """Dollars per device and hour, how many devices one replica has, and where the price comes from."""

    usd_per_gpu_hour: Decimal
    gpus: int
    basis: Basis
    how: str


def given(usd_per_gpu_hour: Decimal, gpus: int | None = None) -> MachinePrice:
    """The price the user pays, for one device unless said otherwise."""
    count = 1 if gpus is None else gpus
    return MachinePrice(usd_per_gpu_hour, count, "priced", f"${usd_per_gpu_hour:.4g} per hour, given by you")


def of_gpu(name: str, prices: Sequence[GpuPrice], gpus: int = 1) -> MachinePrice:
    """The median on-demand rental of that GPU over providers; InputError when no dated price is known."""
    rentals = [p for p in prices if p.gpu == name and p.kind == "on_demand"]
    if not rentals:
        raise InputError(f"no dated rental price is known for {name}", "Give the price you pay, like 1.39/h.")
    by_provider: dict[str, list[Decimal]] = {}
    for p in rentals:
        by_provider.setdefault(p.provider, []).append(p.usd_per_hour)
    middle = median(median(of_one) for of_one in by_provider.values())
    low, high = min(p.usd_per_hour for p in rentals), max(p.usd_per_hour for p in rentals)
    read = max(p.checked for p in rentals)
    spread = f", {low:.2f}–{high:.2f}" if low != high else ""
    how = f"median on-demand rental of {name} over {_count(len(by_provider), 'provider')}{spread}, read {read}"
    return MachinePrice(middle, gpus, "priced", how)


def of_machine(
    machine: Mapping[str, Any], prices: Sequence[GpuPrice], canonical: Callable[[str], str], gpus: int | None
) -> MachinePrice:
    """The price of the machine a bench ran on, from its recorded facts.

    With GPUs: the median rental of that GPU, for as many as the machine has (all are paid for). Without: an
    assumed price per vCPU for the whole machine. ``canonical`` turns a driver's name into a GPU id.

    Raises:
        InputError: the machine is not recorded, or its GPU has no known price.
    """
    found = machine.get("gpus") or ()
    if found:
        name = str(found[0].get("name", ""))
        try:
            return of_gpu(canonical(name), prices, gpus or len(found))
        except SelfhostError as error:
            message = f"no dated rental price is known for this machine's {name!r}"
            raise InputError(message, "Give the price you pay, like 1.39/h.") from error
    cores = machine.get("cores")
    if not cores:
        raise InputError(
            "this result does not say which machine served it, so its price is not known",
            "Give the price you pay, like 1.39/h.",
        )
    usd = USD_PER_VCPU_HOUR * int(cores)
    how = f"assumed: ${USD_PER_VCPU_HOUR} per vCPU-hour ({_count(int(cores), 'vCPU')}), a small cloud machine"
    return MachinePrice(usd, 1, "assumed", how)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
