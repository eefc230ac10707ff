"""How far off is the load generator on this machine? Runs it against a server whose times are known.

The server (`bench/known_times.py`) logs when a request reached it and when it really wrote each token, so its own
lateness is no error of the client. Same code, same path as a real bench: one process, closed loop.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from toolkit.errors import EnvironmentFailedError
from toolkit.load.files import ROWS
from toolkit.load.progress import OnProgress
from toolkit.load.rows import Row, read_rows
from toolkit.load.run import run
from toolkit.load.slo import percentile
from toolkit.load.spec import BenchSpec, LoadLevel, endpoint
from toolkit.paths import data_root
from toolkit.types import CheckedLoad, Lengths, Level, SelfCheck, Workload

STREAMS = (16, 64, 256)
FIRST_S, GAP_S, TOKENS = 0.2, 0.02, 64
SECONDS, WARMUP_S = 3.0, 1.5
BARS = {"ttft_mean_ms": 1.0, "ttft_p99_ms": 3.0, "itl_p99_ms": 0.5, "throughput_share": 0.005}
"""The most that is allowed: the bars of the load test's own accuracy runs."""
START_S = 10.0


@dataclass(frozen=True)
class Truth:
    """What the server says of one answer, monotonic nanoseconds."""

    received_ns: int
    written_ns: Sequence[int]


def self_check(streams: Sequence[int] = STREAMS, on_progress: OnProgress | None = None) -> SelfCheck:
    """Measure the error at so many streams. Raises EnvironmentFailedError when the server does not start."""
    with tempfile.TemporaryDirectory(prefix="selfhost-check-") as folder, _server() as (url, truth_of):
        result = run(_spec(url, streams), Path(folder), on_progress)
        rows, truths = list(read_rows(Path(folder) / ROWS)), truth_of()
    loads = []
    for number, level in enumerate(result.levels):
        mine = [row for row in rows if row.level == number and not row.warmup and row.ok]
        loads.append(compare(level, mine, truths))
    return SelfCheck(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        bars=BARS,
        loads=tuple(loads),
        within_bars=len(loads) == len(streams) and all(load.within_bars for load in loads),
        interrupted=result.interrupted,
    )


def compare(level: Level, rows: Sequence[Row], truths: Mapping[str, Truth]) -> CheckedLoad:
    """The client's figures minus the server's: per request for TTFT, of the level's p99 for ITL, of its throughput."""
    found = [(row, truths[row.reply_id or ""]) for row in rows if row.reply_id in truths]
    if not found:
        return CheckedLoad(streams=level.concurrency or 0, requests=0, failed=level.failed, within_bars=False)
    ttft, ours, theirs = [], [], []
    for row, truth in found:
        real_s = (truth.written_ns[0] - truth.received_ns) / 1e9
        ttft.append((row.token_s[0] - row.sent_s - real_s) * 1e3)
        ours += [b - a for a, b in pairwise(row.token_s)]
        theirs += [(b - a) / 1e9 for a, b in pairwise(truth.written_ns)]
    begin, end = min(t.received_ns for _, t in found), max(t.written_ns[-1] for _, t in found)
    real_tok_s = sum(len(t.written_ns) for _, t in found) / ((end - begin) / 1e9)
    errors = {
        "ttft_mean_ms": math.fsum(ttft) / len(ttft),
        "ttft_p99_ms": percentile(sorted(map(abs, ttft)), 99),
        "itl_p99_ms": (percentile(sorted(ours), 99) - percentile(sorted(theirs), 99)) * 1e3,
        "throughput_share": level.output_tok_s / real_tok_s - 1,
    }
    within = all(abs(errors[name]) <= most for name, most in BARS.items()) and level.failed == 0
    return CheckedLoad(
        streams=level.concurrency or 0,
        requests=len(found),
        failed=level.failed,
        **errors,
        client_busy=level.client_busy,
        client_lag_p99_ms=level.client_lag_s.p99 * 1e3 if level.client_lag_s else None,
        within_bars=within,
    )


def _spec(url: str, streams: Sequence[int]) -> BenchSpec:
    workload = Workload(
        name="known-times",
        description="the check of the load generator",
        input_tokens=Lengths(mean=100),
        output_tokens=Lengths(mean=TOKENS),
        source="toolkit",
        checked=datetime.now(UTC).date(),
    )
    return BenchSpec(
        endpoint=endpoint(url),
        target=url,
        workload=workload,
        levels=tuple(LoadLevel(concurrency=n) for n in streams),
        duration_s=SECONDS,
        warmup_s=WARMUP_S,
    )


@contextmanager
def _server() -> Iterator[tuple[str, Callable[[], dict[str, Truth]]]]:
    script = data_root() / "bench" / "known_times.py"
    words = [sys.executable, "-I", str(script), str(FIRST_S), str(GAP_S)]
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        line = child.stdout.readline() if child.stdout else ""
        if not line.startswith("listening "):
            raise EnvironmentFailedError("the server of the self-check did not start")
        url = f"http://127.0.0.1:{int(line.split()[1])}"
        yield url, lambda: _truths(url)
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


def _truths(url: str) -> dict[str, Truth]:
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with straight.open(f"{url}/truth", timeout=START_S) as reply:
        document: dict[str, Any] = json.load(reply)
    return {name: Truth(**record) for name, record in document.items()}
