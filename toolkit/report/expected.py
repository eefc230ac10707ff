"""A bench beside its prediction and the physical ceiling: the level whose load is nearest to the predicted one."""

from __future__ import annotations

from toolkit.cost.goodput import load_of
from toolkit.report import words
from toolkit.report.tables import Table
from toolkit.types import Band, BenchResult, Level, Prediction


def table(result: BenchResult) -> Table | None:
    """Measured, predicted with its interval, and ceiling; None where nothing was predicted."""
    pairs = _pairs(result)
    if not pairs:
        return None
    rows = [row for level, prediction in pairs for row in _rows(level, prediction, len(pairs) > 1)]
    p = pairs[0][1]
    of = f"{p.model} on {p.count} × {p.gpu}, {p.quant}, {p.engine}"
    if len(pairs) > 1:
        caption = f"Each number of users, measured, against the prediction for {of}."
    else:
        caption = f"{load_of(pairs[0][0])}, measured, against the prediction for {of} at {_load(p)}."
    return Table(caption, ("", "Measured", "Predicted (p10–p90)", "Ceiling", "Reads"), tuple(rows), {}, {}, 4)


def _pairs(result: BenchResult) -> list[tuple[Level, Prediction]]:
    """Levels and what was predicted of each; of a prediction that was given, the level of the nearest load."""
    if result.prediction is not None:
        level = level_of(result)
        return [(level, result.prediction)] if level else []
    of = {p.concurrency: p for p in result.predictions}
    return [(lv, of[lv.concurrency]) for lv in result.levels if lv.concurrency in of and lv.completed]


def _rows(level: Level, prediction: Prediction, several: bool) -> list[tuple[str, ...]]:
    each = level.decode_tok_s_per_user
    before = f"{load_of(level)}: " if several else ""
    first = level.ttft_s.p50 if level.ttft_s else None
    rows: list[tuple[str, ...]] = [
        (
            f"{before}output tokens/s, all users" if several else "Output tokens/s, all users",
            words.significant(level.output_tok_s),
            _band(prediction.output_tok_s),
            words.significant(prediction.ceiling_output_tok_s),
            _judged(level.output_tok_s, prediction.output_tok_s),
        ),
        (
            f"{before}tokens/s, each user" if several else "Tokens/s, each user",
            words.significant(each) if each is not None else words.UNKNOWN,
            _band(prediction.decode_tok_s_per_user),
            words.UNKNOWN,
            _judged(each, prediction.decode_tok_s_per_user),
        ),
    ]
    if first is not None and prediction.ttft_s is not None:
        rows.append(
            (
                f"{before}time to the first token, ms" if several else "Time to the first token, ms",
                words.significant(1e3 * first),
                _band(prediction.ttft_s, 1e3),
                words.UNKNOWN,
                _judged(first, prediction.ttft_s),
            )
        )
    return rows


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


def _band(band: Band, scale: float = 1) -> str:
    low, middle, high = (words.significant(scale * v) for v in (band.p10, band.p50, band.p90))
    return f"{middle} ({low}–{high})"


def _judged(value: float | None, band: Band) -> str:
    if value is None:
        return words.UNKNOWN
    return "below the interval" if value < band.p10 else "above the interval" if value > band.p90 else "within"
