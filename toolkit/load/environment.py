"""What a reader needs to trust or repeat a result: machine, versions, engine, command."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from toolkit import __version__, machine
from toolkit.load.spec import BenchSpec
from toolkit.types import Environment


def environment(spec: BenchSpec, engine: dict[str, Any], client: dict[str, Any]) -> Environment:
    """Read this machine now. ``engine`` is what the target says about itself."""
    here = machine.snapshot()
    local = spec.endpoint.host in ("localhost", "127.0.0.1", "::1")
    return Environment(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        toolkit_version=__version__,
        command=spec.command,
        machine={
            "cpu": here.cpu,
            "cores": here.cores,
            "usable_cores": here.usable_cores,
            "memory_bytes": here.memory_bytes,
            "gpus": [gpu.name for gpu in here.gpus],
            "os": here.os,
            "load_average": round(os.getloadavg()[0], 2),
            "runs_the_server_too": local,
        },
        engine={**engine, **spec.engine},
        model_file=spec.model_file,
        client={
            "python": here.python,
            "locust": version("locust"),
            "gevent": version("gevent"),
            "processes": spec.processes,
            **client,
        },
    )


def model_file(path: str | None) -> dict[str, Any]:
    """Name, size in bytes and SHA-256 of a served file; empty when it is no file of this machine."""
    file = Path(path) if path else None
    if file is None or not file.is_file():
        return {}
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"name": file.name, "bytes": file.stat().st_size, "sha256": digest}
