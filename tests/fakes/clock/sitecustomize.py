"""A wall clock that can be set: put this folder on PYTHONPATH of a child. FAKE_CLOCK names a file with seconds to add.

Every clock of `time` that shows wall time follows the file while the process runs; monotonic clocks do not, as when an
administrator or NTP sets the time of a machine.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

_FILE = Path(os.environ["FAKE_CLOCK"])
_time, _time_ns, _clock_gettime = time.time, time.time_ns, time.clock_gettime
_localtime, _gmtime, _strftime = time.localtime, time.gmtime, time.strftime


def _offset_s() -> float:
    try:
        return float(_FILE.read_text() or 0)
    except (OSError, ValueError):
        return 0.0


def _now(seconds: float | None = None) -> float:
    return time.time() if seconds is None else seconds


def _set_gettime(clock: int) -> float:
    return _clock_gettime(clock) + (_offset_s() if clock == time.CLOCK_REALTIME else 0)


def _set_strftime(form: str, *when: Any) -> str:
    return _strftime(form, *(when or (time.localtime(),)))


time.time = lambda: _time() + _offset_s()
time.time_ns = lambda: _time_ns() + int(_offset_s() * 1e9)
time.clock_gettime = _set_gettime
time.localtime = lambda seconds=None: _localtime(_now(seconds))
time.gmtime = lambda seconds=None: _gmtime(_now(seconds))
time.strftime = _set_strftime
