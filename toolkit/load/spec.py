"""What a bench is asked to do: where, what load, how long. Validated; nothing here touches the network."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from toolkit.errors import InputError
from toolkit.load.lengths import Pair
from toolkit.load.own_prompts import OwnPrompt
from toolkit.load.trace import Trace
from toolkit.types import EndpointKind, Frozen, Prediction, SelfCheck, Workload

Arrival = Literal["constant", "poisson"]
MAX_USERS = 4096
MAX_RATE = 10_000.0


class Endpoint(Frozen):
    """An OpenAI-compatible server. ``base_path`` ends in the version, ``/v1``."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    base_path: str

    @property
    def authority(self) -> str:
        """``host:port`` as a Host header wants it: brackets around IPv6, the default port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL, ending in the version."""
        return f"{self.scheme}://{self.authority}{self.base_path}"


PATHS: dict[EndpointKind, str] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
}
"""Below the base path."""

_PORTS = {"http": 80, "https": 443}


def looks_like_url(text: str) -> bool:
    """Whether a target is a URL or ``host:port``, rather than a served name."""
    return "://" in text or "/" in text or re.search(r":\d+$", text) is not None


def endpoint(text: str) -> Endpoint:
    """Read a base URL, with or without ``/v1`` and with or without ``http://``.

    Raises:
        InputError: not an http URL, no host, a bad port, a query, or a secret in it.
    """
    whole = text if "://" in text else f"http://{text}"
    hint = "Give the base URL of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1."
    try:
        parts = urlsplit(whole)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{text!r} is not a URL: {error}", hint) from None
    if parts.scheme not in _PORTS:
        raise InputError(f"{parts.scheme!r} is not a scheme this can load: http and https are", hint)
    if parts.username or parts.password:
        raise InputError("the URL holds a user name or password", "Put a key into an environment variable instead.")
    if not parts.hostname or parts.query or parts.fragment or any(c.isspace() for c in whole):
        raise InputError(f"{text!r} is not a base URL", hint)
    if port == 0:
        raise InputError(f"{text!r}: port 0 is not a port", hint)
    path = parts.path.rstrip("/")
    for tail in ("/chat/completions", "/completions", "/embeddings"):
        path = path.removesuffix(tail)
    if not re.search(r"/v\d+\w*$", path):
        path += "/v1"
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    return Endpoint(scheme=scheme, host=parts.hostname, port=port or _PORTS[scheme], base_path=path)


MASTER_PORT = 5557
"""Where Locust's master listens by default."""


class Machines(Frozen):
    """Load from other machines: so many Locust workers, which join at ``host:port`` of this one."""

    workers: int = Field(ge=1, le=1000)
    host: str
    """As Locust wants it: an IPv6 address in brackets."""
    port: int = Field(ge=1, le=65535)

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"


