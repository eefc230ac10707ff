"""The supervisor as a process: lock, listen, own the engine, answer the control socket, leave nothing behind.

``python -m toolkit.supervise NAME`` serves what the name's ``spec.json`` says; `serve` is the same inside
a caller's own process (the foreground).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.backends.base import named
from toolkit.errors import InputError, SelfhostError, StartFailedError
from toolkit.supervise import control, keys, preflight
from toolkit.supervise.notify import Notifier
from toolkit.supervise.store import Folder, Spec
from toolkit.supervise.supervisor import Supervisor
from toolkit.types import Deployment, Event

M_ARENA_MAX = -8
"""`mallopt`'s number for it (glibc `malloc.h`)."""


async def serve(
    spec: Spec, on_event: Callable[[Event], None], on_tick: Callable[[Deployment], None] | None = None
) -> Deployment:
    """Own one served name until it is stopped; the last status.

    SIGTERM, SIGINT and SIGHUP ask for a stop that drains; a second one does not wait for requests.

    Raises:
        InputError: another supervisor owns the name, the port is taken, or the key is not usable.
        StartFailedError: the first start failed for good.
    """
    folder = Folder(spec.name)
    folder.create()
    lock = folder.lock()
    if lock is None:
        folder.refuse_second()
        raise InputError(f"the lock of {spec.name!r} is held", "try again.")  # by one that ended this very moment
    try:
        final = await _own(spec, folder, on_event, on_tick)
    finally:
        os.close(lock)
    if final.state == "fatal":
        raise StartFailedError(f"{spec.name} did not start: {final.reason}", f"log: {folder.engine}/engine.log")
    return final


async def _own(
    spec: Spec,
    folder: Folder,
    on_event: Callable[[Event], None],
    on_tick: Callable[[Deployment], None] | None,
) -> Deployment:
    accepted = keys.read_keys(Path(spec.key_file)) if spec.key_file else keys.Keys(())
    keys.check_bind(spec.host, bool(accepted))
    manager = Notifier.here()

    def tell(event: Event) -> None:
        manager.state(supervisor.view())
        on_event(event)

    supervisor = Supervisor(spec, folder, named(spec.plan.backend), accepted, tell)
    await asyncio.to_thread(preflight.check_port, spec.host, spec.port)
    await supervisor.proxy.open(spec.host, spec.port)
    folder.write_spec(spec)
    server = control.Server(folder.path, control.SUPERVISOR, lambda request: _answer(supervisor, manager, request))
    supervisor.ask("run")  # before anyone can ask for a stop, which then comes later
    await server.open()
    _on_signals(supervisor, manager)
    tasks = [asyncio.create_task(manager.beat(supervisor.view, supervisor.watching))]
    if on_tick:
        tasks.append(asyncio.create_task(_tick(supervisor, on_tick)))
    try:
        final = await supervisor.run(until_first_failure=True)
    finally:
        for task in tasks:
            task.cancel()
        await server.close()
        await supervisor.proxy.close()
    final = final.model_copy(update={"supervisor_pid": None})
    folder.write_status(final)
    return final


async def _tick(supervisor: Supervisor, on_tick: Callable[[Deployment], None]) -> None:
    while True:
        await asyncio.sleep(1)
        on_tick(supervisor.view())


def _on_signals(supervisor: Supervisor, manager: Notifier) -> None:
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked:
            supervisor.hurry()
        asked = True
        manager.stopping()
        supervisor.ask("stop")

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop)


async def _answer(supervisor: Supervisor, manager: Notifier, request: dict[str, Any]) -> dict[str, Any]:
    """The control socket: ``status``, ``stop`` (``now`` skips the drain), ``restart``, ``swap`` and ``keep``.

    ``swap`` is a restart without a pause; it answers ``refused`` with the sums when memory does not allow it, unless
    ``fall_back`` says that a plain restart will do then. ``keep`` takes a swap back.
    """
    match request.get("op"):
        case "stop":
            manager.stopping()
            supervisor.ask("stop")
            if request.get("now"):
                supervisor.hurry()
        case "restart":
            manager.reloading()
            supervisor.ask("restart")
        case "swap":
            refused = await supervisor.ask_swap(fall_back=bool(request.get("fall_back")))
            if refused:
                return {"refused": refused}
        case "keep":
            supervisor.ask("keep")
        case "status":
            pass
        case other:
            return {"error": f"unknown op {other!r}"}
    return supervisor.view().model_dump(mode="json", by_alias=True)


def _stay_small() -> None:
    """Let all threads share one heap of the C library; what each has read of ``/proc`` would else stay in its own."""
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def main() -> int:
    """Serve the named spec; one line on stderr and an exit status when that fails."""
    _stay_small()
    try:
        spec = Folder(sys.argv[1]).read_spec()
        if spec is None:
            raise InputError(f"nothing is known about {sys.argv[1]!r}")
        asyncio.run(serve(spec, lambda _: None))
    except SelfhostError as error:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{error.message}\n")
        return error.exit_status
    return 0
