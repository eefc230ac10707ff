"""What a live `/metrics` says: every series of the documentation's table, the running cost, the GPU."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.supervise.harness import QUICK, World, chat, get, kill, until, until_new_engine
from toolkit.supervise import api
from toolkit.supervise.metrics import Metrics
from toolkit.supervise.store import FORMAT, Spec
from toolkit.types import Deployment

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"
NVML = Path(__file__).parents[1] / "fakes" / "nvml"


def series(text: bytes) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def live(server: Deployment) -> dict[str, list[tuple[dict[str, str], float]]]:
    return series(get(server, "/metrics")[1])


@pytest.mark.slow
def test_every_series_of_the_page_is_there_and_the_cost_adds_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held = world.root / "nvml.json"
    held.write_text(json.dumps([[1, 7 * 2**30]]))
    monkeypatch.setenv("PYTHONPATH", str(NVML))
    monkeypatch.setenv("FAKE_NVML", str(held))
    spec = Spec(
        format=FORMAT, name="s", plan=world.plan(), host="127.0.0.1", port=0, limits=QUICK, cwd="/", usd_per_hour="7.2"
    )
    server = api.start_spec(spec.model_copy(update={"port": _free()}))
    first = server.pid
    assert chat(server, 20, stream=True)[0] == 200
    kill(first)
    server = until_new_engine(first)
    assert chat(server, 20, stream=True)[0] == 200
    until(lambda: "selfhost_usd_per_million_tokens" in live(server), 5)
    found = live(server)
    named = set(re.findall(r"`(selfhost_\w+)", PAGE.read_text()))
    absent = {name for name in named if name not in found and name + "_bucket" not in found}
    assert absent == {"selfhost_oom_steps_total", "selfhost_kv_cache_use_ratio"}, "no lack of memory; no such engine"
    assert [value for labels, value in found["selfhost_gpu_memory_used_bytes"]] == [7 * 2**30]
    assert [value for labels, value in found["selfhost_gpu_power_watts"]] == [100.0], "100,000 mW of the fake"
    tokens = sum(value for _, value in found["selfhost_tokens_total"])
    (((_, spent),), ((_, per_mtok),)) = found["selfhost_usd_spent"], found["selfhost_usd_per_million_tokens"]
    assert tokens >= 20
    assert per_mtok == pytest.approx(spent / tokens * 1e6, rel=0.01)
    assert 0 < spent < 7.2 * 60 / 3600, "less than a minute at $7.20 an hour"


@pytest.mark.slow
def test_tokens_are_counted_from_the_start_not_from_the_first_tick(world: World) -> None:
    """The first look comes with `ready`; at one look an hour there is no other in this test."""
    server = world.start(limits=QUICK.model_copy(update={"tick_s": 3600}))
    until(lambda: "selfhost_tokens_total" in live(server), 20)


def _free() -> int:
    from toolkit.supervise.preflight import free_port

    return free_port("127.0.0.1")


def test_no_price_no_dollars_and_no_token_no_rate() -> None:
    assert not [name for name in series(Metrics("s").text()) if "usd" in name]
    priced = Metrics("s", Decimal(1))
    found = series(priced.text())
    assert found["selfhost_usd_per_hour"] == [({"server": "s"}, 1.0)]
    assert "selfhost_usd_per_million_tokens" not in found
    assert priced.usd_per_mtok() is None


def test_tokens_from_before_this_supervisor_are_not_its_own() -> None:
    """An adopted engine has counted 1,000 tokens already; 30 more are 30."""
    metrics = Metrics("s")
    metrics.another_engine()
    metrics.continued()
    for total in (1000.0, 1030.0):
        metrics.engine_count("output", total)
    assert series(metrics.text())["selfhost_tokens_total"] == [({"server": "s", "kind": "output"}, 30.0)]
    metrics.another_engine()
    metrics.engine_count("output", 5.0)
    assert series(metrics.text())["selfhost_tokens_total"] == [({"server": "s", "kind": "output"}, 35.0)]