def meeting_point(text: str) -> tuple[str, int]:
    """Read ``HOST``, ``HOST:PORT`` or ``[IPv6]:PORT``, Locust's own port where none is given. Raises InputError."""
    found = re.fullmatch(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>\d{1,5}))?", text.strip())
    port = int(found["port"] or MASTER_PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise InputError(f"{text!r} is not HOST:PORT", "Write it like 10.0.0.5:5557, an IPv6 address in brackets.")
    return found["host"], port


LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")


class LoadLevel(Frozen):
    """One load: so many users in a closed loop, or so many requests per second in an open one."""

    concurrency: int | None = Field(default=None, ge=1, le=MAX_USERS)
    rate: float | None = Field(default=None, gt=0, le=MAX_RATE)

    @model_validator(mode="after")
    def _one(self) -> LoadLevel:
        if (self.concurrency is None) == (self.rate is None):
            raise ValueError("a level has a concurrency or a rate")
        return self

    ramp: tuple[float, float] | None = None
    """Requests per second at the beginning and at the end; ``rate`` is their mean."""
    replay: str | None = None
    """A trace sent again, by its name and speed; ``rate`` is its mean."""
    duration_s: float | None = Field(default=None, gt=0, le=86_400)
    """Instead of the bench's own duration."""

    @property
    def label(self) -> str:
        """``4 users`` or ``2.5 requests/s``."""
        if self.concurrency is not None:
            return f"{self.concurrency} user{'' if self.concurrency == 1 else 's'}"
        return self.shape or f"{self.rate:g} requests/s"

    @property
    def shape(self) -> str | None:
        """The load in words where it is neither users nor one rate."""
        return f"{self.ramp[0]:g} → {self.ramp[1]:g} requests/s" if self.ramp else self.replay


class SearchPlan(Frozen):
    """Loads that are chosen as the results come in: doubled to the knee, or narrowed down to the greatest that holds.

    ``start`` and ``most`` are users or requests per second; no level begins that could end after ``longest_s``.
    """

    mode: Literal["sweep", "find_max"]
    by: Literal["concurrency", "rate"]
    start: float = Field(gt=0)
    most: float = Field(gt=0, le=MAX_RATE)
    longest_s: float = Field(default=1800, gt=0, le=7 * 86_400)

    @model_validator(mode="after")
    def _fits(self) -> SearchPlan:
        if self.start > self.most:
            raise ValueError("a search starts at most where it ends")
        if self.by == "concurrency" and (self.most > MAX_USERS or self.start % 1 or self.most % 1):
            raise ValueError(f"users are whole numbers up to {MAX_USERS}")
        if self.mode == "sweep" and self.by == "rate":
            raise ValueError("a sweep is over users")
        return self


class TimeLimits(Frozen):
    """Seconds: to connect, between two reads of one reply once it has tokens, for a whole request."""

    connect_s: float = Field(default=10, gt=0)
    stall_s: float = Field(default=60, gt=0)
    request_s: float = Field(default=300, gt=0)


class BenchSpec(Frozen):
    """One bench. ``warmup_s`` and ``duration_s`` are per level.

    ``api_key_env`` names the environment variable that holds the key; the key itself is in no file. ``ignore_eos``
    and ``prompt_cache`` None mean: what suits the engine that answers (asked lengths are forced where it can;
    its cache is left alone).
    """

    endpoint: Endpoint
    target: str
    """As the user named it."""
    kind: EndpointKind = "chat"
    model: str | None = None
    workload: Workload
    levels: tuple[LoadLevel, ...] = ()
    search: SearchPlan | None = None
    """Chooses the levels, instead of a list of them."""
    arrival: Arrival = "constant"
    duration_s: float = Field(default=30, gt=0, le=86_400)
    warmup_s: float = Field(default=5, ge=0, le=3600)
    max_requests: int | None = Field(default=None, ge=1)
    """Measured requests per level at most."""
    max_in_flight: int = Field(default=512, ge=1, le=MAX_USERS)
    """Open loop: requests running at once at most; the others wait and their delay counts."""
    slo: str | None = None
    max_failed_share: float = Field(default=0.01, ge=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    processes: int = Field(default=1, ge=1, le=64)
    machines: Machines | None = None
    """Load from other machines instead of from processes of this one."""
    api_key_env: str | None = None
    ignore_eos: bool | None = None
    prompt_cache: bool | None = None
    own_prompts: tuple[OwnPrompt, ...] = ()
    pairs: tuple[Pair, ...] = ()
    """Input and output tokens to draw prompts from, instead of the workload's distributions."""
    trace: Trace | None = None
    unique: bool | None = None
    """Whether each request begins differently, so that no cache helps. Default: yes, but not with own prompts."""
    turns: int = Field(default=1, ge=1, le=100)
    think_s: float = Field(default=0, ge=0, le=3600)
    """Between an answer and what its user sends next."""
    limits: TimeLimits = TimeLimits()
    command: str = ""
    label: str | None = None
    prediction: Prediction | None = None
    """What was expected, to be kept with the result."""
    engine_pid: int | None = None
    """Leading process of the engine, when the supervisor knows it."""
    self_check: SelfCheck | None = None
    """What the check of the load generator found just before, if it was run."""
    engine: dict[str, Any] = {}
    model_file: dict[str, Any] = {}

    @model_validator(mode="after")
    def _some_load(self) -> BenchSpec:
        if bool(self.levels) == (self.search is not None):
            raise ValueError("a bench has levels or a search for them")
        if self.machines is not None:
            self._check_machines(self.machines)
        if self.turns > 1 and self.kind != "chat":
            raise ValueError("only a chat has turns")
        if self.search is not None and self.search.mode == "find_max" and not self.slo:
            raise ValueError("a search for the greatest load needs a service level")
        return self

    def _check_machines(self, machines: Machines) -> None:
        if self.processes > 1:
            raise ValueError("load comes from other machines or from processes of this one; a worker may run here too")
        if self.endpoint.host in LOOPBACK and machines.host not in LOOPBACK:
            raise ValueError(f"{self.endpoint.host} is another server for each machine; name it as they reach it")

    @property
    def busts_caches(self) -> bool:
        """Whether each request is made to begin differently."""
        return not self.own_prompts if self.unique is None else self.unique

    def seconds(self, level: LoadLevel) -> float:
        """How long a level measures."""
        return level.duration_s or self.duration_s

    def users(self, level: LoadLevel) -> int:
        """How many Locust users a level needs."""
        return level.concurrency or self.max_in_flight
