"""A prediction corrected by what a bench measured of the same model and engine: a point, then projected from there.

How much of a measured deviation holds at another load is itself calibrated (`constants.CARRY`): most of it on the same
devices, half on another number of them. On published measurements the deviation on one kind of device says nothing
of another, so other devices stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.predict import constants
from toolkit.types import Band, BenchResult, Level, Prediction

SAME_LOAD = 0.1
"""Loads that differ by less than this (logarithms of users, prompt and answer, summed) are one load."""
SAME, OTHER_COUNT = "same devices", "other count"
"""Places as `constants.CARRY` names them."""
REPEATED = (-0.12, 0.12)
"""80 % interval of one load measured again, in logarithms: another build of an engine differs by 6–14 %."""


@dataclass(frozen=True)
class Point:
    """One measured load beside what had been expected of it; deviations are log(measured / expected)."""

    expected: Prediction
    speed: float
    first: float | None
    told: str
    """Which bench, in words."""


def points(result: BenchResult, told: str) -> tuple[Point, ...]:
    """What a bench says of its predictions: its valid levels that ran at a predicted number of users."""
    found = []
    for prediction in (*result.predictions, *((result.prediction,) if result.prediction else ())):
        level = next((lv for lv in result.levels if lv.valid and _is(lv, prediction)), None)
        if level is not None and level.output_tok_s > 0:
            measured = level.ttft_s.p50 if level.ttft_s else None
            first = math.log(measured / prediction.ttft_s.p50) if measured and prediction.ttft_s else None
            found.append(Point(prediction, math.log(level.output_tok_s / prediction.output_tok_s.p50), first, told))
    return tuple(found)


def _is(level: Level, prediction: Prediction) -> bool:
    return level.concurrency is not None and level.concurrency == prediction.concurrency and level.completed > 0


def correct(p: Prediction, known: Sequence[Point]) -> Prediction:
    """The prediction moved by the nearest measured load of this model and engine; as it is where there is none."""
    usable = [(_place(p, point.expected), _distance(p, point.expected), i) for i, point in enumerate(known)]
    near = [(place != SAME, distance, i, place) for place, distance, i in usable if place]
    if not near:
        return p
    _, distance, i, place = min(near)
    point = known[i]
    exact = place == SAME and distance < SAME_LOAD
    speed = constants.CARRY[place]
    factor, band = (math.exp(point.speed), REPEATED) if exact else (math.exp(speed[0] * point.speed), speed[1:])
    first = p.ttft_s
    if first and point.first is not None:
        share, *width = (1.0, *REPEATED) if exact else constants.CARRY[f"{place}, ttft"]
        first = _moved(first, math.exp(share * point.first), (width[0], width[1]))
    users = point.expected.concurrency
    return p.model_copy(
        update={
            "output_tok_s": _moved(p.output_tok_s, factor, band),
            "decode_tok_s_per_user": _moved(p.decode_tok_s_per_user, factor, band),
            "tpot_s": _moved(p.tpot_s, 1 / factor, (-band[1], -band[0])),
            "ttft_s": first,
            "basis": "measured" if exact else "projected",
            "how": f"from {users} at once on {point.expected.gpu} in {point.told}; {p.how}",
            "uncorrected_output_tok_s": p.output_tok_s.p50,
        }
    )


def _place(p: Prediction, measured: Prediction) -> str | None:
    """Whether that was on these devices, on another number of them, or says nothing of this."""
    if (p.model, p.engine, p.quant, p.gpu) != (measured.model, measured.engine, measured.quant, measured.gpu):
        return None
    return SAME if (p.count, p.tp) == (measured.count, measured.tp) else OTHER_COUNT


def _distance(p: Prediction, measured: Prediction) -> float:
    """How far apart two loads are: logarithms of users, prompt and answer, summed."""
    users = abs(math.log(max(1.0, p.running) / max(1.0, measured.running)))
    lengths = ((p.input_len, measured.input_len), (p.output_len, measured.output_len))
    return users + sum(abs(math.log(max(1, a) / max(1, b))) for a, b in lengths)


def _moved(band: Band, factor: float, width: tuple[float, float]) -> Band:
    middle = band.p50 * factor
    return Band(p10=middle * math.exp(width[0]), p50=middle, p90=middle * math.exp(width[1]))
