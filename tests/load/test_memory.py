"""No server can fill the memory of the load process: its greatest resident size, by the kernel's own count."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.load.mock import Mock, spec
from toolkit.load.progress import Progress
from toolkit.load.run import run
from toolkit.load.spec import TimeLimits
from toolkit.types import BenchResult

FLOOD = Path(__file__).parents[1] / "fakes" / "flood.py"
USERS = 16
MORE_MIB = 48
"""Above what the same users need for good answers: 3 MiB a user. A reply may have 64 MiB, and is not to be kept."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def flood() -> Iterator[int]:
    with subprocess.Popen([sys.executable, str(FLOOD)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        yield int(child.stdout.readline().split()[1])
        child.kill()


def peak_mib(url: str, out: Path, **changes: object) -> tuple[float, BenchResult]:
    """The load process's high-water mark while it loads that URL, and the result."""
    peaks = [0.0]

    def look(_: Progress) -> None:
        for process in psutil.Process().children():
            with suppress(psutil.Error, OSError):
                if "locust" in " ".join(process.cmdline()):
                    status = Path(f"/proc/{process.pid}/status").read_text()
                    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
                    peaks.append(int(peak.split()[1]) / 1024)

    limits = TimeLimits(connect_s=2, stall_s=1, request_s=3)
    asked = spec(url, concurrency=(USERS,), model="mock", limits=limits, duration_s=5, **changes)
    result = run(asked, out, look)
    return max(peaks), result


@pytest.fixture(scope="module")
def usual_mib(_mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> float:
    _mock.set(ttft_s=0.02, itl_s=0.005)
    peak, result = peak_mib(_mock.url, tmp_path_factory.mktemp("usual"), max_requests=100)
    assert result.levels[0].completed == 100
    return peak


@pytest.mark.parametrize(
    ("kind", "changes", "names"),
    [
        ("tokens", {}, {"too_many_tokens"}),
        ("long_tokens", {"turns": 2}, {"too_large"}),
        ("comments", {}, {"too_large", "timeout_first_token"}),
        ("line", {}, {"too_large"}),
        ("event", {}, {"too_large"}),
        ("finishes", {}, {"too_many_tokens", "timeout_total"}),
        ("head", {}, {"bad_http"}),
        ("body", {}, {"too_large", "timeout_first_token"}),
        ("body", {"kind": "embeddings"}, {"too_large"}),
        ("error_body", {}, {"too_large", "timeout_first_token", "http_500"}),
        ("chunk", {}, {"bad_http"}),
    ],
)
def test_a_flood_is_named_and_not_kept(
    flood: int, usual_mib: float, tmp_path: Path, kind: str, changes: dict, names: set[str]
) -> None:
    peak, result = peak_mib(f"http://127.0.0.1:{flood}/{kind}", tmp_path, **changes)
    (level,) = result.levels
    assert set(level.errors) <= names
    assert level.failed >= USERS
    assert peak < usual_mib + MORE_MIB, f"{peak:.0f} MiB, usually {usual_mib:.0f}"
