"""From a spec to the words that start its engine: placeholders, environment, key, and what a status shows."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Any

from toolkit.backends import command
from toolkit.backends.base import Backend, Signals
from toolkit.errors import EnvironmentFailedError
from toolkit.supervise import preflight
from toolkit.supervise.engine import Launch
from toolkit.supervise.limits import Limits
from toolkit.supervise.oom import Ladder
from toolkit.supervise.store import Spec
from toolkit.types import LaunchPlan

ENGINE_HOST = "127.0.0.1"
KEY_FILE = "engine.key"
NOT_PASSED_ON = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY")
"""A service manager's own variables: they address the supervisor, not its engine."""


def effective_limits(spec: Spec) -> Limits:
    """The limits in force: a plan whose devices are all CPUs gets the CPU's stall window."""
    memory = spec.plan.memory
    on_cpu = memory is not None and all(device.name == "CPU" for device in memory.devices)
    return spec.limits.on_cpu() if on_cpu else spec.limits


def signals_of(backend: Backend, plan: LaunchPlan) -> Signals:
    """The backend's; a command of the user's own has the knobs that are found in it."""
    if backend.name != command.BACKEND.name:
        return backend.signals
    return backend.signals.model_copy(update={"knobs": command.knobs_in(plan.argv)})


def max_in_flight(spec: Spec, signals: Signals) -> int | None:
    """Requests the engine gets at once: the limits say it, else the plan, else the backend."""
    return spec.limits.max_in_flight or spec.plan.max_in_flight or signals.max_in_flight


def prepare(spec: Spec, signals: Signals, limits: Limits, key: str | None, ladder: Ladder) -> Launch:
    """What the shim runs: the ladder's argv and the plan's environment with every placeholder filled."""
    port, mark = preflight.free_port(ENGINE_HOST), secrets.token_hex(8)
    uds = str(_socket_folder() / f"{mark}.sock") if any("{uds}" in word for word in ladder.argv) else ""
    values = {
        "{uds}": uds,
        "{host}": ENGINE_HOST,
        "{port}": str(port),
        "{model}": spec.plan.model_path or "",
        "{term_s}": str(max(1, int(limits.term_grace_s) - 2)),
    }
    env = {k: v for k, v in os.environ.items() if k not in NOT_PASSED_ON}
    env |= {k: _filled(v, values) for k, v in spec.plan.env.items()}
    if key and signals.key_env:
        env[signals.key_env] = key
    if signals.load_timeout_env:
        env[signals.load_timeout_env] = str(int(limits.load_cap_s))
    return Launch(
        argv=tuple(_filled(word, values) for word in ladder.argv),
        env=env,
        cwd=spec.cwd,
        log_max_bytes=limits.log_max_bytes,
        log_keep=limits.log_keep,
        asked=spec.plan.health_path or signals.models_path,
        port=port,
        uds=uds,
        mark=mark,
        digest=digest(spec),
        ladder=ladder,
    )


def _socket_folder() -> Path:
    """A folder of this user's own with a short path: a socket's address has room for 107 bytes.

    Raises:
        EnvironmentFailedError: someone else made it before us.
    """
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"selfhost-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if about.st_uid != os.getuid() or not stat.S_ISDIR(about.st_mode) or about.st_mode & 0o077:
        raise EnvironmentFailedError(f"{folder} is not a folder of this user's own", "remove it.")
    return folder


def _filled(word: str, values: dict[str, str]) -> str:
    for placeholder, value in values.items():
        word = word.replace(placeholder, value)
    return word


def digest(spec: Spec) -> str:
    """Equal for two specs that start the same engine."""
    words = spec.plan.model_dump_json(include={"backend", "argv", "env", "model_path", "served_name"})
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def new_key(folder: Path, signals: Signals) -> str | None:
    """A key between proxy and engine, so that nobody else on this machine can use the engine's port.

    It lies in a file of mode 0600 for a supervisor that re-attaches; None where the engine takes no key.

    Raises:
        OSError: the file cannot be written.
    """
    path = folder / KEY_FILE
    path.unlink(missing_ok=True)
    if signals.key_env is None:
        return None
    key = secrets.token_urlsafe(24)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key)
    except OSError as error:
        raise OSError(error.errno, f"{folder} cannot be written: {error.strerror}") from None
    return key


def read_key(folder: Path) -> str | None:
    """The key of the engine that runs now."""
    try:
        return (folder / KEY_FILE).read_text() or None
    except OSError:
        return None


def base_url(spec: Spec) -> str:
    """What clients are told: an address that works on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(spec.host, spec.host)  # noqa: S104 - told, not bound
    return f"http://[{host}]:{spec.port}/v1" if ":" in host else f"http://{host}:{spec.port}/v1"


def effective_config(spec: Spec, limits: Limits, ladder: Ladder) -> dict[str, Any]:
    """What is in force now, for `status`; ``reduced`` lists what a lack of memory has changed."""
    config: dict[str, Any] = {
        "argv": list(ladder.argv),
        "max_in_flight": limits.max_in_flight or spec.plan.max_in_flight,
    }
    memory = spec.plan.memory
    if memory:
        config |= {"context": memory.context, "concurrency": memory.concurrency}
        config |= {key: setting.value for key, setting in memory.inputs.items()}
    for step in ladder.steps:
        config |= dict(step.settings)
    if ladder.steps:
        config["reduced"] = [{"step": step.rung, "change": step.change} for step in ladder.steps]
    return config
