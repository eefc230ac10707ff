"""The load workers on other machines, as the record of a bench tells of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Crew:
    """What each worker said of itself, and how well its clock was mapped onto ours."""

    def __init__(self) -> None:
        self._facts: dict[str, dict[str, Any]] = {}

    def joined(self, facts: Mapping[str, Mapping[str, Any]]) -> None:
        """All are here: machine, cores and versions, by the worker's name."""
        self._facts = {name: dict(said) for name, said in facts.items()}

    def aligned(self, clocks: Mapping[str, Mapping[str, float]]) -> None:
        """After a level: the offset of each clock, and the worst bound of all levels."""
        for name, clock in clocks.items():
            known = self._facts.setdefault(name, {})
            known["clock_offset_s"] = round(clock["offset_s"], 6)
            known["clock_bound_s"] = round(max(clock["bound_s"], known.get("clock_bound_s", 0.0)), 6)

    def facts(self) -> dict[str, Any]:
        """Fields for the client's part of the environment; none when all load came from this machine."""
        workers = [self._facts[name] for name in sorted(self._facts)]
        return {"processes": len(workers), "workers": workers} if workers else {}


def joining(event: Mapping[str, Any], address: str) -> str:
    """The state of the muster in words: ``1 of 2 load workers have joined 10.0.0.5:5557``."""
    text = f"{event['here']} of {event['of']} load workers have joined {address}"
    return f"{text}; refused {event['refused']}" if event.get("refused") else text
