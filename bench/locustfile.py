"""Locust's way in: one user class, one load shape, wired to the spec.

`selfhost bench` starts this. By hand, on a further machine: ``SELFHOST_BENCH_SPEC=spec.json locust -f
bench/locustfile.py --worker --master-host …``; the spec is the JSON file that `toolkit.load` writes. An API key is
never in it: it holds the name of the environment variable that does.
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
from bench.worker import Material, Worker  # noqa: E402

sys.path.remove(_HERE)

__all__ = ["Director", "LoadUser"]  # what Locust looks for in this module

_SPEC: dict[str, Any] = orjson.loads(Path(os.environ["SELFHOST_BENCH_SPEC"]).read_bytes())


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


def _material(spec: dict[str, Any]) -> Material:
    folder = Path(spec["work_dir"])
    lines = Path(spec["prompts"]).read_bytes().splitlines()
    trace = Path(spec["trace"]).read_bytes().splitlines() if spec.get("trace") else []
    return Material([Prompt(line) for line in lines], [tuple(orjson.loads(line)) for line in trace], folder)


@events.init.add_listener
def wire(environment: Any, runner: Any, **_unused: Any) -> None:
    """Give each process its worker, and the leading one its director. A master without load has no worker."""
    leads = not isinstance(runner, WorkerRunner)
    if leads:
        environment.shape_class.prepare(environment, _SPEC)
    if not leads or not hasattr(runner, "clients"):
        worker = LoadUser.worker = Worker(_SPEC, environment, _material(_SPEC), process_name())
        runner.register_message("bench-arm", lambda environment, msg: worker.arm(msg.data))
        runner.register_message("bench-go", lambda environment, msg: worker.go(msg.data))
        runner.register_message("bench-cut", lambda environment, msg: worker.cut())
