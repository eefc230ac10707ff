"""What can be known before anything is started: is the model file whole, is the port free."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from toolkit import machine
from toolkit.errors import EnvironmentFailedError, InputError, ModelFileError
from toolkit.models import gguf
from toolkit.types import LaunchPlan

ENDING_S = 1.0
POLL_S = 0.05


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
    """A port that nobody listens on now.

    Raises:
        EnvironmentFailedError: the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise EnvironmentFailedError(f"cannot listen on {host}: {error.strerror}") from None
        return int(probe.getsockname()[1])
