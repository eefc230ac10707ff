"""The state folder of one served name: what it serves, how it is, what happened, and who may write.

::

    servers/NAME/  lock  coming.json  spec.json  status.json  events.jsonl  control.sock  supervisor.log
                   engine → engines/a or engines/b, the slot of the engine that serves
                   engines/a/  state.json  exit.json  shim.sock  engine.log[.N]  engine.key

The folder is 0700. One supervisor a name holds ``lock``; the kernel frees it when that process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from toolkit.errors import EnvironmentFailedError, InputError, UnknownNameError
from toolkit.paths import state_root
from toolkit.supervise import shim
from toolkit.supervise.limits import Limits
from toolkit.supervise.process import Identity
from toolkit.types import Deployment, Event, Frozen, LaunchPlan, Money

FORMAT = 1
"""Version of the files in the folder; a higher number was written by a newer selfhost."""
EVENTS_MAX_BYTES = 2**20
EVENTS_SHOWN = 20
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
COMING = "coming.json"
LOCK_PATIENCE_S = 0.5
ASIDE = ".bad-"
"""Stands between a file's name and the time when it was found unreadable."""


class Spec(Frozen):
    """What a served name was told to serve. No secret is in it, only the path of the key file."""

    format: int
    name: str
    plan: LaunchPlan
    host: str
    port: int
    key_file: str | None = None
    limits: Limits = Limits()
    cwd: str
    usd_per_hour: Money | None = None
    """What the machine costs, for dollars per million tokens so far."""


M = TypeVar("M", bound=Frozen)


