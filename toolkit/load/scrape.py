"""A server's own account of its load: the few series we understand of its Prometheus page.

vLLM's names are those of `vllm/v1/metrics/loggers.py` (0.32; the ``gpu_`` spellings are of releases before 0.10),
llama-server's those of its ``/metrics`` (only with ``--metrics``), ``selfhost_`` those of our own proxy.
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from toolkit.errors import InputError
from toolkit.load.proxy import Way
from toolkit.load.spec import Endpoint

TIMEOUT_S = 1.0
MAX_BYTES = 4 * 2**20
_LINE = re.compile(
    r"(?P<name>(?:vllm:|llamacpp:|selfhost_)\w+|process_start_time_seconds)(?:\{[^}]*\})?\s+(?P<value>\S+)"
)

_RUNNING = ("vllm:num_requests_running", "llamacpp:requests_processing")
_WAITING = ("vllm:num_requests_waiting", "llamacpp:requests_deferred")
_KV = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "llamacpp:kv_cache_usage_ratio")
_PREEMPTIONS = ("vllm:num_preemptions_total",)
_HITS = ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total")
_QUERIES = ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total")
_DONE = ("vllm:prompt_tokens_total", "llamacpp:prompt_tokens_total")
_STARTED = ("process_start_time_seconds",)
_ENGINES = {"vllm:": "vllm", "llamacpp:": "llama.cpp", "selfhost_": "selfhost"}


@dataclass(frozen=True)
class Reading:
    """One look at a server. Requests are counts, ``kv_use`` a share 0…1, the last four totals since its start."""

    source: str
    running: float | None = None
    queued: float | None = None
    """Waiting in the engine, and in our proxy in front of it."""
    kv_use: float | None = None
    preemptions: float | None = None
    prefix_hit_tokens: float | None = None
    prefix_asked_tokens: float | None = None
    restarts: float | None = None
    """By our own proxy."""
    prompt_tokens: float | None = None
    """Read since the engine's start: a total that falls tells of a new one."""
    started_at: float | None = None
    """Unix seconds at which the server's process began, as Prometheus's client libraries tell it."""


def read(text: str) -> Reading | None:
    """What a metrics page says; None when it has none of the series we know."""
    series: dict[str, list[float]] = {}
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is not None:
            value = _number(found["value"])
            if value is not None:
                series.setdefault(found["name"], []).append(value)
    engine = next((name for mark, name in _ENGINES.items() if any(key.startswith(mark) for key in series)), None)
    if engine is None:
        return None

    def pick(names: Iterable[str], join: Callable[[list[float]], float] = sum) -> float | None:
        return next((join(series[name]) for name in names if name in series), None)

    proxied = any(key.startswith("selfhost_") for key in series)
    behind, before = pick(_WAITING), pick(("selfhost_queued",))
    return Reading(
        source=engine,
        running=pick((*_RUNNING, "selfhost_in_flight")),
        queued=None if behind is None and before is None else (behind or 0.0) + (before or 0.0),
        kv_use=pick(_KV, max),
        preemptions=pick(_PREEMPTIONS),
        prefix_hit_tokens=pick(_HITS),
        prefix_asked_tokens=pick(_QUERIES),
        restarts=pick(("selfhost_restarts_total",)) or (0.0 if proxied else None),  # no series before the first
        prompt_tokens=pick(_DONE),
        started_at=pick(_STARTED, max),
    )


def _body(reply: http.client.HTTPResponse) -> bytes | None:
    """The whole body, or None of one that is too long or takes too long."""
    body, limit = bytearray(), time.monotonic() + TIMEOUT_S
    while piece := reply.read1(1 << 16):
        body += piece
        if len(body) > MAX_BYTES or time.monotonic() > limit:
            return None
    return bytes(body)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def fetch(endpoint: Endpoint, key: str | None) -> Reading | None:
    """Scrape the server's page, one connection, bounded in time and size; None whenever that does not work."""
    try:
        way = Way(endpoint, TIMEOUT_S)
    except InputError:
        return None
    connection = way.connection
    headers = {"Accept": "text/plain", **way.headers, **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        path = re.sub(r"/v\d+\w*$", "", endpoint.base_path) + "/metrics?engine=1"
        connection.request("GET", way.target(path), headers=headers)
        reply = connection.getresponse()
        if reply.status != 200:
            return None
        text = _body(reply)
        return None if text is None else read(text.decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
