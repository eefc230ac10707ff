"""One load process kept running against one mock server, so that each test costs one short level."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

from tests.load.mock import Mock, spec, workload
from toolkit.load.child import LoadProcess
from toolkit.load.orders import child_spec, order, write_prompts
from toolkit.load.prompts import Calibration, Material, bank, bodies
from toolkit.load.rows import Row, merge_rows
from toolkit.load.spec import LoadLevel, TimeLimits
from toolkit.paths import data_root

KEY_VARIABLE = "SELFHOST_TEST_BENCH_KEY"
KEY = "sk-test-0123456789"


class Load:
    """Sends levels and gives back their rows."""

    def __init__(self, folder: Path, mock: Mock, *, processes: int = 1, tokens: int = 8) -> None:
        self.mock = mock
        self._folder = folder
        self._spec = spec(
            mock.url,
            workload=workload(64, tokens),
            api_key_env=KEY_VARIABLE,
            processes=processes,
            limits=TimeLimits(connect_s=1, stall_s=0.7, request_s=1.5),
        )
        material = Material("prose", data_root() / "bench" / "prompts")
        prompts = bank(self._spec.workload, material, 0, Calibration(11, 1, "assumed"), lambda _: None, lambda: False)
        write_prompts(folder, bodies(prompts, "mock", {}))
        os.environ[KEY_VARIABLE] = KEY
        began = time.perf_counter()
        self.process = LoadProcess(
            folder, child_spec(self._spec, folder, time.perf_counter_ns()), processes
        ).__enter__()
        self.start_up_s = time.perf_counter() - began
        self._numbers = itertools.count()
        self.over: dict[str, Any] = {}

    def close(self) -> None:
        self.process.__exit__()

    def level(
        self, load: LoadLevel | None = None, *, drain_s: float | None = None, timeout_s: float = 15, **changes: Any
    ) -> list[Row]:
        """Run one level; one user and one request unless said otherwise."""
        number = next(self._numbers)
        load = load or LoadLevel(concurrency=1)
        given = {"max_requests": 1, "duration_s": 3.0, "max_in_flight": 16, **changes}
        asked = order(self._spec.model_copy(update=given), number, load)
        self.process.send({"level": asked if drain_s is None else {**asked, "drain_s": drain_s}})
        limit = time.monotonic() + timeout_s
        while time.monotonic() < limit:
            event = self.process.receive(1)
            if event is not None and event["event"] == "level_done":
                self.over = event
                return merge_rows(sorted(self._folder.glob(f"rows-{number}-*.jsonl")))
        raise AssertionError(f"the level took longer than {timeout_s} s")
