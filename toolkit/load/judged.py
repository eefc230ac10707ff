"""What a judged level says to a search: the load held, it did not, or nothing can be told from it. Pure."""

from __future__ import annotations

from toolkit.types import Level

_CLIENT = {"client_busy", "client_late"}
_SPOILT = {"restarted"}
_TOO_MUCH = {"rate", "left_running", "ended_early", "rising"}
"""Rules that say the server could not follow: sent late, not finished, given up, latency growing."""


def holds(level: Level) -> bool | None:
    """Whether the server held this load; None when the load generator or an accident decided it.

    A level that keeps the service level while its latency still grows does not hold: the queue had no time to.
    """
    broken = set(level.broken_rules)
    if broken & (_CLIENT | _SPOILT):
        return None
    return level.completed > 0 and level.slo_met is not False and not broken & _TOO_MUCH


def limited_by_client(level: Level) -> bool:
    """Whether the load generator was the limit."""
    return bool(set(level.broken_rules) & _CLIENT)


def load_of(level: Level) -> float:
    """Users or requests per second."""
    return level.concurrency if level.concurrency is not None else level.rate or level.achieved_rate


def label(level: Level) -> str:
    """``4 users`` or ``2.5 requests/s``."""
    if level.shape:
        return level.shape
    return amount(load_of(level), "concurrency" if level.concurrency is not None else "rate")


def amount(load: float, by: str) -> str:
    """A load in words."""
    if by == "concurrency":
        return f"{load:g} user{'' if load == 1 else 's'}"
    return f"{load:.4g} requests/s"
