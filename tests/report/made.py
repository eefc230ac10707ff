"""A made-up bench with the shape of a real one: a small queueing simulation, seeded, and its result document.

Users send one request after another to a server with a fixed number of places; each token takes longer the more
places are taken. The statistics are computed here, from these rows, without the code under test.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import date

from toolkit.load.rows import Row
from toolkit.types import BenchResult, Environment, Lengths, Level, Stat, Workload

SLO = "ttft_p95<500ms,itl_p95<60ms"
WORKLOAD = Workload(
    name="chat",
    description="a chat turn",
    input_tokens=Lengths(mean=400),
    output_tokens=Lengths(mean=120),
    source="made for tests",
    checked=date(2026, 11, 23),
)


def rows_of(users: Sequence[int] = (1, 2, 4, 8, 16), seconds: float = 12, places: int = 8, seed: int = 1) -> list[Row]:
    """Rows of one level per number of users, two seconds of warm-up each, levels one second apart."""
    draw = random.Random(seed)
    rows: list[Row] = []
    start = 0.0
    for level, n in enumerate(users):
        mine = _level(draw, level, n, start, seconds, places)
        rows += mine
        start = max(r.end_s for r in mine) + 1
    return sorted(rows, key=lambda r: r.sent_s)


def _level(draw: random.Random, level: int, users: int, start: float, seconds: float, places: int) -> list[Row]:
    free_users = [start + 0.02 * i for i in range(users)]
    free_places = [start] * places
    rows: list[Row] = []
    while True:
        user = min(range(users), key=free_users.__getitem__)
        sent = free_users[user]
        if sent > start + seconds:
            return rows
        place = min(range(places), key=free_places.__getitem__)
        begin = max(sent, free_places[place])
        busy = min(users, places)
        asked = draw.randint(60, 180)
        first = begin + 0.09 + 0.012 * busy + draw.expovariate(60)
        times, t = [first], first
        for _ in range(asked - 1):
            t += (0.016 + 0.0022 * busy) * draw.uniform(0.9, 1.15) + (0.2 if draw.random() < 0.002 else 0)
            times.append(t)
        failed = users >= 16 and draw.random() < 0.04
        if failed:
            times = times[: len(times) // 3]
        end = times[-1] + 0.001
        free_places[place] = free_users[user] = end
        rows.append(_row(level, len(rows), sent, times, end, start, asked, failed, draw))


def _row(level, number, sent, times, end, start, asked, failed, draw) -> Row:
    return Row(
        id=f"{level}-{number}",
        reply_id=None,
        level=level,
        warmup=sent < start + 2,
        worker=0,
        prompt_id=number,
        scheduled_s=sent,
        sent_s=sent,
        first_byte_s=times[0] - 0.001,
        first_token_s=times[0],
        first_answer_s=times[0],
        token_s=tuple(round(t, 6) for t in times),
        end_s=end,
        lag_s=draw.uniform(5e-5, 4e-4),
        shared=0,
        stamps="kernel",
        input_tokens=400,
        output_tokens=len(times),
        asked_output_tokens=asked,
        token_source="usage",
        events=len(times),
        status=200,
        error="stream_error" if failed else None,
        detail="the server said: out of memory" if failed else None,
        finish_reason=None if failed else "length",
    )


def stat(values: Sequence[float]) -> Stat | None:
    """Nearest-rank percentiles."""
    if not values:
        return None
    s = sorted(values)
    p = {f"p{q}": s[max(0, math.ceil(q / 100 * len(s)) - 1)] for q in (50, 90, 95, 99)}
    return Stat(n=len(s), mean=sum(s) / len(s), min=s[0], max=s[-1], **p)


def level_of(rows: Sequence[Row], index: int, users: int, slo: tuple[float, float] = (0.5, 0.06)) -> Level:
    """The figures of one level from its measured rows."""
    mine = [r for r in rows if r.level == index and not r.warmup]
    good = [r for r in mine if r.error is None]
    window = max(r.end_s for r in mine) - min(r.sent_s for r in mine)
    gaps = [b - a for r in good for a, b in zip(r.token_s, r.token_s[1:], strict=False)]
    ttft = stat([r.first_token_s - r.sent_s for r in good])
    itl = stat(gaps)
    out, into = sum(r.output_tokens for r in good), sum(r.input_tokens or 0 for r in good)
    met = [r for r in good if r.first_token_s - r.sent_s < slo[0]]
    paces = sorted((len(r.token_s) - 1) / (r.token_s[-1] - r.token_s[0]) for r in good)
    failed = len(mine) - len(good)
    return Level(
        concurrency=users,
        duration_s=window,
        requests=len(mine),
        completed=len(good),
        failed=failed,
        errors={"stream_error": failed} if failed else {},
        ttft_s=ttft,
        itl_s=itl,
        tpot_s=stat([(r.token_s[-1] - r.token_s[0]) / (len(r.token_s) - 1) for r in good]),
        e2e_s=stat([r.end_s - r.sent_s for r in good]),
        output_tokens=out,
        input_tokens=into,
        output_tok_s=out / window,
        input_tok_s=into / window,
        total_tok_s=(out + into) / window,
        request_s=len(good) / window,
        decode_tok_s_per_user=paces[len(paces) // 2],
        goodput_request_s=len(met) / window,
        goodput_output_tok_s=sum(r.output_tokens for r in met) / window,
        goodput_total_tok_s=sum(r.output_tokens + (r.input_tokens or 0) for r in met) / window,
        achieved_rate=len(mine) / window,
        client_lag_s=stat([r.lag_s for r in good if r.lag_s is not None]),
        client_busy=0.04 + 0.01 * index,
        slo_met=bool(ttft and itl and ttft.p95 < slo[0] and itl.p95 < slo[1]),
        token_source={"usage": len(good)},
        valid=True,
    )


def result_of(rows: Sequence[Row], users: Sequence[int] = (1, 2, 4, 8, 16), **changes: object) -> BenchResult:
    """The result document of those rows."""
    levels = tuple(level_of(rows, i, n) for i, n in enumerate(users))
    met = [lv for lv in levels if lv.slo_met]
    values: dict[str, object] = {
        "target": "http://127.0.0.1:8000/v1",
        "model": "SmolLM2-135M-Instruct",
        "workload": WORKLOAD,
        "slo": SLO,
        "seed": 1,
        "environment": Environment(
            at="2026-11-23T14:05:00+00:00",
            toolkit_version="0.1.0",
            command="selfhost bench smollm2-135m --concurrency 1,2,4,8,16 --duration 12s --warmup 2s",
            machine={
                "cpu": "AMD EPYC 9554",
                "cores": 2,
                "memory_bytes": 8 * 2**30,
                "gpus": [],
                "gpu_note": "no NVIDIA driver",
                "os": "Linux-6.1-x86_64",
            },
            engine={"backend": "llama-server", "version": "b6900", "argv": ["llama-server", "--parallel", "8"]},
            model_file={"path": "SmolLM2-135M-Instruct.Q4_1.gguf", "bytes": 98_000_000, "sha256": "5f" * 32},
            client={"processes": 1, "stamps": "kernel"},
        ),
        "levels": levels,
        "best_under_slo": max(met, key=lambda lv: lv.goodput_total_tok_s) if met else None,
    }
    return BenchResult.model_validate(values | changes)
