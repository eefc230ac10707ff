"""A bench beside its prediction and the physical ceiling: the level whose load is nearest to the predicted one."""

from __future__ import annotations

from toolkit.cost.goodput import load_of
from toolkit.report import words
from toolkit.report.tables import Table
from toolkit.types import Band, BenchResult, Level, Prediction


def table(result: BenchResult) -> Table | None:
    """Measured, predicted with its interval, and ceiling; None where nothing was predicted."""
    prediction = result.prediction
    level = level_of(result) if prediction else None
    if prediction is None or level is None:
        return None
    each = level.decode_tok_s_per_user
    rows = [
        (
            "Output tokens/s, all users",
            words.significant(level.output_tok_s),
            _band(prediction.output_tok_s),
            words.significant(prediction.ceiling_output_tok_s),
            _judged(level.output_tok_s, prediction.output_tok_s),
        ),
        (
            "Tokens/s, each user",
            words.significant(each) if each is not None else words.UNKNOWN,
            _band(prediction.decode_tok_s_per_user),
            words.UNKNOWN,
            _judged(each, prediction.decode_tok_s_per_user),
        ),
    ]
    of = f"{prediction.model} on {prediction.count} × {prediction.gpu}, {prediction.quant}, {prediction.engine}"
    caption = f"{load_of(level)}, measured, against the prediction for {of} at {_load(prediction)}."
    return Table(caption, ("", "Measured", "Predicted (p10–p90)", "Ceiling", "Reads"), tuple(rows), {}, {}, 4)


def level_of(result: BenchResult) -> Level | None:
    """The closed-loop level nearest to the predicted load; the one of most tokens/s for a prediction of the most."""
    levels = [lv for lv in result.levels if lv.concurrency is not None and lv.completed]
    if not levels or result.prediction is None:
        return None
    wanted = result.prediction.concurrency
    if wanted is None:
        return max(levels, key=lambda lv: lv.output_tok_s)
    return min(levels, key=lambda lv: abs((lv.concurrency or 0) - wanted))


def _load(prediction: Prediction) -> str:
    return words.count(prediction.concurrency, "user") if prediction.concurrency else "as many users as fit"


def _band(band: Band) -> str:
    return f"{words.significant(band.p50)} ({words.significant(band.p10)}–{words.significant(band.p90)})"


def _judged(value: float | None, band: Band) -> str:
    if value is None:
        return words.UNKNOWN
    return "below the interval" if value < band.p10 else "above the interval" if value > band.p90 else "within"