class Folder:
    """The state folder of one name."""

    def __init__(self, name: str) -> None:
        if not NAME_PATTERN.fullmatch(name):
            raise InputError(f"{name!r} cannot name a server", "use letters, digits, '.', '_' and '-', at most 64.")
        self.name = name
        self.path = state_root() / "servers" / name
        self.engine = self.path / "engine"

    def create(self) -> None:
        """Make the folder, readable by its user only."""
        try:
            for slot in self.slots():
                slot.mkdir(parents=True, exist_ok=True, mode=0o700)
                slot.chmod(0o700)
            self.path.chmod(0o700)
            if self.engine.is_dir() and not self.engine.is_symlink():  # one slot, as of before there were two
                self.slots()[0].rmdir()
                self.engine.rename(self.slots()[0])
            if not self.engine.is_dir():
                self.use(self.slots()[0])
        except OSError as error:
            raise EnvironmentFailedError(f"the state folder {self.path} cannot be made: {error}") from None

    def slots(self) -> tuple[Path, Path]:
        """Folders of the two engines that a swap has for a while."""
        return self.path / "engines" / "a", self.path / "engines" / "b"

    def slot(self) -> Path:
        """The slot of the engine that serves."""
        return next((slot for slot in self.slots() if slot.name == self.engine.resolve().name), self.slots()[0])

    def other(self, slot: Path) -> Path:
        """The slot that is not this one."""
        a, b = self.slots()
        return b if slot == a else a

    def use(self, slot: Path) -> None:
        """From now on the engine of this slot is the one that serves."""
        fresh = self.path / "engine.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("engines") / slot.name)
        fresh.replace(self.engine)

    def known(self) -> bool:
        """Whether this name has ever been served."""
        return (self.path / "spec.json").is_file()

    def lock(self) -> int | None:
        """Become the one supervisor: a descriptor to keep open, or None when another holds it."""
        fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() >= deadline:
                    os.close(fd)
                    return None
                time.sleep(0.02)
            else:
                os.ftruncate(fd, 0)
                os.write(fd, str(os.getpid()).encode())
                return fd

    def supervisor_pid(self) -> int | None:
        """Pid of the live supervisor; None when nobody holds the lock."""
        try:
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            text = os.pread(fd, 32, 0)
            return int(text) if text.isdigit() else None
        finally:
            os.close(fd)
        return None

    def refuse_second(self) -> None:
        """One supervisor a name.

        Raises:
            InputError: another one lives; says which.
        """
        pid = self.supervisor_pid()
        if pid:
            raise InputError(
                f"{self.name!r} is already served by supervisor pid {pid}", "stop it, or choose another name."
            )

    def announce(self, pid: int | None) -> None:
        """A supervisor is being started and has not got the lock yet: whoever stops the name now waits for it."""
        path = self.path / COMING
        with contextlib.suppress(OSError):
            if pid is None:
                path.unlink(missing_ok=True)
            else:
                _replace(path, json.dumps(shim.identity(pid)))

    def announced(self) -> int | None:
        """Pid of the process that is to become the supervisor; None when there is none."""
        try:
            identity = Identity.parse(json.loads((self.path / COMING).read_text()))
        except (OSError, ValueError):
            return None
        return identity.pid if identity and identity.alive() else None

    def write_spec(self, spec: Spec) -> None:
        """Replace ``spec.json``."""
        _replace(self.path / "spec.json", spec.model_dump_json(by_alias=True, exclude_unset=True))

    def read_spec(self) -> Spec | None:
        """What was last served under this name; None when nothing was, or the file is unusable."""
        return self._read("spec.json", Spec)

    def write_status(self, status: Deployment) -> None:
        """Replace ``status.json``; a full disk is no reason to stop serving."""
        with contextlib.suppress(OSError):
            _replace(self.path / "status.json", status.model_dump_json(by_alias=True))

    def read_status(self) -> Deployment | None:
        """The last written status."""
        return self._read("status.json", Deployment)

    def _read(self, file: str, kind: type[M]) -> M | None:
        path = self.path / file
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise EnvironmentFailedError(f"{path} cannot be read: {error}") from None
        try:
            return kind.model_validate_json(text)
        except ValidationError:
            _refuse_newer(path, text)
            aside = path.with_name(f"{file}{ASIDE}{datetime.now():%Y%m%d-%H%M%S-%f}")
            path.replace(aside)
            self.add_event(Event(at=_now(), what="state_moved", detail=f"{file} was unreadable: {aside.name}"))
            return None

    def moved_aside(self) -> str | None:
        """What the last unreadable file was, and where it is kept, in words."""
        found = max(self.path.glob(f"*{ASIDE}*"), key=lambda path: path.name.partition(ASIDE)[2], default=None)
        return f"{found.name.partition(ASIDE)[0]} was unreadable and is kept as {found}" if found else None

    def add_event(self, event: Event) -> None:
        """Append to the event log, which is cut to its newer half when it grows too long."""
        path = self.path / "events.jsonl"
        with contextlib.suppress(OSError):
            if path.exists() and path.stat().st_size > EVENTS_MAX_BYTES:
                path.replace(path.with_suffix(".jsonl.1"))
            with path.open("a", encoding="utf-8") as file:
                file.write(event.model_dump_json() + "\n")

    def events_after(self, offset: int) -> tuple[list[Event], int]:
        """Events written from a byte offset on, and the next offset."""
        path = self.path / "events.jsonl"
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(0 if size < offset else offset)
                data = file.read(4 * EVENTS_MAX_BYTES)
                end = file.tell()
        except OSError:
            return [], 0
        whole, _, rest = data.rpartition(b"\n")
        events = []
        for line in whole.splitlines():
            with contextlib.suppress(ValidationError):
                events.append(Event.model_validate_json(line))
        return events, end - len(rest)

    def events_end(self) -> int:
        """Offset behind the last event written so far."""
        with contextlib.suppress(OSError):
            return (self.path / "events.jsonl").stat().st_size
        return 0


def _refuse_newer(path: Path, text: str) -> None:
    with contextlib.suppress(ValueError):
        document = json.loads(text)
        if isinstance(document, dict):
            written = document.get("format", document.get("schema_version", 0))
            if isinstance(written, int) and written > FORMAT:
                raise EnvironmentFailedError(
                    f"{path} was written by a newer selfhost (format {written}, this one knows {FORMAT})",
                    "use the newer version or another name, or remove the folder once its server is stopped.",
                )


def folder_of(name: str) -> Folder:
    """The folder of a name that has been served.

    Raises:
        UnknownNameError: no such server; carries near names.
    """
    known = list(names())
    if name not in known:
        hint = None if known else "no server has been started yet."
        raise UnknownNameError("server", name, known, hint)
    return Folder(name)


def names() -> Iterator[str]:
    """Names of all servers that have a state folder."""
    root = state_root() / "servers"
    if root.is_dir():
        for path in sorted(root.iterdir()):
            if (path / "spec.json").is_file() or any(path.glob(f"spec.json{ASIDE}*")):
                yield path.name


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
