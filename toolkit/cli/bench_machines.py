"""Load from several machines: what the leading `selfhost bench` is told, and what the others run."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.load.spec import Machines

LISTEN = "127.0.0.1"


def machines(workers: int | None, listen: str | None) -> Machines | None:
    """How many load workers join, and where; None when all load comes from here. Raises InputError."""
    from toolkit.errors import InputError
    from toolkit.load.spec import Machines, meeting_point

    if workers is None:
        if listen is not None:
            raise InputError("nobody is expected there", "Say how many load workers will join.")
        return None
    if not 1 <= workers <= 1000:
        raise InputError(f"{workers} load workers are not between 1 and 1000")
    host, port = meeting_point(listen or LISTEN)
    return Machines(workers=workers, host=host, port=port)


def join(target: str | None, address: str, processes: int, api_key_env: str | None, *, as_json: bool) -> None:
    """Lend this machine to the bench that is led there, until it is over. InputError, EnvironmentFailedError."""
    from toolkit.cli.output import note
    from toolkit.errors import InputError
    from toolkit.load.lend import lend
    from toolkit.load.spec import meeting_point

    if target is not None or as_json:
        what = "has no result of its own" if target is None else "is told its target by the bench that leads"
        raise InputError(f"a load worker {what}", "Leave that out.")
    if not 1 <= processes <= 64:
        raise InputError(f"processes {processes!r}: between 1 and 64")
    host, port = meeting_point(address)
    signal.signal(signal.SIGTERM, _interrupt)
    note(f"waiting for the bench at {host}:{port}")
    lend(host, port, processes, api_key_env, note)
    note("the bench is over")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
