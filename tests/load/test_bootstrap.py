"""The block bootstrap against textbook spreads, and Student's t against its printed table."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from tests.load.made import failed, row
from toolkit.load import bootstrap
from toolkit.load.metrics import values_of
from toolkit.load.rows import Row

TTFT = lambda r: values_of(r)["ttft"]  # noqa: E731  # a pick, like those of the module


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),
    # the t table of any textbook (e.g. NIST/SEMATECH e-Handbook, 1.3.6.7.2)
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 4, 2.776), (0.99, 30, 2.457), (0.999, 9, 4.297), (0.9, 100, 1.290)],
)
def test_students_t_is_the_printed_table(probability: float, freedom: int, quantile: float) -> None:
    assert bootstrap.t_quantile(probability, freedom) == pytest.approx(quantile, abs=0.0006)


def one_after_another(ttfts: list[float]) -> list[Row]:
    """One user: each request is sent when the last ended, 0.1 s after its first token."""
    rows, at = [], 0.0
    for ttft in ttfts:
        rows.append(row(at, (at + ttft, at + ttft + 0.1)))
        at += ttft + 0.1
    return rows


def test_blocks_hold_every_row_once_and_the_wall_time() -> None:
    rows = one_after_another([0.2] * 30)
    blocks = bootstrap.cut(rows)
    assert [r for part in blocks.rows for r in part] == rows
    assert sum(blocks.seconds) == pytest.approx(30 * 0.3)
    assert len(blocks.rows) == 30


def test_a_block_is_a_round_of_those_in_flight() -> None:
    """Four users in step, 12 rounds of one second: 12 blocks of 4."""
    rows = [row(float(i), (i + 0.5, i + 1.0), id=f"{i}-{u}") for i in range(12) for u in range(4)]
    blocks = bootstrap.cut(rows)
    assert [len(part) for part in blocks.rows] == [4] * 12
    assert blocks.seconds == pytest.approx([1.0] * 12)


def test_the_spread_of_a_mean_is_the_textbooks() -> None:
    """Independent values: the standard error is s/√n."""
    draw = random.Random(5)
    values = [draw.gauss(0.5, 0.1) for _ in range(50)]
    blocks = bootstrap.cut(one_after_another(values))
    found = bootstrap.mean_of(blocks, TTFT, bootstrap.draws(blocks, 1, 4000))
    assert found.value == pytest.approx(statistics.fmean(values))
    assert statistics.stdev(found.draws) == pytest.approx(statistics.pstdev(values) / math.sqrt(50), rel=0.08)


def test_the_spread_of_a_median_is_the_textbooks() -> None:
    """Of a normal distribution: 1.2533 s/√n for large n; blocks of 20 independent values."""
    draw = random.Random(6)
    values = [draw.gauss(1.0, 0.1) for _ in range(1000)]
    blocks = bootstrap.cut(one_after_another(values))
    assert len(blocks.rows) == bootstrap.MOST_BLOCKS
    found = bootstrap.percentile_of(blocks, TTFT, 50, bootstrap.draws(blocks, 2, 2000))
    assert found.value == pytest.approx(sorted(values)[499], abs=1e-9)
    assert statistics.stdev(found.draws) == pytest.approx(1.2533 * 0.1 / math.sqrt(1000), rel=0.35)


def test_a_server_like_clockwork_has_no_spread_of_throughput() -> None:
    """Eight users out of step, each answer exactly 0.8 s: eight ends take 0.8 s, but for the first, which are late."""
    rows = [row(u * 0.1 + k * 0.8, (u * 0.1 + k * 0.8 + 0.8,)) for u in range(8) for k in range(20)]
    blocks = bootstrap.cut(rows)
    assert [len(part) for part in blocks.rows] == [8] * 20
    assert blocks.seconds == pytest.approx([1.5, *[0.8] * 19])


def test_failures_count_as_a_share_and_in_no_latency() -> None:
    rows = [*one_after_another([0.2] * 18), failed(9.0, 9.1, "http_500"), failed(9.1, 9.2, "http_500")]
    blocks = bootstrap.cut(rows)
    weights = bootstrap.draws(blocks, 0)
    assert bootstrap.share_of(blocks, lambda r: not r.ok, weights).value == pytest.approx(0.1)
    assert bootstrap.mean_of(blocks, TTFT, weights).n == 18


def test_too_little_to_say_is_said() -> None:
    blocks = bootstrap.cut(one_after_another([0.2] * 60))
    weights = bootstrap.draws(blocks, 0)
    assert bootstrap.percentile_of(blocks, TTFT, 95, weights).why == "60 values, 100 are needed"
    short = bootstrap.cut(one_after_another([0.2] * 4))
    assert short.enough is False
    assert bootstrap.mean_of(short, TTFT, []).why == "4 rounds of requests, 5 are needed"
    assert bootstrap.cut([]).enough is False
