"""What `selfhost serve` shows in the foreground: on a real pseudo-terminal, on a pipe, and at every kind of end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.supervise.harness import World, chat, kill, until
from tests.supervise.test_cli_serve import Shell
from toolkit.cli.live import BARS, chart, facts
from toolkit.supervise import api
from toolkit.types import Deployment, LastExit

HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"
READY = Deployment(
    name="s", state="ready", pid=1, supervisor_pid=2, backend="vllm", base_url="http://127.0.0.1:1/v1", restarts=0
)


def test_what_is_not_known_has_no_line() -> None:
    assert dict(facts(READY.model_copy(update={"served_name": "m"}), [])) == {
        "model": "m on vllm",
        "in flight": "0, 0 waiting",
    }


def test_everything_that_is_known_has_one() -> None:
    status = READY.model_copy(
        update={
            "in_flight": 3,
            "queued": 2,
            "effective_config": {"max_in_flight": 4},
            "output_tok_s": 50.0,
            "kv_use": 0.424,
            "restarts": 1,
            "last_exit": LastExit(reason="signal:9", at="2026-01-01T00:00:00+0000"),
            "usd_per_mtok": Decimal("0.4142"),
            "reason": "slow",
        }
    )
    shown = dict(facts(status, [0.0, 25.0, 50.0]))
    assert shown["in flight"] == "3 of 4, 2 waiting"
    assert shown["tokens/s"] == f"50.0     {BARS[0]}{BARS[4]}{BARS[7]}"
    assert shown["KV cache"] == "42% in use"
    assert shown["restarts"] == "1, the last after signal:9"
    assert shown["because"] == "slow"
    assert shown["cost"] == "$0.41 per million tokens so far"


def test_no_speed_no_chart() -> None:
    assert chart([]) == chart([0.0, 0.0]) == ""


class Terminal:
    """`selfhost serve` on a pseudo-terminal of its own."""

    def __init__(self, shell: Shell, *words: str, rows: int = 24, columns: int = 100, **env: str) -> None:
        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(follower)
        serve = ("serve", "--backend", "command", "--cmd", shell.cmd, "--served-name", "fake", "--port", "0")
        outside = ("NO_COLOR", "COLUMNS", "LINES")  # some runners export a width, which outweighs the terminal's own
        kept = {key: value for key, value in shell.env.items() if key not in outside}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "toolkit.cli.main", *serve, *words],
            env=kept | {"TERM": "xterm-256color"} | env,
            stdin=follower,
            stdout=subprocess.DEVNULL,
            stderr=follower,
        )
        self.follower = follower
        self.seen = b""

    def read(self) -> bytes:
        while select.select([self.leader], [], [], 0.02)[0]:
            self.seen += os.read(self.leader, 65536)
        return self.seen

    def shows(self, text: str, limit_s: float = 15) -> None:
        until(lambda: text.encode() in self.read(), limit_s, f"{text!r} in {self.seen[-600:]!r}")

    def wait(self, limit_s: float = 15) -> int:
        deadline = time.monotonic() + limit_s
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
        self.read()
        return self.process.wait(1)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        os.close(self.leader)
        os.close(self.follower)

    def restored(self) -> bool:
        """The cursor is back, and the line discipline as it was."""
        return self.seen.rfind(SHOW) > self.seen.rfind(HIDE) and termios.tcgetattr(self.follower) == self.before


@pytest.fixture
def shell(world: World) -> Shell:
    return Shell(world)


@pytest.fixture
def terminal(shell: Shell) -> Iterator[Terminal]:
    opened = Terminal(shell)
    yield opened
    opened.close()


@pytest.mark.slow
def test_one_screen_from_start_to_ctrl_c(terminal: Terminal) -> None:
    terminal.shows("up 0:0")
    assert HIDE in terminal.seen
    for words in ("fake on command", "0, 0 waiting", "http://127.0.0.1:", "ready      in ", "Ctrl-C drains and stops"):
        assert words.encode() in terminal.seen, words
    assert chat(api.status("fake"))[0] == 200
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.wait() == 0
    last = re.split(rb"\x1b\[1A", terminal.seen)[-1]
    assert b"stopped" in last
    assert b"Ctrl-C" not in last
    assert terminal.restored()


@pytest.mark.slow
def test_the_terminal_is_restored_after_a_failed_start(shell: Shell) -> None:
    shell.world.faults(exit_at_start=[2, "error: unrecognized arguments: --what"])
    terminal = Terminal(shell)
    try:
        assert terminal.wait() == 3
        assert b"error: fake did not start: the engine does not accept its arguments" in terminal.seen
        assert terminal.seen.rfind(b"error: fake") > terminal.seen.rfind(SHOW), "the error comes below the screen"
        assert terminal.restored()
    finally:
        terminal.close()


@pytest.mark.slow
def test_a_crash_is_on_the_screen_with_its_cause(terminal: Terminal) -> None:
    terminal.shows("up 0:0")
    kill(api.status("fake").pid)
    terminal.shows("crash      signal:9")
    terminal.shows("1, the last after signal:9")


@pytest.mark.slow
def test_no_color_means_no_color_and_a_small_terminal_is_not_overrun(shell: Shell) -> None:
    terminal = Terminal(shell, rows=8, columns=40, NO_COLOR="1")
    try:
        terminal.shows("up 0:0")
        colors = re.findall(rb"\x1b\[([0-9;]*)m", terminal.seen)
        assert not [c for c in colors if any(30 <= int(n or 0) <= 107 for n in c.split(b";"))]
        for frame in terminal.seen.split(b"\x1b[?25l", 1)[1].split(b"\r\x1b[2K"):
            text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", frame).decode(errors="replace")
            assert text.count("\n") < 8
            assert all(len(row.rstrip("\r")) <= 40 for row in text.split("\n"))
    finally:
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait()
        terminal.close()


@pytest.mark.slow
def test_a_dumb_terminal_and_a_pipe_get_plain_lines(shell: Shell) -> None:
    terminal = Terminal(shell, TERM="dumb")
    try:
        terminal.shows("serving fake at http://127.0.0.1:")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 0
        assert b"\x1b" not in terminal.seen
    finally:
        terminal.close()
    piped = shell.popen("serve", "--backend", "command", "--cmd", shell.cmd, "--served-name", "fake", "--port", "0")
    until(lambda: api.status("fake").state == "ready", 10)
    time.sleep(1.2)
    piped.send_signal(signal.SIGINT)
    out, err = piped.communicate(timeout=15)
    assert (piped.returncode, out) == (0, "")
    assert "\x1b" not in err
    assert err.count("serving fake at http://127.0.0.1:") == 1
