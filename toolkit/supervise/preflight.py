"""What can be known before anything is started: is the model file whole, is the port free."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path

from toolkit import machine
from toolkit.errors import EnvironmentFailedError, InputError, ModelFileError
from toolkit.models import gguf
from toolkit.types import LaunchPlan

ENDING_S = 1.0
POLL_S = 0.05
TRIES = 100
LOWEST_PORT = 20_000
DEFAULT_EPHEMERAL = 32_768


def check_model(plan: LaunchPlan) -> None:
    """The model is there, finished and whole, as far as its header tells. Under a second.

    Raises:
        ModelFileError: missing, a folder where a file belongs, unfinished, truncated or no model.
    """
    if plan.model_path is None:
        return
    path = Path(plan.model_path)
    if path.suffix == ".part" or path.with_name(path.name + ".part").exists():
        raise ModelFileError(f"{path} is an unfinished download", "wait for it, or resume it.")
    if path.suffix == ".gguf":
        for file in gguf.split_files(path):
            gguf.read_header(file)
    elif path.is_absolute() and not path.exists():
        raise ModelFileError(f"no such file or folder: {path}")
    elif path.is_dir() and not (path / "config.json").is_file():
        raise ModelFileError(f"{path} has no config.json")


def check_port(host: str, port: int) -> None:
    """Nobody listens where our proxy will. A holder that is just ending is waited for.

    Raises:
        InputError: the port is taken (says by whom) or may not be used; the address is not ours.
    """
    deadline = time.monotonic() + ENDING_S
    while (problem := _bind_problem(host, port)) is not None:
        holder = machine.holder_of_port(port) or ""
        if holder.startswith("pid ") or time.monotonic() > deadline:
            if holder:
                hint = "stop it, or choose another port; 0 picks a free one."
                raise InputError(f"port {port} is in use by {holder}", hint)
            raise InputError(f"cannot listen on {host} port {port}: {problem}")
        time.sleep(POLL_S)


def _bind_problem(host: str, port: int) -> str | None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def free_port(host: str) -> int:
    """A port that nobody listens on now, below the range from which outgoing connections take theirs.

    A port of that range could be taken by any connection between this look and the server's bind.

    Raises:
        EnvironmentFailedError: the address is not ours, or no port is free.
    """
    problem: str | None = "no port tried"
    for _ in range(TRIES):
        port = random.randrange(LOWEST_PORT, _first_ephemeral())
        problem = _bind_problem(host, port)
        if problem is None:
            return port
    raise EnvironmentFailedError(f"cannot listen on {host}: {problem}")


def _first_ephemeral() -> int:
    """Where the system's own ports begin (Linux ``ip_local_port_range``; 32768 by default)."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        first = DEFAULT_EPHEMERAL
    return first if first > LOWEST_PORT else DEFAULT_EPHEMERAL
