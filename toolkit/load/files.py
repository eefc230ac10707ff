"""The files of a bench: `result.json`, `summary.csv` and the rows of `requests.jsonl`."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from toolkit.errors import EnvironmentFailedError
from toolkit.types import BenchResult, Level

RESULT = "result.json"
ROWS = "requests.jsonl"
SUMMARY = "summary.csv"
_PLAIN_TEXT = """
    concurrency rate duration_s requests completed failed output_tok_s input_tok_s total_tok_s request_s
    decode_tok_s_per_user steady_output_tok_s goodput_request_s goodput_output_tok_s goodput_total_tok_s
    achieved_rate asked_rate client_busy slo_met valid why_invalid
"""
_PLAIN = tuple(_PLAIN_TEXT.split())
_STATS = ("ttft_s", "ttfat_s", "itl_s", "tpot_s", "e2e_s", "queue_delay_s", "service_ttft_s", "client_lag_s")
_QUANTILES = ("mean", "p50", "p90", "p95", "p99", "min", "max")


def open_folder(out: Path) -> None:
    """Make the folder, and make sure that it can be written. Raises EnvironmentFailedError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ROWS).write_bytes(b"")
    except OSError as error:
        raise EnvironmentFailedError(f"cannot write into {out}: {error.strerror or error}") from error


def write_result(out: Path, result: BenchResult) -> None:
    """Write `result.json` and `summary.csv`."""
    try:
        (out / RESULT).write_text(result.model_dump_json(by_alias=True, indent=1) + "\n")
        (out / SUMMARY).write_text(summary(result))
    except OSError as error:
        raise EnvironmentFailedError(f"cannot write into {out}: {error.strerror or error}") from error


def summary(result: BenchResult) -> str:
    """One CSV line a level; the statistics in columns of their own, ``ttft_s_p95``."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*_PLAIN, *(f"{stat}_{q}" for stat in _STATS for q in _QUANTILES)])
    for level in result.levels:
        lines.writerow([*(_cell(getattr(level, name)) for name in _PLAIN), *_quantiles(level)])
    return text.getvalue()


def _quantiles(level: Level) -> list[str]:
    stats = [getattr(level, name) for name in _STATS]
    return [_cell(getattr(stat, q) if stat else None) for stat in stats for q in _QUANTILES]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
