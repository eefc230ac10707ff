"""Prometheus' alert rules for a deployed engine: by its own series, and by our proxy's where that stands before it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from toolkit.deploy.intent import Intent
from toolkit.deploy.text import header, yaml

FILE = "alerts.yml"
SLOW_S = 10
"""Assumed: the 95th percentile of the first token that users still bear."""
FULL = 0.95
"""Share of the KV cache above which requests push one another out."""
STALLED_S = 60
"""Busy seconds without progress; the proxy's own limit, at which the engine is ended, is longer."""
FAILED_SHARE = 0.05


@dataclass(frozen=True)
class Source:
    """Where the series come from: a matcher of this deployment's, and one of its engines alone."""

    all: str
    engines: str


def source(intent: Intent, port: str | None) -> Source:
    """Series of a job of that name; the Prometheus operator puts the namespace before it, and names the ``port``."""
    job = f'job=~"(.+/)?{intent.name}"'
    return Source(f"{{{job}}}", f'{{{job},endpoint="{port}"}}' if port else f"{{{job}}}")


def groups(intent: Intent, port: str | None = None) -> list[dict[str, Any]]:
    """The rules, as a rule file has them under ``groups`` and a PrometheusRule in its ``spec``."""
    where = source(intent, port)
    speed = _proxy(where.all, intent.name) if intent.options.sidecar else _engine(intent, where.all)
    return [{"name": intent.name, "rules": [*_up(intent, where.engines), *speed]}]


def file(intent: Intent) -> str:
    """A rule file, for a Prometheus that is configured by hand."""
    return yaml({"groups": groups(intent)}, top=header("Prometheus' alert rules; the limits are yours to change."))


def resource(intent: Intent, port: str) -> dict[str, Any]:
    """The same for the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": intent.name},
        "spec": {"groups": groups(intent, port)},
    }


def _rule(name: str, expr: str, minutes: int, summary: str, description: str, *, page: bool = False) -> dict[str, Any]:
    return {
        "alert": f"Llm{name}",
        "expr": expr,
        "for": f"{minutes}m",
        "labels": {"severity": "critical" if page else "warning"},
        "annotations": {"summary": summary, "description": description},
    }


def _up(intent: Intent, where: str) -> list[dict[str, Any]]:
    """Fewer engines than there should be, for longer than a start may take."""
    minutes, replicas = math.ceil(intent.resources.start_limit_s / 60), intent.options.replicas
    up = f"(sum(up{where}) or vector(0))"
    long = f"Longer than a start may take ({minutes} minutes), which is no alarm before that."
    found = [_rule("Gone", f"{up} == 0", minutes, f"No engine of {intent.name} answers", long, page=True)]
    if replicas > 1:
        words = f"{{{{ $value }}}} of {replicas} engines of {intent.name} answer"
        found.append(_rule("Fewer", f"0 < {up} < {replicas}", minutes, words, long))
    return found


def _queue(series: str, where: str, name: str) -> dict[str, Any]:
    return _rule(
        "Queue",
        f"sum by (job) (min_over_time({series}{where}[5m])) > 0",
        5,
        f"Requests to {name} have had to wait for ten minutes without a pause",
        "It is asked for more than it can do at once.",
    )


def _slow(series: str, where: str, name: str) -> dict[str, Any]:
    return _rule(
        "SlowFirstToken",
        f"histogram_quantile(0.95, sum by (job, le) (rate({series}_bucket{where}[5m]))) > {SLOW_S}",
        10,
        f"One request in twenty to {name} waits more than {SLOW_S} s for its first token",
        f"{SLOW_S} s is a guess at what your users bear: set your own.",
    )


def _engine(intent: Intent, where: str) -> list[dict[str, Any]]:
    if intent.engine == "llama.cpp":
        return [_queue("llamacpp:requests_deferred", where, intent.name)]
    full = _rule(
        "CacheFull",
        f"min_over_time(vllm:kv_cache_usage_perc{where}[5m]) > {FULL}",
        5,
        f"The KV cache of an engine of {intent.name} has been full for ten minutes",
        "Requests push one another out and are computed twice. Fewer at once or a smaller context helps.",
    )
    return [
        _queue("vllm:num_requests_waiting", where, intent.name),
        full,
        _slow("vllm:time_to_first_token_seconds", where, intent.name),
    ]


def _proxy(where: str, name: str) -> list[dict[str, Any]]:
    failed = f'sum by (job) (rate(selfhost_requests_total{where.replace("}", ",")}status=~"5.."}}[5m]))'
    stalled = _rule(
        "Stalled",
        f"selfhost_stall_seconds{where} > {STALLED_S}",
        1,
        f"An engine of {name} is busy and has made no progress for {{{{ $value | humanizeDuration }}}}",
        "Its liveness ends it at the proxy's own limit; many short stalls point to an overloaded machine.",
    )
    errors = _rule(
        "Errors",
        f"{failed} / sum by (job) (rate(selfhost_requests_total{where}[5m])) > {FAILED_SHARE}",
        5,
        f"{{{{ $value | humanizePercentage }}}} of the requests to {name} fail",
        "Of the last five minutes; answers 5xx of the engine and of the proxy.",
    )
    return [stalled, errors, _queue("selfhost_queued", where, name), _slow("selfhost_ttft_seconds", where, name)]
