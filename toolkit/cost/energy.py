"""What a bench tells about energy: joules by a counter of the GPUs, else of the processor, over half a minute."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from toolkit.types import Level

MIN_S = 30
"""A counter's steps and the ramp of the power blur a shorter run."""


@dataclass(frozen=True)
class Measured:
    """Mean power of one replica's GPUs under load (without any: of its processor); joules per token, input + output."""

    watts: Decimal
    joules_per_token: float
    how: str


def measured(level: Level) -> Measured | None:
    """The energy of a level; None where nothing was read, or for too short a time: unknown, not zero."""
    energy = level.energy
    if energy is None or energy.watts is None or energy.joules_per_token is None or level.duration_s < MIN_S:
        return None
    by = "its energy counter" if energy.how == "counter" else "the integral of its power"
    how = f"NVML, {by}, over {level.duration_s:.0f} s; GPUs only, without the rest of the server"
    if energy.source == "rapl":
        how = f"RAPL, over {level.duration_s:.0f} s; processor packages only, with all that ran on the machine"
    return Measured(Decimal(str(energy.watts.mean)), energy.joules_per_token, how)
