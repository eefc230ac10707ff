"""A Grafana dashboard of an engine's own metrics, for the targets where no proxy of ours stands before it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA_VERSION = 39
"""Of Grafana 11; newer ones bring older dashboards forward."""
JOB = '{job=~"$job"}'
WINDOW = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """One chart: its queries by legend, and their unit in Grafana's words."""

    title: str
    unit: str
    queries: dict[str, str]


def _rate(series: str) -> str:
    return f"sum(rate({series}{JOB}{WINDOW}))"


def _quantile(q: float, histogram: str) -> str:
    return f"histogram_quantile({q}, sum by (le) (rate({histogram}_bucket{JOB}{WINDOW})))"


def _times(histogram: str) -> dict[str, str]:
    return {"p50": _quantile(0.5, histogram), "p95": _quantile(0.95, histogram), "p99": _quantile(0.99, histogram)}


VLLM = (
    Panel(
        "Tokens per second",
        "short",
        {"out": _rate("vllm:generation_tokens_total"), "in": _rate("vllm:prompt_tokens_total")},
    ),
    Panel(
        "Requests",
        "short",
        {"running": f"sum(vllm:num_requests_running{JOB})", "waiting": f"sum(vllm:num_requests_waiting{JOB})"},
    ),
    Panel("Time to first token", "s", _times("vllm:time_to_first_token_seconds")),
    Panel("Time between tokens", "s", _times("vllm:inter_token_latency_seconds")),
    Panel("KV cache in use", "percentunit", {"{{pod}}{{instance}}": f"vllm:kv_cache_usage_perc{JOB}"}),
    Panel("Preemptions per second", "short", {"preempted": _rate("vllm:num_preemptions_total")}),
)
LLAMA = (
    Panel(
        "Tokens per second",
        "short",
        {"out": _rate("llamacpp:tokens_predicted_total"), "in": _rate("llamacpp:prompt_tokens_total")},
    ),
    Panel(
        "Requests",
        "short",
        {
            "running": f"sum(llamacpp:requests_processing{JOB})",
            "waiting": f"sum(llamacpp:requests_deferred{JOB})",
        },
    ),
    Panel("Busy slots per step", "short", {"{{pod}}{{instance}}": f"llamacpp:n_busy_slots_per_decode{JOB}"}),
    Panel("Steps per second", "short", {"steps": _rate("llamacpp:n_decode_total")}),
)
PANELS = {"vllm": VLLM, "llama.cpp": LLAMA}


def render(engine: Literal["vllm", "llama.cpp"], name: str) -> str:
    """The dashboard as JSON, which Grafana reads from a file or a ConfigMap."""
    source = {"type": "prometheus", "uid": "${source}"}
    variables = [
        {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"},
        {
            "name": "job",
            "type": "query",
            "datasource": source,
            "query": {"query": f"label_values({_first_series(engine)}, job)", "refId": "job"},
            "includeAll": True,
            "multi": True,
            "current": {"text": "All", "value": "$__all"},
        },
    ]
    document = {
        "title": f"selfhost: {name}",
        "uid": f"selfhost-{name}"[:40],
        "schemaVersion": SCHEMA_VERSION,
        "tags": ["selfhost", "llm"],
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables},
        "panels": [_panel(number, panel, source) for number, panel in enumerate(PANELS[engine])],
    }
    return json.dumps(document, indent=1) + "\n"


def _first_series(engine: Literal["vllm", "llama.cpp"]) -> str:
    return "vllm:num_requests_running" if engine == "vllm" else "llamacpp:requests_processing"


def _panel(number: int, panel: Panel, source: dict[str, str]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + n), "datasource": source, "expr": expression, "legendFormat": legend}
        for n, (legend, expression) in enumerate(panel.queries.items())
    ]
    return {
        "id": number + 1,
        "title": panel.title,
        "type": "timeseries",
        "datasource": source,
        "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }
