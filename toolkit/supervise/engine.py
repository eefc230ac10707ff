"""One run of an engine under its shim: start it, find it again, wait for its end, end it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import EnvironmentFailedError
from toolkit.supervise import control, oom, process, shim
from toolkit.supervise.process import Handle, Identity

SPAWN_S = 15.0
SETTLE_S = 12.0
"""The shim ends orphans within nine seconds; this is a little more."""
KILL_S = 5.0
RECORD_S = 2.0
TALK_S = 2.0
POLL_S = 0.01
LOG_TAIL_BYTES = 65536
"""vLLM's tracebacks of two processes fit."""


@dataclass(frozen=True)
class Launch:
    """Everything a shim needs. ``env`` may hold a secret: it goes through a pipe, never argv or a file."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    log_max_bytes: int
    log_keep: int
    asked: str
    """The path that is asked while it loads; an engine that logs each request does not get on by that."""
    port: int
    uds: str
    """Path of the Unix socket it is told to listen on; empty when it listens on ``port``."""
    mark: str
    digest: str
    """Of the plan, so that a later supervisor knows whether this engine is the one it wants."""
    ladder: oom.Ladder
    """What a lack of memory has made of the plan."""


@dataclass(frozen=True)
class Exit:
    """How a run ended: ``code`` or ``signal``; neither when nobody could tell."""

    code: int | None
    signal: int | None
    at: str
    error: str | None = None


class EngineRun:
    """A live engine. ``pid`` is its leader's."""

    def __init__(self, folder: Path, state: dict[str, Any], child: subprocess.Popen[bytes] | None) -> None:
        self._folder = folder
        self._child = child
        shim_identity, engine = Identity.parse(state.get("shim")), Identity.parse(state.get("engine"))
        if shim_identity is None or engine is None:
            raise EnvironmentFailedError(f"{folder}/state.json is damaged")
        self.shim, self.leader = shim_identity, engine
        self.seen = {engine.pid}
        """Every pid that was ever found in its tree."""
        meta = state.get("meta") or {}
        self.address: int | str = str(meta.get("uds") or "") or int(meta.get("port", 0))
        self.mark = str(meta.get("mark", ""))
        self.digest = str(meta.get("digest", ""))
        self.ladder = oom.parse(meta.get("ladder"))
        self._log_from = int(meta.get("log_from", 0))
        self._leader = Handle.open(self.leader)
        self._shim = Handle.open(self.shim)

    @property
    def pid(self) -> int:
        """The engine's leader."""
        return self.leader.pid

    @classmethod
    async def start(cls, folder: Path, launch: Launch) -> EngineRun:
        """Spawn shim and engine; return when the engine process exists.

        Raises:
            EnvironmentFailedError: the program could not be started; says why.
            OSError: no file can be written, or no process made; it may pass.
        """
        for name in ("state.json", "exit.json"):
            with contextlib.suppress(FileNotFoundError):
                (folder / name).unlink()
        child = await asyncio.to_thread(_spawn_shim, folder, launch)
        deadline = asyncio.get_running_loop().time() + SPAWN_S
        while "engine" not in (state := _read(folder / "state.json") or {}):
            ended = _read(folder / "exit.json")
            if ended or child.poll() is not None or asyncio.get_running_loop().time() > deadline:
                await asyncio.to_thread(_abandon, child)
                problem = (child.returncode or 0) - shim.NO_DISK
                if ended is None and problem in errno.errorcode:
                    raise OSError(problem, f"{folder} cannot be written: {os.strerror(problem)}")
                why = (ended or {}).get("error") or _tail(folder / "shim.log", 500) or "its parent did not answer"
                raise EnvironmentFailedError(f"the engine could not be started: {why}")
            await asyncio.sleep(POLL_S)
        return cls(folder, state, child)

    @classmethod
    def attach(cls, folder: Path) -> EngineRun | None:
        """The run that an earlier supervisor left behind; None when its processes are gone."""
        state = _read(folder / "state.json")
        if state is None:
            return None
        with contextlib.suppress(EnvironmentFailedError):
            run = cls(folder, state, None)
            if run.leader.alive() and run.shim.alive():
                return run
            run.close()
        return None

    @classmethod
    async def end_strays(cls, folder: Path) -> int:
        """End what is left of a run whose shim is gone, and how many that were; found by the run's own mark.

        Raises:
            EnvironmentFailedError: something survives even SIGKILL; names its pids.
        """
        meta = (_read(folder / "state.json") or {}).get("meta") or {}
        return await _end_marked(str(meta.get("mark", "")))

    @property
    def adopted(self) -> bool:
        """Whether an earlier supervisor started it."""
        return self._child is None

    def alive(self) -> bool:
        """Whether the leader still runs."""
        return self.leader.alive()

    def tree(self) -> list[int]:
        """Live pids below the shim: the engine and all it has started."""
        pids = shim.descendants(self.shim.pid) if self.shim.alive() else []
        self.seen.update(pids)
        return pids

    async def ended(self) -> None:
        """Wait for the leader's end."""
        if self._leader:
            await self._leader.ended()

    async def record(self) -> Exit:
        """How the leader, which has ended, did so; the shim writes it within moments."""
        deadline = asyncio.get_running_loop().time() + RECORD_S
        while asyncio.get_running_loop().time() < deadline:
            record = _read(self._folder / "exit.json")
            if record and record.get("pid") == self.pid:
                return Exit(record.get("code"), record.get("signal"), str(record.get("at")))
            if not self.shim.alive() and record is None:
                break
            await asyncio.sleep(POLL_S)
        return Exit(None, None, shim.now())

    async def end(self, grace_s: float) -> int:
        """SIGTERM, after ``grace_s`` SIGCONT and SIGTERM again, then SIGKILL the tree; wait until all is gone.

        Returns how many processes had to be ended besides the leader.

        Raises:
            EnvironmentFailedError: something survives even SIGKILL; names its pids.
        """
        if self.alive() and grace_s > 0:
            await self._signal(signal.SIGTERM)
            if not await self._gone_within(grace_s):
                await self._signal(signal.SIGCONT)
                await self._signal(signal.SIGTERM)
                await self._gone_within(min(1.0, grace_s / 10))
        if self.alive():
            await self._signal(signal.SIGKILL, tree=True)
        orphans = await self._settled()
        await _end_marked(self.mark)
        return orphans

    async def _signal(self, number: int, *, tree: bool = False) -> None:
        request = {"op": "signal", "signal": int(number), "tree": tree}
        answer = await asyncio.to_thread(control.ask, self._folder, "shim.sock", request, TALK_S)
        if answer is None and self._leader:
            self._leader.send(number)

    async def _gone_within(self, limit_s: float) -> bool:
        if self._leader is None:
            return True
        try:
            await asyncio.wait_for(self._leader.ended(), limit_s)
        except TimeoutError:
            return False
        return True

    async def _settled(self) -> int:
        """Wait for the shim to end; it goes when the tree is empty."""
        if self._shim:
            try:
                await asyncio.wait_for(self._shim.ended(), SETTLE_S)
            except TimeoutError:
                self._shim.send(signal.SIGKILL)
        if self._child:
            await asyncio.to_thread(self._child.wait, 5)
        record = _read(self._folder / "exit.json") or {}
        return int(record.get("orphans") or 0)

    async def log_state(self) -> dict[str, Any]:
        """``log_bytes``, ``dropped_log_bytes`` and ``log_error`` as the shim counts them; empty when it is gone."""
        return await asyncio.to_thread(control.ask, self._folder, "shim.sock", {"op": "status"}, TALK_S) or {}

    def log_tail(self) -> str:
        """The last words of this run in the engine's log."""
        return _tail(self._folder / "engine.log", LOG_TAIL_BYTES, self._log_from)

    def close(self) -> None:
        """Give the descriptors back."""
        for handle in (self._leader, self._shim):
            if handle:
                handle.close()
        if isinstance(self.address, str) and not self.alive():
            Path(self.address).unlink(missing_ok=True)


async def _end_marked(mark: str) -> int:
    """Nothing that carries this engine's mark may be left; how many had to be killed."""
    strays = await asyncio.to_thread(process.marked, mark) if mark else []
    left = await process.kill_all(strays, KILL_S) if strays else []
    if left:
        pids = ", ".join(str(i.pid) for i in left)
        raise EnvironmentFailedError(f"processes of the old engine cannot be killed: pid {pids}")
    return len(strays)


def _spawn_shim(folder: Path, launch: Launch) -> subprocess.Popen[bytes]:
    spec = {
        "argv": launch.argv,
        "env": launch.env | {process.MARK: launch.mark},
        "cwd": launch.cwd,
        "folder": str(folder),
        "log_max_bytes": launch.log_max_bytes,
        "log_keep": launch.log_keep,
        "asked": launch.asked,
        "meta": {
            "port": launch.port,
            "uds": launch.uds,
            "mark": launch.mark,
            "digest": launch.digest,
            "ladder": asdict(launch.ladder),
            "log_from": _size(folder / "engine.log"),
        },
    }
    with (folder / "shim.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(shim.__file__))],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
    if child.stdin:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(spec).encode())
            child.stdin.close()
    return child


def _abandon(child: subprocess.Popen[bytes]) -> None:
    """Reap a shim that failed to start its engine."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(2)
    if child.poll() is None:
        child.kill()
        child.wait(5)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _tail(path: Path, limit_bytes: int, begin: int = 0) -> str:
    """The end of a file from ``begin`` on; from its start when it has been rotated since."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0 if size < begin else begin, size - limit_bytes))
            return file.read(limit_bytes).decode(errors="replace").strip()
    except OSError:
        return ""
