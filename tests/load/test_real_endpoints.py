"""Completions, embeddings and the metrics page of a real `llama-server` with the embedded model."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.compare.batched_bench import Shape, embedded_model, server
from tests.load.mock import spec, workload
from toolkit.load.run import run
from toolkit.load.spec import TimeLimits

pytestmark = [pytest.mark.real, pytest.mark.slow]
ASKED = {"workload": workload(96, 24), "duration_s": 4, "warmup_s": 1, "limits": TimeLimits()}


def test_completions_are_counted_and_the_servers_page_is_read(tmp_path: Path) -> None:
    shape = Shape(embedded_model(), batch=2, input_tokens=96, output_tokens=24, threads=1)
    with server(shape, "--metrics") as url:
        found = run(spec(url, concurrency=(4,), kind="completions", prompt_cache=False, **ASKED), tmp_path)
    (level,) = found.levels
    assert level.failed == 0
    assert level.completed >= 2
    assert level.token_source == {"usage": level.completed}
    assert level.output_tokens == 24 * level.completed
    assert level.input_tokens == pytest.approx(96 * level.completed, rel=0.06)
    assert level.ttft_s is not None
    assert level.server is not None
    assert level.server.source == "llama.cpp"
    assert level.server.running is not None
    assert level.server.running.max == 2  # slots
    assert level.server.queued is not None
    assert level.server.queued.max == 2  # the other two users
    assert level.server.cpu_cores is not None
    assert 0.5 < level.server.cpu_cores < 2.1


def test_embeddings_of_a_real_server(tmp_path: Path) -> None:
    shape = Shape(embedded_model(), batch=2, input_tokens=96, output_tokens=24, threads=1)
    with server(shape, "--embeddings", "--pooling", "mean") as url:
        found = run(spec(url, concurrency=(2,), kind="embeddings", **ASKED), tmp_path)
    (level,) = found.levels
    assert (level.failed, level.errors) == (0, {})
    assert level.completed >= 4
    assert level.token_source == {"usage": level.completed}
    assert level.input_tokens == pytest.approx(96 * level.completed, rel=0.06)
    assert (level.ttft_s, level.itl_s, level.output_tokens) == (None, None, 0)
    assert level.e2e_s is not None
    assert level.input_tok_s == pytest.approx(level.input_tokens / level.duration_s)
