"""The life of one served engine as a pure table: state × cause → state.

One owner (the supervisor's run loop) steps the machine; everyone else only states an intent. A handler runs in
each state and ends with exactly one cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from toolkit.types import State

Intent = Literal["run", "stop", "restart", "swap", "keep"]
"""``swap`` is a restart without a pause: a second engine comes up first. ``keep`` takes a swap back."""

Spare = Literal["none", "coming", "leaving"]
"""The second engine of a swap: none, coming up beside the one that serves, or the old one ending its requests."""

Cause = Literal[
    "asked",  # the intent changed and this state must give way
    "checked",  # preflight found nothing against a start
    "adopted",  # preflight found our engine already running
    "refused",  # preflight found what makes a start pointless
    "spawned",  # the engine process exists
    "answering",  # the engine's health answers from our own process
    "sane",  # one token and a sane canary
    "suspect",  # busy without progress
    "recovered",  # progress again
    "swapping",  # a swap is owed: a second engine comes up while this one serves
    "swapped",  # the second engine is sane and serves; the first one ends what it has begun
    "kept",  # the second engine failed, or is not wanted any more; this one serves on
    "failed",  # the engine crashed, hung, stalled or answered nonsense
    "drained",  # nothing in flight any more, or the drain limit is over
    "gone",  # the old process tree is gone; go where the intent says
    "again",  # the old tree is gone and a new start comes at once
    "wait",  # the old tree is gone and a new start comes after a backoff
    "loop",  # the old tree is gone and crashed too often: half-open schedule
    "give_up",  # no further start makes sense
    "due",  # the wait is over
]

TABLE: Mapping[State, Mapping[Cause, State]] = {
    "stopped": {"asked": "preflight"},
    "preflight": {"checked": "starting", "adopted": "loading", "refused": "fatal", "asked": "stopped"},
    "starting": {"spawned": "loading", "failed": "stopping"},
    "loading": {"answering": "warming", "failed": "stopping", "asked": "stopping"},
    "warming": {"sane": "ready", "failed": "stopping", "asked": "stopping"},
    "ready": {
        "suspect": "degraded",
        "swapping": "ready",
        "swapped": "ready",
        "kept": "ready",
        "failed": "stopping",
        "asked": "draining",
    },
    "degraded": {
        "recovered": "ready",
        "swapping": "degraded",
        "swapped": "ready",
        "kept": "degraded",
        "failed": "stopping",
        "asked": "draining",
    },
    "draining": {"drained": "stopping"},
    "stopping": {
        "gone": "stopped",
        "again": "preflight",
        "wait": "backoff",
        "loop": "crash_loop",
        "give_up": "fatal",
    },
    "backoff": {"due": "preflight", "asked": "stopped"},
    "crash_loop": {"due": "preflight", "asked": "stopped"},
    "fatal": {"asked": "stopped"},
}

ENGINE_STATES: frozenset[State] = frozenset(
    {"starting", "loading", "warming", "ready", "degraded", "draining", "stopping"}
)
"""States in which a process of the engine may exist."""

ADMITTING: frozenset[State] = frozenset({"ready", "degraded"})
"""States in which the proxy lets requests through."""


class IllegalTransitionError(Exception):
    """A cause that the state's handler may not end with: a defect, never a user's mistake."""


@dataclass(frozen=True)
class Machine:
    """Where the engine is and what was last asked for.

    ``renew`` is a restart still owed: the running engine must be replaced once, then it is paid. ``swap`` says that
    it shall be replaced without a pause.
    """

    state: State = "stopped"
    intent: Literal["run", "stop"] = "stop"
    renew: bool = False
    swap: bool = False
    spare: Spare = "none"


def ask(machine: Machine, intent: Intent) -> Machine:
    """Take an intent; the last one wins. A restart of nothing is a run, a swap where nothing serves a restart."""
    if intent == "stop":
        return replace(machine, intent="stop", renew=False, swap=False)
    if intent in ("swap", "keep") and machine.state in ADMITTING and machine.intent == "run" and not machine.renew:
        return replace(machine, swap=intent == "swap")
    if intent == "keep":
        return machine
    owed = machine.state in ENGINE_STATES and (intent == "restart" or machine.renew)
    waiting = machine.state in ("backoff", "crash_loop", "fatal") and intent in ("restart", "swap")
    return replace(machine, intent="run", renew=owed or waiting, swap=False)


def yields(machine: Machine) -> bool:
    """Whether the present state must end because of what was asked."""
    match machine.state:
        case "stopped":
            return machine.intent == "run"
        case "starting" | "draining" | "stopping":
            return False
        case _:
            return machine.intent == "stop" or machine.renew


def swaps(machine: Machine) -> Literal["swapping", "kept"] | None:
    """Whether a second engine must come up now, or the one that comes up must go."""
    if machine.state not in ADMITTING:
        return None
    if machine.swap and machine.spare == "none":
        return "swapping"
    return "kept" if machine.spare == "coming" and not machine.swap else None


def left(machine: Machine) -> Machine:
    """The old engine of a swap is gone."""
    return replace(machine, spare="none") if machine.spare == "leaving" else machine


def step(machine: Machine, cause: Cause) -> Machine:
    """The next machine. After ``stopping`` a stop wins over any restart that was due.

    Raises:
        IllegalTransitionError: the table has no such transition.
    """
    after = TABLE[machine.state].get(cause)
    if after is None:
        raise IllegalTransitionError(f"{cause!r} in state {machine.state!r}")
    if machine.state == "stopping" and machine.intent == "stop":
        after = "stopped"
    elif (machine.state == "stopping" and machine.renew) or after == "stopped":
        after = "preflight" if machine.intent == "run" else "stopped"
    paid = after in ("stopped", "preflight")
    return Machine(
        state=after,
        intent=machine.intent,
        renew=machine.renew and not paid,
        swap=machine.swap and after in ADMITTING and cause not in ("swapped", "kept"),
        spare=_spare(machine.spare, cause, after),
    )


def _spare(spare: Spare, cause: Cause, after: State) -> Spare:
    """A second engine that comes up goes when the first one does not serve any more; one that leaves just leaves."""
    if cause == "swapping":
        return "coming"
    if cause == "swapped":
        return "leaving"
    return "none" if spare == "coming" and (cause == "kept" or after not in ADMITTING) else spare
