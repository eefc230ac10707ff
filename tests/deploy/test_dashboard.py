"""The dashboard's series are the engines' own names; for llama.cpp `test_run` looks at a real page of metrics."""

from __future__ import annotations

import json
import re

from tests.deploy.plans import made

VLLM_COUNTERS = {"generation_tokens", "prompt_tokens", "num_preemptions"}
VLLM_GAUGES = {"num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"}
VLLM_HISTOGRAMS = {"time_to_first_token_seconds", "inter_token_latency_seconds"}
"""Names in vLLM 0.32's `vllm/v1/metrics/loggers.py`, read 2026-11-24. A counter is shown with ``_total``."""


def test_every_series_is_one_that_vllm_has() -> None:
    text = made("vllm-1gpu", "kubernetes").files["monitoring/dashboard.json"]
    asked = set(re.findall(r"vllm:([a-z_]+)", text))
    assert asked == {f"{c}_total" for c in VLLM_COUNTERS} | VLLM_GAUGES | {f"{h}_bucket" for h in VLLM_HISTOGRAMS}


def test_panels_lie_beside_one_another_and_ask_the_chosen_source() -> None:
    for case in ("vllm-1gpu", "llama-gpu"):
        document = json.loads(made(case, "kubernetes").files["monitoring/dashboard.json"])
        places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in document["panels"]]
        assert len(set(places)) == len(places) == len({p["id"] for p in document["panels"]})
        assert all(t["datasource"]["uid"] == "${source}" for p in document["panels"] for t in p["targets"])
        for panel in document["panels"]:
            for target in panel["targets"]:
                assert target["expr"].count("(") == target["expr"].count(")")
                assert '{job=~"$job"}' in target["expr"]
        assert [v["name"] for v in document["templating"]["list"]] == ["source", "job"]
