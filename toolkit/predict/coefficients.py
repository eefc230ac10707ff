"""From the calibrated effects to the constants of one engine on one class of device.

Each constant is a product, ``exp(base + effect of the engine + effect of the device class + …)``, squeezed below one
where it is a share of a peak. An effect that was
never calibrated is zero, so an unknown device class or engine gets the middle of the known ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from toolkit.predict.physics import Constants, Question

QUANTITIES = (
    "bandwidth", "cache", "compute", "prefill", "layer_s", "sequence_s", "reduce_s", "link", "start_s",
    "admit_s", "queue", "traffic", "stage_s",
)  # fmt: skip

SHARES = ("bandwidth", "cache", "compute")
"""Constants that are shares of a data-sheet rate, kept below one so that nothing beats its ceiling."""


def share(x: float) -> float:
    """The product as it is while it is well below one, and never above one."""
    below: float = x / (1 + x**8) ** 0.125
    return below


def tags(q: Question) -> dict[str, tuple[str, ...]]:
    """The effects that apply to each constant of this question, by name."""
    engine, kind, arch = f"{q.engine.family}/{q.engine.era}", q.device.kind, q.device.arch
    family = q.engine.family
    fmt = q.fmt.kind + ("" if q.device.peak(q.fmt)[1] else "/emulated")
    mixture = ("mixture",) if q.model.experts else ()
    link = "fast" if q.device.fast_link else "slow"
    many = (f"{link} of many",) if q.tp > 2 else ()
    full = (f"{engine}·{'max' if q.uniform else 'at once'}",) if q.concurrency is None else ()
    return {
        "bandwidth": (family, engine, kind, arch, fmt, f"{engine}·{kind}", f"{family}·{fmt}", *mixture),
        "cache": (engine, kind),
        "compute": (engine, kind, arch, fmt, *mixture, *full),
        "prefill": (engine, kind, fmt, f"{family}·{fmt}", *mixture),
        "layer_s": (engine, kind, *mixture),
        "sequence_s": (engine, kind, arch, *mixture, *full),
        "reduce_s": (link, engine, *many),
        "link": (link, *many),
        "start_s": (engine, *mixture, *(f"{engine}·{m}" for m in mixture)),
        "admit_s": (engine, *mixture),
        "queue": (engine,),
        "traffic": (engine, kind, *mixture, *full),
        "stage_s": (family,),
    }


def constants(q: Question, effects: Mapping[str, float]) -> Constants:
    """The constants of this question: ``effects`` maps ``quantity`` and ``quantity|tag`` to natural logarithms."""
    by_quantity = {
        quantity: math.exp(effects[quantity] + sum(effects.get(f"{quantity}|{tag}", 0.0) for tag in names))
        for quantity, names in tags(q).items()
    }
    return Constants(**{name: share(x) if name in SHARES else x for name, x in by_quantity.items()})
