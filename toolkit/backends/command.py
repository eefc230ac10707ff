"""Any OpenAI-compatible server, started by a command of the user's own."""

from __future__ import annotations

import shlex
import shutil

from toolkit.backends.base import Engine, EngineCommand, Signals
from toolkit.errors import InputError
from toolkit.types import LaunchPlan, MemoryPlan


class Command:
    """Backend for a user's own command. It is never picked by itself: only the user knows the command."""

    name = "command"
    signals = Signals(metrics_path=None)

    def find(self) -> Engine | None:
        """Nothing to find: the command comes with the launch plan."""
        return None

    def refuses(self, memory: MemoryPlan) -> str | None:
        """It serves only what its own command says."""
        return "it runs a command of your own, and none was given"

    def command(self, memory: MemoryPlan, engine: Engine, served_name: str) -> EngineCommand:
        """The words of the engine given, unchanged."""
        return EngineCommand(argv=engine.argv0, env=engine.env)


def plan_for(
    command: str,
    *,
    served_name: str,
    model_path: str | None = None,
    health_path: str | None = "/health",
    max_in_flight: int | None = None,
) -> LaunchPlan:
    """A launch plan from one line of words, split as a shell would, run without a shell.

    Raises:
        InputError: no words, unbalanced quotes, no such program, or neither ``{port}`` nor ``{uds}`` in it.
    """
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise InputError(f"the command cannot be split into words: {error}") from None
    if not argv:
        raise InputError("the command is empty")
    if shutil.which(argv[0]) is None:
        raise InputError(f"no such program: {argv[0]}")
    if not any("{port}" in word or "{uds}" in word for word in argv):
        raise InputError(
            "the command does not say where the port goes",
            "write {port} where the server takes its port, or {uds} for a Unix socket; {host} and {model} are "
            "filled in too.",
        )
    if any("{model}" in word for word in argv) and not model_path:
        raise InputError("the command has {model} but no model was given")
    return LaunchPlan(
        backend="command",
        argv=tuple(argv),
        served_name=served_name,
        model_path=model_path,
        health_path=health_path,
        max_in_flight=max_in_flight,
        reasons=("the command is the user's own",),
    )


BACKEND = Command()
