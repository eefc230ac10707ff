"""How far off is the client? Compares its rows with the mock server's own log, stream by stream.

Run by hand: ``python -m tests.accuracy.client_accuracy [--streams 16,128,256] [--repeat 1]``. The mock writes the
first token 200 ms after a request came in and one every 20 ms after that; what counts is when it really wrote them.
The bars (one process, the mock on the other core of a 2-core machine): TTFT error ≤ 1 ms on average and ≤ 3 ms at
p99 with 256 streams, ITL p99 error ≤ 0.5 ms, throughput error ≤ 0.5 %, ≤ 4 CPU seconds per 10 s, start-up ≤ 2 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from tests.load.mock import Mock, spec, workload
from toolkit.load.progress import Progress
from toolkit.load.rows import Row, read_rows
from toolkit.load.run import run

TOKENS = 64
SECONDS = 10.0


def p99(values: list[float]) -> float:
    return sorted(values)[max(0, -(-99 * len(values) // 100) - 1)]


def compare(rows: list[Row], truths: dict) -> dict[str, float]:
    """Errors of the client in milliseconds: its figure minus the mock's, per stream and per gap."""
    ttft, gap_errors, ours, theirs = [], [], [], []
    for row in rows:
        truth = truths[row.reply_id]
        written = [t / 1e9 for t in truth["tokens_ns"]]
        ttft.append((row.token_s[0] - row.sent_s - (written[0] - truth["received_ns"] / 1e9)) * 1e3)
        mine = [b - a for a, b in pairwise(row.token_s)]
        real = [b - a for a, b in pairwise(written)]
        gap_errors += [abs(a - b) * 1e3 for a, b in zip(mine, real, strict=True)]
        ours += mine
        theirs += real
    begin = min(truths[row.reply_id]["received_ns"] for row in rows)
    end = max(truths[row.reply_id]["tokens_ns"][-1] for row in rows)
    tokens = sum(len(truths[row.reply_id]["tokens_ns"]) for row in rows)
    return {
        "ttft_mean": statistics.mean(ttft),
        "ttft_p99": p99([abs(e) for e in ttft]),
        "gap_p99": p99(gap_errors),
        "itl_p99": abs(p99(ours) - p99(theirs)) * 1e3,
        "true_tok_s": tokens / ((end - begin) / 1e9),
        "n": len(rows),
    }


def measure(streams: int, out: Path) -> str:
    with Mock() as mock:
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(mock.pid, {0})
        mock.set(ttft_s=0.2, itl_s=0.02)
        began = time.perf_counter()
        seen: list[float] = []

        def on_progress(progress: Progress) -> None:
            if progress.stage != "prepare" and not seen:
                seen.append(time.perf_counter() - began)

        asked = spec(mock.url, concurrency=(streams,), duration_s=SECONDS, warmup_s=2.0, workload=workload(64, TOKENS))
        mock.truth()
        result = run(asked, out, on_progress)
        truths = mock.truth()
    rows = [row for row in read_rows(out / "requests.jsonl") if not row.warmup]
    level, found = result.levels[0], compare([r for r in rows if r.ok], truths)
    throughput = (level.output_tok_s / found["true_tok_s"] - 1) * 100
    cells = [f"{streams}", f"{found['n']:.0f}", f"{found['ttft_mean']:+.3f}", f"{found['ttft_p99']:.3f}"]
    cells += [f"{found['itl_p99']:.3f}", f"{found['gap_p99']:.3f}", f"{throughput:+.2f} %"]
    cells += [f"{level.output_tok_s:,.0f}", f"{(level.client_busy or 0) * 10:.2f}", f"{seen[0]:.2f}"]
    cells += [f"{level.client_lag_s.p99 * 1e3:.1f}", f"{level.failed}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", default="16,128,256")
    parser.add_argument("--repeat", type=int, default=1)
    asked = parser.parse_args()
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    print("| streams | requests | TTFT error mean ms | p99 | ITL p99 error | gap error p99 | throughput error "
          "| tokens/s | CPU s per 10 s | start-up s | lag p99 ms | failed |")  # fmt: skip
    print("|" + "---|" * 12)
    for streams in map(int, asked.streams.split(",")):
        for _ in range(asked.repeat):
            with tempfile.TemporaryDirectory() as folder:
                print(measure(streams, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
