"""What `plan` decides and `serve` reports."""

from __future__ import annotations

from typing import Any, Literal

from toolkit.types.common import Document, Frozen, Money
from toolkit.types.memory import MemoryPlan


class Rejection(Frozen):
    """A backend that was considered and why it was not chosen."""

    backend: str
    reason: str


class LaunchPlan(Document):
    """How to start the server. ``argv`` and ``env`` may hold ``{host} {port} {uds} {model}``, filled at launch.

    No secret is ever in ``argv`` or ``env``: the supervisor passes the key by ``key_env`` at launch.
    """

    kind: Literal["launch_plan"] = "launch_plan"
    backend: str
    argv: tuple[str, ...]
    env: dict[str, str] = {}
    model_path: str | None = None
    served_name: str
    health_path: str | None = "/health"
    max_in_flight: int | None = None
    """Requests the engine takes at once; the proxy queues the rest. None = no limit known."""
    engine_version: str | None = None
    reasons: tuple[str, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    memory: MemoryPlan | None = None


State = Literal[
    "stopped",
    "preflight",
    "starting",
    "loading",
    "warming",
    "ready",
    "degraded",
    "draining",
    "stopping",
    "backoff",
    "crash_loop",
    "fatal",
]


class LastExit(Frozen):
    """How the engine last ended: ``reason`` in words, exit code or signal number, ISO time."""

    reason: str
    code: int | None = None
    signal: int | None = None
    at: str


class Event(Frozen):
    """One line of a server's event log."""

    at: str
    what: str
    detail: str = ""


class Deployment(Document):
    """A served name, as `status` shows it. ``ready_s`` is the last load time, ``uptime_s`` since ready."""

    kind: Literal["status"] = "status"
    name: str
    state: State
    pid: int | None
    supervisor_pid: int | None
    backend: str
    base_url: str
    restarts: int
    last_exit: LastExit | None = None
    ready_s: float | None = None
    uptime_s: float | None = None
    in_flight: int = 0
    queued: int = 0
    output_tok_s: float | None = None
    """Tokens per second over the last look at the engine's own counter; None where it has none."""
    kv_use: float | None = None
    """Share of the KV cache in use, 0 to 1; None where the engine does not say."""
    usd_per_mtok: Money | None = None
    """Dollars per million tokens since the supervisor started, at the machine's price; None without one."""
    served_name: str = ""
    reason: str | None = None
    """Why it is in this state, where that needs words."""
    effective_config: dict[str, Any] = {}
    events: tuple[Event, ...] = ()


class StatusList(Document):
    """`status` without a name."""

    kind: Literal["status_list"] = "status_list"
    servers: tuple[Deployment, ...]
