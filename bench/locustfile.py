"""Locust's way in: one user class, one load shape, wired to the spec.

`selfhost bench` starts this, with the spec that `toolkit.load` writes named in ``SELFHOST_BENCH_SPEC``. Without that
variable it is a worker of a bench on another machine, ``locust -f bench/locustfile.py --worker --master-host HOST``,
and gets everything from there. An API key is never in a spec, only the name of the environment variable that holds it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import orjson
from locust import User, events, task
from locust.runners import WorkerRunner

_HERE = str(Path(__file__).resolve().parent.parent)
sys.path.insert(0, _HERE)

from bench.director import Director  # noqa: E402  # Locust loads this file by its path, not as a package
from bench.payload import Prompt  # noqa: E402
from bench.record import process_name  # noqa: E402
from bench.remote import Remote  # noqa: E402
from bench.worker import Material, Worker  # noqa: E402

sys.path.remove(_HERE)

__all__ = ["Director", "LoadUser"]  # what Locust looks for in this module


class LoadUser(User):
    """One user on one keep-alive connection; all it does is in `bench.worker`."""

    worker: Worker

    @task
    def load(self) -> None:
        """Serve phases until Locust ends this user."""
        self.worker.serve(self)

    def on_stop(self) -> None:
        """Close the connection."""
        self.state.connection.close()


def _spec() -> dict[str, Any] | None:
    file = os.environ.get("SELFHOST_BENCH_SPEC")
    return orjson.loads(Path(file).read_bytes()) if file else None


def _material(prompts: bytes, trace: bytes, folder: Path) -> Material:
    planned = [tuple(orjson.loads(line)) for line in trace.splitlines()]
    return Material([Prompt(line) for line in prompts.splitlines()], planned, folder)


def _local(spec: dict[str, Any], environment: Any) -> Worker:
    """The load of a process that shares files and clock with its driver."""
    trace = Path(spec["trace"]).read_bytes() if spec.get("trace") else b""
    material = _material(Path(spec["prompts"]).read_bytes(), trace, Path(spec["work_dir"]))
    return Worker(spec, environment, material, process_name())


def _elsewhere(environment: Any) -> tuple[Worker, Remote]:
    """The load of a process that shares nothing with its leader."""
    remote = Remote(environment)
    spec, prompts, trace = remote.join()
    return Worker(spec, environment, _material(prompts, trace, remote.folder), process_name(), remote), remote


@events.init.add_listener
def wire(environment: Any, runner: Any, **_unused: Any) -> None:
    """Give each process its worker, and the leading one its director. A master without load has no worker."""
    spec, remote = _spec(), None
    leads = not isinstance(runner, WorkerRunner)
    if leads and spec is None:
        raise SystemExit("This file needs a spec to lead a load test: start one with `selfhost bench`.")
    if leads:
        environment.shape_class.prepare(environment, spec)
    if not leads or not hasattr(runner, "clients"):
        if spec is None:
            worker, remote = _elsewhere(environment)
        else:
            worker = _local(spec, environment)
        LoadUser.worker = worker
        runner.register_message("bench-arm", lambda environment, msg: worker.arm(msg.data))
        runner.register_message("bench-go", lambda environment, msg: worker.go(msg.data))
        runner.register_message("bench-cut", lambda environment, msg: worker.cut())
    if remote is not None:
        remote.ready()
