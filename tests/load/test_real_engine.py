"""The bench on a real `llama-server` with the embedded model."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from bench.compare.batched_bench import Shape, compare, embedded_model, server
from tests.load.mock import spec, workload
from toolkit.load.rows import read_rows
from toolkit.load.run import run
from toolkit.load.spec import TimeLimits

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_every_answer_is_counted_and_as_long_as_asked(tmp_path: Path) -> None:
    shape = Shape(embedded_model(), batch=2, input_tokens=96, output_tokens=24, threads=1)
    with server(shape) as url:
        asked = {"workload": workload(96, 24), "duration_s": 4, "warmup_s": 1, "limits": TimeLimits()}
        result = run(spec(url, concurrency=(1, 2), prompt_cache=False, **asked), tmp_path)
    assert result.environment.engine["name"] == "llama.cpp"
    for level in result.levels:
        assert level.failed == 0
        assert level.completed >= 2
        assert level.token_source == {"usage": level.completed}
    rows = list(read_rows(tmp_path / "requests.jsonl"))
    for row in rows:
        assert row.output_tokens == 24
        assert row.events in (23, 24)  # a token that is half a character waits for the next
        assert row.input_tokens == pytest.approx(96, rel=0.08)
        assert row.stamps == "kernel"
        assert all(a <= b for a, b in pairwise(row.token_s))
    given = [row.input_tokens or 0 for row in rows]
    assert sum(given) / len(given) == pytest.approx(96, rel=0.05)


def test_throughput_is_what_llama_cpps_own_benchmark_finds() -> None:
    """Within 20 % of B·TG/(T_pp + T_tg), the runs in turns."""
    found = compare(
        Shape(embedded_model(), batch=2, input_tokens=128, output_tokens=64, threads=1), repeats=3, rounds=2
    )
    assert found["ratio"] == pytest.approx(1.0, abs=0.2), found
