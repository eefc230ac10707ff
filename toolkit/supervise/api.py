"""The door to supervision: start, status, stop, restart, logs. Synchronous; used by the commands and quickstart."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from toolkit.backends.base import named
from toolkit.errors import DeclinedError, EnvironmentFailedError, InputError, StartFailedError
from toolkit.supervise import control, keys, launch, preflight, store
from toolkit.supervise.engine import EngineRun
from toolkit.supervise.limits import Limits
from toolkit.supervise.process import Identity
from toolkit.supervise.store import EVENTS_SHOWN, FORMAT, Folder, Spec
from toolkit.types import Deployment, Event, LaunchPlan, StatusList

POLL_S = 0.05
ASK_S = 5.0
EXTRA_S = 60.0

OnEvent = Callable[[Event], None]


def _ignore(event: Event) -> None:
    """The default for callers who do not follow events."""


def check(
    plan: LaunchPlan,
    *,
    name: str,
    host: str,
    port: int,
    limits: Limits,
    key_file: Path | None,
    on_event: OnEvent = _ignore,
) -> Spec:
    """Everything that can be refused before anything starts; the spec to serve, its port chosen.

    A server of that name that is being stopped is waited for.

    Raises:
        InputError: the name is taken or no name, the port is taken, the key file or the address is not usable,
            the backend is unknown, the model file is not whole.
    """
    check_spec(plan, name=name, host=host, key_file=key_file)
    _let_it_stop(Folder(name), on_event)
    Folder(name).refuse_second()
    if port == 0:
        port = preflight.free_port(host)
    else:
        preflight.check_port(host, port)
    return Spec(
        format=FORMAT,
        name=name,
        plan=plan,
        host=host,
        port=port,
        key_file=str(key_file.resolve()) if key_file else None,
        limits=limits,
        cwd=str(Path.cwd()),
    )


def _let_it_stop(folder: Folder, on_event: OnEvent) -> None:
    """Wait while the server of that name ends its requests and itself; at once when it does not."""
    offset, deadline = folder.events_end(), None
    while (live := _live(folder)) and live.state in ("draining", "stopping", "stopped"):
        if deadline is None:
            spec = folder.read_spec()
            deadline = time.monotonic() + _stop_limit_s(spec.limits if spec else Limits())
        elif time.monotonic() > deadline:
            return
        offset = _follow(folder, offset, on_event)
        time.sleep(POLL_S)


def _stop_limit_s(limits: Limits) -> float:
    """Seconds after which a stop has failed."""
    return limits.drain_s + limits.term_grace_s + EXTRA_S


def check_spec(plan: LaunchPlan, *, name: str, host: str, key_file: Path | None) -> None:
    """The part of `check` that holds for a later start as well: nothing about names and ports in use now."""
    named(plan.backend)
    Folder(name)
    accepted = keys.read_keys(key_file) if key_file else keys.Keys(())
    keys.check_bind(host, bool(accepted))
    preflight.check_model(plan)


def run_foreground(spec: Spec, on_event: OnEvent, on_tick: Callable[[Deployment], None] | None = None) -> Deployment:
    """Serve in this process until stopped (Ctrl-C, SIGTERM, or `stop` from elsewhere); the last status.

    Raises:
        StartFailedError: the first start failed for good.
        InputError: see `daemon.serve`.
    """
    from toolkit.supervise import daemon  # with aiohttp: no other caller of this module needs it

    _look_back(Folder(spec.name), on_event)
    return asyncio.run(daemon.serve(spec, on_event, on_tick))


def start_detached(
    plan: LaunchPlan,
    *,
    name: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    key_file: Path | None = None,
    on_event: OnEvent = _ignore,
) -> Deployment:
    """Serve in a process of its own and return when it is ready. ``port`` 0 picks a free one.

    Raises:
        InputError: see `check`.
        StartFailedError: it did not become ready; says why. Nothing is left running.
    """
    spec = check(plan, name=name, host=host, port=port, limits=limits or Limits(), key_file=key_file)
    return start_spec(spec, on_event)


def start_spec(spec: Spec, on_event: OnEvent = _ignore) -> Deployment:
    """`start_detached` for a checked spec, also one of an earlier run."""
    folder = Folder(spec.name)
    _look_back(folder, on_event)
    folder.create()
    folder.write_spec(spec)
    offset = folder.events_end()
    with (folder.path / "supervisor.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "toolkit.supervise", spec.name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        folder.announce(child.pid)
        return _until_ready(folder, child, spec, offset, on_event)
    except BaseException:
        with contextlib.suppress(EnvironmentFailedError):
            _stop_child(folder, child)
        raise
    finally:
        folder.announce(None)


def _look_back(folder: Folder, on_event: OnEvent) -> None:
    """Before the folder is written: nothing of a newer selfhost is lost, and what is unreadable is kept and told."""
    offset = folder.events_end()
    folder.read_spec()
    folder.read_status()
    _follow(folder, offset, on_event)


def _until_ready(
    folder: Folder, child: subprocess.Popen[bytes], spec: Spec, offset: int, on_event: OnEvent
) -> Deployment:
    """Follow the events until the server is ready or its supervisor has given up."""
    limit_s = spec.limits.load_cap_s * spec.limits.never_ready_limit + EXTRA_S
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        events, offset = folder.events_after(offset)
        for event in events:
            on_event(event)
        if any(event.what == "ready" for event in events):
            live = _live(folder)
            if live and live.state in ("ready", "degraded") and live.supervisor_pid == child.pid:
                return live  # not the one of another start of this name in the same moment
        if ended:
            raise StartFailedError(_why_ended(folder, spec), f"log: {log_path(spec.name)}")
        time.sleep(POLL_S)
    raise StartFailedError(f"{spec.name} was not ready within {limit_s:g} s", f"log: {log_path(spec.name)}")


def _why_ended(folder: Folder, spec: Spec) -> str:
    with contextlib.suppress(OSError):
        lines = (folder.path / "supervisor.log").read_text(errors="replace").strip().splitlines()
        if lines:
            return lines[-1]
    return f"the supervisor of {spec.name} ended without a word"


def _stop_child(folder: Folder, child: subprocess.Popen[bytes]) -> None:
    """End a supervisor that we started, and what it started."""
    if child.poll() is None:
        control.ask(folder.path, control.SUPERVISOR, {"op": "stop", "now": True}, ASK_S)
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(5)
    _end_left_engine(folder)


def status(name: str) -> Deployment:
    """How a served name is now.

    Raises:
        UnknownNameError: nothing of that name was ever served.
    """
    folder = store.folder_of(name)
    return _live(folder) or _at_rest(folder)


def status_all() -> StatusList:
    """Every name that was ever served here; one that cannot be read does not hide the others."""
    return StatusList(servers=tuple(_listed(name) for name in store.names()))


def _listed(name: str) -> Deployment:
    try:
        return status(name)
    except EnvironmentFailedError as error:
        pid = Folder(name).supervisor_pid()
        return _unknown(name).model_copy(
            update={"state": "degraded" if pid else "stopped", "supervisor_pid": pid, "reason": error.message}
        )


def _unknown(name: str) -> Deployment:
    """A served name of which nothing more is known."""
    return Deployment(name=name, state="stopped", pid=None, supervisor_pid=None, backend="–", base_url="", restarts=0)


def _live(folder: Folder) -> Deployment | None:
    """What the supervisor itself says; None when there is none."""
    if folder.supervisor_pid() is None:
        return None
    answer = control.ask(folder.path, control.SUPERVISOR, {"op": "status"}, ASK_S)
    if answer and "state" in answer:
        try:
            return Deployment.model_validate(answer)
        except ValidationError:
            raise EnvironmentFailedError(f"the supervisor of {folder.name} is of another version of selfhost") from None
    return folder.read_status()


def _at_rest(folder: Folder) -> Deployment:
    """The last written status, made true: no supervisor runs now."""
    written = folder.read_status()
    spec = folder.read_spec()
    if written is None:
        written = _rebuilt(folder, spec)
    left, coming = EngineRun.attach(folder.engine), folder.announced()
    if coming:
        update: dict[str, object] = {"state": "preflight", "pid": None, "reason": "its supervisor is being started"}
    elif left:
        why = f"its supervisor is gone; engine pid {left.pid} runs on without its endpoint: restart re-attaches"
        update = {"state": "degraded", "pid": left.pid, "reason": why}
    else:
        gone = written.state not in ("stopped", "fatal")
        update = {"state": "stopped" if gone else written.state, "pid": None}
        if gone:
            update["reason"] = "its supervisor ended without stopping it; nothing runs now"
    if left:
        left.close()
    update |= {"supervisor_pid": None, "in_flight": 0, "queued": 0, "uptime_s": None}
    return written.model_copy(update=update)


def _rebuilt(folder: Folder, spec: Spec | None) -> Deployment:
    """A status where none is written, from what else is there."""
    found: dict[str, object] = {"reason": folder.moved_aside(), "events": folder.events_after(0)[0][-EVENTS_SHOWN:]}
    if spec:
        plan = spec.plan
        found |= {"backend": plan.backend, "base_url": launch.base_url(spec), "served_name": plan.served_name}
    return _unknown(folder.name).model_copy(update=found)


def stop(name: str, on_event: OnEvent = _ignore, *, now: bool = False) -> Deployment:
    """Drain and stop; stopping a stopped server is no error. ``now`` does not wait for requests in flight.

    Raises:
        UnknownNameError: nothing of that name was ever served.
        EnvironmentFailedError: it does not stop, or was asked to run again meanwhile.
    """
    folder = store.folder_of(name)
    spec = folder.read_spec()
    limits = spec.limits if spec else Limits()
    offset = folder.events_end()
    deadline = time.monotonic() + _stop_limit_s(limits)
    pid = folder.supervisor_pid() or _coming(folder)
    supervisor, answer, asked = Identity.of(pid) if pid else None, None, offset
    while pid and (folder.supervisor_pid() == pid or (supervisor and pid != os.getpid() and supervisor.alive())):
        if answer is None:  # it may not listen yet
            answer = control.ask(folder.path, control.SUPERVISOR, {"op": "stop", "now": now}, ASK_S)
            asked = folder.events_end()
        if time.monotonic() > deadline:
            raise EnvironmentFailedError(f"{name} does not stop", f"see {folder.path}/supervisor.log")
        time.sleep(POLL_S)
        offset = _follow(folder, offset, on_event)
        started_again = answer and any(event.what == "starting" for event in folder.events_after(asked)[0])
        if started_again and folder.supervisor_pid() == pid:
            raise EnvironmentFailedError(f"{name} was asked to run again before it had stopped, and does")
    _follow(folder, offset, on_event)
    _end_left_engine(folder)
    return _at_rest(folder)


def _coming(folder: Folder) -> int | None:
    """Pid of a supervisor that is being started at this moment, once it has the name; None when there is none."""
    deadline = time.monotonic() + EXTRA_S
    while folder.announced() and time.monotonic() < deadline:
        if pid := folder.supervisor_pid():
            return pid
        time.sleep(POLL_S)
    return folder.supervisor_pid()


def _end_left_engine(folder: Folder) -> None:
    """End an engine whose supervisor is gone."""
    lock = folder.lock()
    if lock is None:
        return
    try:
        (folder.path / control.SUPERVISOR).unlink(missing_ok=True)
        ended = [_end_left_in(slot, folder) for slot in folder.slots()]
        written = folder.read_status()
        if any(ended) and written:
            folder.write_status(written.model_copy(update={"state": "stopped", "pid": None, "reason": None}))
    finally:
        os.close(lock)


def _end_left_in(slot: Path, folder: Folder) -> bool:
    """End the engine of one slot; False when there is none."""
    left = EngineRun.attach(slot)
    if left is None:
        (slot / "shim.sock").unlink(missing_ok=True)
        return asyncio.run(EngineRun.end_strays(slot)) > 0
    spec = folder.read_spec()
    asyncio.run(left.end((spec.limits if spec else Limits()).term_grace_s))
    left.close()
    return True


def _follow(folder: Folder, offset: int, on_event: OnEvent) -> int:
    events, offset = folder.events_after(offset)
    for event in events:
        on_event(event)
    return offset


def restart(
    name: str, on_event: OnEvent = _ignore, *, zero_downtime: bool = False, fall_back: bool = False
) -> Deployment:
    """Drain, stop and start again; a stopped server, or one without a supervisor, is started as it was.

    With ``zero_downtime`` a second engine becomes ready first and takes over while the old one ends its requests;
    ``fall_back`` allows a plain restart where memory does not suffice for two. Interrupted before that, the second
    engine is given up and the old one serves on.

    Raises:
        UnknownNameError: nothing of that name was ever served.
        DeclinedError: memory does not suffice for a second engine; carries the sums.
        StartFailedError: it did not become ready again, or the second engine did not and the old one serves on.
    """
    folder = store.folder_of(name)
    spec = folder.read_spec()
    if spec is None:
        why = folder.moved_aside()
        raise InputError(f"what {name!r} served is not known any more" + (f": {why}" if why else ""), "serve it again.")
    offset = folder.events_end()
    if folder.supervisor_pid():
        request = {"op": "swap", "fall_back": fall_back} if zero_downtime else {"op": "restart"}
        answer = control.ask(folder.path, control.SUPERVISOR, request, ASK_S)
        if answer and "refused" in answer:
            message = f"two engines of {name} do not fit beside each other: {answer['refused']}"
            raise DeclinedError(message, "nothing was changed. A plain restart needs no more memory, but pauses.")
        if answer:
            try:
                done = _until_restarted(folder, spec, offset, on_event)
            except KeyboardInterrupt:
                control.ask(folder.path, control.SUPERVISOR, {"op": "keep"}, ASK_S)
                raise
            if done:
                return done
    preflight.check_port(spec.host, spec.port)
    return start_spec(spec, on_event)


def _until_restarted(folder: Folder, spec: Spec, offset: int, on_event: OnEvent) -> Deployment | None:
    """Follow a supervisor through a restart or a swap; None when it died on the way."""
    name, log = folder.name, f"log: {log_path(folder.name)}"
    deadline = time.monotonic() + spec.limits.drain_s + spec.limits.load_cap_s + EXTRA_S
    while time.monotonic() < deadline:
        alive = folder.supervisor_pid() is not None
        events, offset = folder.events_after(offset)
        for event in events:
            on_event(event)
            match event.what:
                case "ready" | "retired":
                    return status(name)
                case "fatal":
                    raise StartFailedError(f"{name} did not start again: {event.detail}", log)
                case "swap_failed":
                    raise StartFailedError(f"no second engine for {name}: {event.detail}", log)
                case "stopped":
                    raise StartFailedError(f"{name} was stopped meanwhile")
        if not alive:
            return None
        time.sleep(POLL_S)
    raise StartFailedError(f"{name} was not ready again in time", log)


def log_path(name: str) -> Path:
    """The engine's log file (rotated: ``.1`` is the one before)."""
    return Folder(name).engine / "engine.log"
