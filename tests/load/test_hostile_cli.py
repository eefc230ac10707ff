"""Servers that misbehave, as somebody sees them who runs `selfhost bench`: named, bounded, ended early, exit status.

Each is a real process that really misbehaves; nothing here waits for a limit longer than two seconds.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.cli.run import selfhost
from tests.load.mock import Mock

LIMITS = ("--timeout", "1500ms", "--stall", "700ms", "--warmup", "0", "--input-len", "40", "--output-len", "8")
LONGEST_S = 40.0
"""For the whole command on a busy machine: a bench of 60 s that nothing ends takes longer."""

pytestmark = pytest.mark.slow


def hostile(mock: Mock, out: Path, *words: str, **settings: object) -> tuple[int, dict, str]:
    """Exit status, result and table of a bench of a minute with two users, which must not last so long."""
    mock.set(**{"ttft_s": 0.02, "itl_s": 0.005, **settings})
    began = time.monotonic()
    done = selfhost("bench", mock.url, "--concurrency", "2", "--duration", "60s", *LIMITS, *words, "--out", out)
    assert time.monotonic() - began < LONGEST_S
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, json.loads((out / "result.json").read_text()), done.stdout


@pytest.mark.parametrize(
    ("settings", "name", "detail"),
    [
        ({"api_key": "another"}, "http_401", "wrong key"),
        ({"model": "other"}, "http_404", "does not exist"),
        ({"fault": "html"}, "not_event_stream", "nginx"),
        ({"fault": "bad_json"}, "bad_json", ""),
        ({"fault": "endless", "itl_s": 0.0}, "too_many_tokens", "8 were asked"),
        ({"fault": "endless_line"}, "too_large", ""),
        ({"fault": "no_finish"}, "no_finish", "3 token events"),
        ({"fault": "status", "status": 429}, "http_429", "on order"),
        ({"fault": "slowloris"}, "timeout_first_token", ""),
        ({"fault": "mute"}, "timeout_stall", ""),
        ({"fault": "silent"}, "timeout_first_byte", ""),
        ({"fault": "redirect"}, "redirect", "other.example"),
        ({"fault": "error_event"}, "error_event", "engine died"),
    ],
)
def test_a_run_in_which_nothing_works_ends_early_and_says_why(
    mock: Mock, tmp_path: Path, settings: dict, name: str, detail: str
) -> None:
    status, result, table = hostile(mock, tmp_path, "--model", "mock", **settings)
    assert status == 1
    assert result["stopped_early"].startswith(f"no request succeeded: {name}")
    assert detail in result["stopped_early"]
    assert name in table
    (level,) = result["levels"]
    assert list(level["errors"]) == [name]
    assert (level["completed"], level["valid"], level["ttft_s"]) == (0, False, None)


def test_absurd_token_counts_are_not_believed(mock: Mock, tmp_path: Path) -> None:
    """The mock's `usage` says billions; eight events came for each request."""
    status, result, _ = hostile(mock, tmp_path, "--max-requests", "6", usage="absurd")
    assert status == 0
    (level,) = result["levels"]
    assert level["completed"] == 6
    assert level["output_tok_s"] * level["duration_s"] == pytest.approx(6 * 8, rel=0.01)
    assert any("no usable usage" in note for note in level["notes"])


def test_a_storm_of_refusals_is_waited_out_as_asked(mock: Mock, tmp_path: Path) -> None:
    """Every second request is refused for a second: half of them fail under that name, and the report tells."""
    settings = {"fault": "status", "status": 429, "retry_after": "1", "every": 2}
    status, result, _ = hostile(mock, tmp_path, "--max-requests", "8", **settings)
    assert status == 1
    (level,) = result["levels"]
    assert level["errors"] == {"http_429": 4}
    assert level["completed"] == 4
    assert any("4 refusals asked us to wait (Retry-After, up to 1 s); users did" in note for note in level["notes"])
    assert "http\\_429 4" in (tmp_path / "report.md").read_text()  # Markdown escapes the underscore
