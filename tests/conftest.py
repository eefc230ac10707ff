"""For every test: the signals that a terminal would give.

A run that a shell starts in the background (``nohup``, ``&`` in a script) inherits an ignored SIGINT, which every
child inherits in turn: no test could press Ctrl-C.
"""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Also in each worker of pytest-xdist."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
