"""Every time limit of supervision, with its default. Seconds unless the name says otherwise."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from toolkit.errors import InputError, nearest
from toolkit.types import Frozen

CPU_STALL_MIN_S = 900.0
"""Least stall window on a CPU: one long prompt can take minutes there without any counter moving."""


class Limits(Frozen):
    """The table ``[supervise]`` of a config file."""

    tick_s: float = Field(default=5, gt=0)
    """How often liveness is judged."""
    load_stall_s: float = Field(default=300, gt=0)
    """A load without any progress for this long is killed."""
    load_cap_s: float = Field(default=7200, gt=0)
    """A load may not take longer than this, progress or not."""
    stall_min_s: float = Field(default=120, gt=0)
    """Least time without progress, while busy, before an engine is suspected."""
    stall_max_s: float = Field(default=1800, gt=0)
    """Most that this time grows to on an engine seen to pause long."""
    suspect_grace_s: float = Field(default=30, ge=0)
    """Time between suspicion and the kill."""
    idle_probe_after_s: float = Field(default=60, gt=0)
    """An engine idle for this long is asked for one token."""
    probe_timeout_s: float = Field(default=30, gt=0)
    probe_failures: int = Field(default=3, ge=1)
    """Failed token probes in a row that mean hung."""
    health_timeout_s: float = Field(default=5, gt=0)
    backoff_base_s: float = Field(default=1, gt=0)
    backoff_cap_s: float = Field(default=60, gt=0)
    crash_limit: int = Field(default=5, ge=1)
    """Crashes within ``crash_window_s`` that mean a crash loop."""
    crash_window_s: float = Field(default=600, gt=0)
    half_open_s: tuple[float, ...] = Field(default=(300, 600, 1200, 1800), min_length=1)
    """Waits between single tries in a crash loop; the last one repeats."""
    never_ready_limit: int = Field(default=3, ge=1)
    """Starts in a row that never became ready before giving up."""
    healthy_reset_s: float = Field(default=600, ge=0)
    """Ready for this long, with one real success, clears the crash history."""
    drain_s: float = Field(default=120, ge=0)
    """How long a stop waits for requests in flight."""
    term_grace_s: float = Field(default=10, ge=0)
    """Time between SIGTERM and SIGKILL."""
    vram_back_s: float = Field(default=60, ge=0)
    """How long a new start waits for the GPU memory of the old engine."""
    max_in_flight: int | None = Field(default=None, ge=1)
    """Requests the engine gets at once; the rest queue. None: what the backend says."""
    queue_limit: int = Field(default=256, ge=0)
    queue_timeout_s: float = Field(default=60, gt=0)
    log_max_bytes: int = Field(default=64 * 2**20, ge=4096)
    """Size of one file of the engine's log."""
    log_keep: int = Field(default=5, ge=1)
    """Files of the engine's log, the current one included."""
    poison_limit: int = Field(default=2, ge=1)
    """Crashes one request may be part of before it is refused."""

    allow_kv_quant: bool = False
    """Whether a load that runs out of memory may, as the last resort, store the KV cache in eight bits."""

    def on_cpu(self) -> Limits:
        """These limits for an engine without a GPU: a longer stall window unless one was set."""
        if "stall_min_s" in self.model_fields_set:
            return self
        return self.model_copy(
            update={"stall_min_s": CPU_STALL_MIN_S, "stall_max_s": max(self.stall_max_s, CPU_STALL_MIN_S)}
        )


def from_toml(path: Path) -> Limits:
    """Limits from the table ``[supervise]`` of a TOML file; what it leaves out keeps its default.

    Raises:
        InputError: unreadable, broken TOML, an unknown table or limit (with did-you-mean), a bad value.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"config file {path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"config file {path} is broken TOML: {error}") from None
    _known(path, "table", document, ["supervise"])
    table = document.get("supervise", {})
    if not isinstance(table, dict):
        raise InputError(f"config file {path}: `supervise` must be a table")
    _known(path, "limit", table, list(Limits.model_fields))
    return _validated(path, table)


def _known(path: Path, what: str, given: dict[str, Any], known: list[str]) -> None:
    for key in given:
        if key not in known:
            close = nearest(key, known)
            hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
            raise InputError(f"config file {path}: unknown {what} {key!r}", hint)


def _validated(path: Path, table: dict[str, Any]) -> Limits:
    """Strict: a number in quotes or a yes/no where a number belongs is a mistake, not a value."""
    for key, value in table.items():
        yes_or_no = Limits.model_fields[key].annotation is bool
        if isinstance(value, bool) != yes_or_no or isinstance(value, str):
            kind = "true or false" if yes_or_no else "a number"
            raise InputError(f"config file {path}: {key} = {value!r} must be {kind}")
    try:
        return Limits.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(p) for p in first["loc"])
        raise InputError(f"config file {path}: {key} = {first['input']!r}: {first['msg']}") from None
