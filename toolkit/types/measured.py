"""What `bench` measured."""

from __future__ import annotations

from typing import Any, Literal

from toolkit.types.common import Document, Frozen
from toolkit.types.predicted import Prediction
from toolkit.types.profiles import Workload

EndpointKind = Literal["chat", "completions", "embeddings"]
"""Which path of an OpenAI-compatible server is loaded."""


class Stat(Frozen):
    """Exact percentiles (nearest rank) of one flat list of seconds; ``n`` values."""

    n: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    min: float
    max: float


class Gauge(Frozen):
    """Mean and maximum of what was seen over a level, twice a second."""

    mean: float
    max: float


class ServerSide(Frozen):
    """What the server said of itself during a level, and what it used of this machine. Unknown is None.

    ``source`` is the engine whose metrics page was read, ``samples`` how often. ``kv_use`` and shares are 0…1.
    """

    source: str | None = None
    samples: int = 0
    running: Gauge | None = None
    queued: Gauge | None = None
    kv_use: Gauge | None = None
    preemptions: int | None = None
    prefix_hit_share: float | None = None
    """Tokens found in the prefix cache over tokens looked up."""
    restarts: int | None = None
    cpu_cores: float | None = None
    """CPU seconds per second of the server's processes, when it runs on this machine."""
    machine_busy: Gauge | None = None
    """Of all cores of this machine, everything that ran on it."""


class Energy(Frozen):
    """Of the server's GPUs during a level, by NVML: their own energy counter, or the integral of their power.

    Without a GPU, of the processor packages (``source`` is rapl): everything on the machine is then in it.
    """

    gpus: tuple[str, ...]
    """The devices read; packages such as ``package-0`` for rapl."""
    source: Literal["nvml", "rapl"] = "nvml"
    joules: float
    how: Literal["counter", "power"]
    watts: Gauge | None
    gpu_busy: Gauge | None
    joules_per_token: float | None
    """Over input and output tokens of completed requests."""
    joules_per_output_token: float | None


class Level(Frozen):
    """One load level of a bench. Latencies count completed requests only; failures stand beside them.

    Tokens per second divide by the window first send → last end of the level.
    """

    concurrency: int | None = None
    rate: float | None = None
    shape: str | None = None
    """The load in words where it is neither users nor one rate: a ramp, a trace; ``rate`` is then the mean."""
    breaks_at_rate: float | None = None
    """Of a ramp: requests per second from which on the service level was missed to the end, to a tenth of the ramp."""
    duration_s: float
    requests: int
    completed: int
    failed: int
    errors: dict[str, int] = {}
    ttft_s: Stat | None
    itl_s: Stat | None
    tpot_s: Stat | None
    e2e_s: Stat | None
    ttfat_s: Stat | None = None
    """To the first answer token; later than TTFT where a model reasons first."""
    output_tokens: int
    input_tokens: int
    output_tok_s: float
    input_tok_s: float
    total_tok_s: float
    request_s: float
    decode_tok_s_per_user: float | None = None
    """Median over requests of (N−1)/(E2E−TTFT)."""
    goodput_request_s: float
    goodput_output_tok_s: float
    goodput_total_tok_s: float
    achieved_rate: float
    asked_rate: float | None = None
    queue_delay_s: Stat | None = None
    """Open loop: sent − scheduled."""
    service_ttft_s: Stat | None = None
    """Open loop: first token − sent, beside TTFT, which counts from the schedule."""
    steady_s: float | None = None
    steady_output_tok_s: float | None = None
    """Closed loop: length of, and output tokens/s in, the window in which all users were busy."""
    client_lag_s: Stat | None = None
    """User stamp − kernel stamp, the greatest of each request: the client's own lateness."""
    client_busy: float | None = None
    """CPU share of the busiest load process, 0…1 of one core."""
    server: ServerSide | None = None
    energy: Energy | None = None
    slo_met: bool | None = None
    token_source: dict[str, int] = {}
    """How many requests took their counts from `usage`, how many from events."""
    valid: bool
    why_invalid: str | None = None
    broken_rules: tuple[str, ...] = ()
    """The rules that made it invalid, by their names: ``client_busy``, ``rate``, ``unsettled``, …"""
    notes: tuple[str, ...] = ()


class Environment(Frozen):
    """What a reader needs to trust or repeat a result."""

    at: str
    toolkit_version: str
    command: str
    machine: dict[str, Any]
    engine: dict[str, Any] = {}
    model_file: dict[str, Any] = {}
    client: dict[str, Any] = {}


class Search(Frozen):
    """How the levels of a sweep or of the search for the greatest load were chosen, and what they found.

    ``knee_level`` and ``best_level`` are indices into ``BenchResult.levels``.
    """

    mode: Literal["sweep", "find_max"]
    by: Literal["concurrency", "rate"]
    knee_level: int | None = None
    """Where throughput divided by latency is greatest: below it capacity lies idle, above it users wait."""
    best_level: int | None = None
    """The greatest load that was tested and found to hold."""
    estimate: float | None = None
    """The greatest load that holds: median of what the runs leave possible."""
    interval: tuple[float | None, float | None] | None = None
    """Where that load lies with the stated probability; None at an end that was not found."""
    confidence: float | None = None
    statement: str
    """The finding in one sentence."""
    ended_because: str


class BenchResult(Document):
    """The document of `bench`: one entry per level."""

    kind: Literal["bench_result"] = "bench_result"
    target: str
    model: str
    endpoint: EndpointKind = "chat"
    workload: Workload
    prediction: Prediction | None = None
    """What was expected of this machine, given with the bench to stand beside what was measured."""
    predictions: tuple[Prediction, ...] = ()
    """What was expected of each number of users, where the server and its machine are known here."""
    label: str | None = None
    """The name under which the history keeps it."""
    slo: str | None = None
    seed: int
    environment: Environment
    levels: tuple[Level, ...]
    best_under_slo: Level | None = None
    search: Search | None = None
    interrupted: bool = False
    stopped_early: str | None = None


class CheckedLoad(Frozen):
    """The client's error at so many streams: its figure minus the server's own. None where nothing completed."""

    streams: int
    requests: int
    failed: int
    ttft_mean_ms: float | None = None
    ttft_p99_ms: float | None = None
    itl_p99_ms: float | None = None
    throughput_share: float | None = None
    """Relative: 0.005 is half a per cent too much."""
    client_busy: float | None = None
    client_lag_p99_ms: float | None = None
    within_bars: bool


class SelfCheck(Document):
    """The document of `bench --self-check`. ``bars`` are the greatest errors allowed."""

    kind: Literal["self_check"] = "self_check"
    at: str
    bars: dict[str, float]
    loads: tuple[CheckedLoad, ...]
    within_bars: bool
    interrupted: bool = False
