"""The load test on a real vLLM: lengths, counts, and what its metrics page says meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.load.mock import spec, workload
from tests.vllm.engine import Bare
from toolkit.load.run import run
from toolkit.load.spec import TimeLimits
from toolkit.types import EndpointKind

pytestmark = pytest.mark.vllm


@pytest.mark.parametrize("kind", ["chat", "completions"])
def test_a_bench_of_vllm(kind: EndpointKind, bare: Bare, tmp_path: Path) -> None:
    asked = {"workload": workload(128, 32), "duration_s": 8, "warmup_s": 2, "limits": TimeLimits()}
    found = run(spec(bare.url, concurrency=(2,), kind=kind, **asked), tmp_path)
    (level,) = found.levels
    assert found.environment.engine["name"] == "vllm"
    assert (level.failed, level.errors) == (0, {})
    assert level.completed >= 4
    assert level.token_source == {"usage": level.completed}
    assert level.output_tokens == 32 * level.completed  # ignore_eos is sent to vLLM
    assert level.input_tokens == pytest.approx(128 * level.completed, rel=0.05)
    assert level.ttft_s is not None
    assert level.itl_s is not None
    seen = level.server
    assert seen is not None
    assert seen.source == "vllm"
    assert seen.running is not None
    assert seen.running.max == 2
    assert seen.queued is not None
    assert seen.kv_use is not None
    assert 0 < seen.kv_use.max < 0.1  # two of 160 tokens in a cache of 46,592
    assert seen.preemptions == 0
    assert seen.prefix_hit_share is not None
    assert 0 <= seen.prefix_hit_share < 0.5  # every prompt begins differently
    assert seen.cpu_cores is not None
    assert seen.cpu_cores > 0.3
    assert any(json.loads(line).get("kv_use") for line in (tmp_path / "server.jsonl").read_text().splitlines())
