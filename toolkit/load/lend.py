"""Lends this machine to a bench that another one leads: Locust workers, until the leader ends or we are told to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from toolkit.errors import EnvironmentFailedError
from toolkit.paths import data_root

STOP_S = 5.0
LONGEST_LINE = 500
_NOT_REACHED = 255
"""Locust's exit status when its master never answered."""


def lend(host: str, port: int, processes: int, key_env: str | None, on_line: Callable[[str], None]) -> None:
    """Serve the bench that ``host:port`` leads; returns when it is over. Ctrl-C takes the workers out of it.

    Everything but the key comes from there; ``key_env`` names the variable of this machine that holds it.

    Raises:
        EnvironmentFailedError: nobody leads there, this machine was refused, or the leader was lost.
    """
    try:
        socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise EnvironmentFailedError(f"cannot find {host}: {error.strerror or error}") from None
    last = ""
    with _locust(host, port, processes, key_env) as child:
        for line in child.stdout or ():
            last = line.strip()[:LONGEST_LINE] or last
            on_line(last)
        status = child.wait()
    if status == _NOT_REACHED:
        raise EnvironmentFailedError(
            f"no bench answered at {host}:{port}", "Start the leading one, or mend the address."
        )
    if status:
        raise EnvironmentFailedError(last.removeprefix("load worker: ") or f"Locust ended with status {status}")


@contextmanager
def _locust(host: str, port: int, processes: int, key_env: str | None) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "locust", "-f", str(data_root() / "bench" / "locustfile.py"), "--worker"]
    command += ["--master-host", host, "--master-port", str(port), "--loglevel", "ERROR"]
    command += ["--processes", str(processes)] if processes > 1 else []
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "SELFHOST_BENCH_"))}
    environment |= {"SELFHOST_BENCH_TIED": "1"} | ({"SELFHOST_BENCH_KEY_ENV": key_env} if key_env else {})
    with tempfile.TemporaryDirectory(prefix="selfhost-lend-") as folder:
        child = subprocess.Popen(
            command,
            cwd=folder,  # no locust.conf of the user's folder
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            yield child
        finally:
            _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    """As Ctrl-C ends it, so that the leader is told; then for good, forked workers too."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(STOP_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdout:
        child.stdout.close()
