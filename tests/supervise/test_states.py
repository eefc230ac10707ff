"""The state table: what may follow what, who wins, and that no two engines ever run."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.supervise import states
from toolkit.supervise.states import TABLE, Cause, IllegalTransitionError, Machine, ask, step, yields
from toolkit.types import State


def run(*moves: str, machine: Machine | None = None) -> Machine:
    machine = machine or Machine()
    for move in moves:
        machine = ask(machine, move) if move in ("run", "stop", "restart") else step(machine, move)
    return machine


UP = ("run", "asked", "checked", "spawned", "answering", "sane")


def test_every_state_of_the_contract_has_its_row() -> None:
    assert set(TABLE) == set(get_args(State))
    assert {c for row in TABLE.values() for c in row} == set(get_args(Cause))


@pytest.mark.parametrize(
    ("moves", "state"),
    [
        (UP[:2], "preflight"),
        (UP, "ready"),
        ((*UP, "suspect"), "degraded"),
        ((*UP, "suspect", "recovered"), "ready"),
        ((*UP, "failed", "wait"), "backoff"),
        ((*UP, "failed", "wait", "due"), "preflight"),
        ((*UP, "failed", "loop"), "crash_loop"),
        ((*UP, "failed", "give_up"), "fatal"),
        ((*UP, "failed", "again"), "preflight"),
        ((*UP, "stop", "asked", "drained", "gone"), "stopped"),
        ((*UP, "restart", "asked", "drained", "gone"), "preflight"),
        (("run", "asked", "adopted"), "loading"),
        (("run", "asked", "refused"), "fatal"),
        (("run", "asked", "checked", "spawned", "stop", "asked", "gone"), "stopped"),
    ],
)
def test_the_ways_through(moves: tuple[str, ...], state: State) -> None:
    assert run(*moves).state == state


def test_a_stop_asked_during_a_crash_wins_over_the_restart() -> None:
    assert run(*UP, "failed", "stop", "wait").state == "stopped"


def test_a_start_asked_while_stopping_follows_the_stop() -> None:
    assert run(*UP, "stop", "asked", "drained", "run", "gone").state == "preflight"


def test_the_last_intent_wins() -> None:
    assert run(*UP, "restart", "asked", "stop", "drained", "gone").state == "stopped"
    assert run(*UP, "stop", "asked", "restart", "drained", "gone").state == "preflight"


def test_a_restart_is_paid_once() -> None:
    machine = run(*UP, "restart", "asked", "drained", "gone")
    assert not yields(run("checked", "spawned", machine=machine))


def test_a_restart_wakes_what_waits_or_gave_up() -> None:
    for waiting in ("wait", "loop", "give_up"):
        assert run(*UP, "failed", waiting, "restart", "asked").state == "preflight"


def test_an_impossible_cause_is_a_defect() -> None:
    with pytest.raises(IllegalTransitionError):
        run("run", "asked", "drained")


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(data=st.data())
def test_no_interleaving_spawns_twice_and_the_last_intent_is_reached(data: st.DataObject) -> None:
    """Random intents between random causes; an engine lives from `spawned` to the end of `stopping`."""
    machine, engines = Machine(), 0
    for _ in range(data.draw(st.integers(1, 40))):
        if data.draw(st.booleans()):
            machine = ask(machine, data.draw(st.sampled_from(["run", "stop", "restart"])))
        causes = [c for c in TABLE[machine.state] if c != "asked" or yields(machine)]
        if not causes:
            continue
        cause = data.draw(st.sampled_from(sorted(causes)))
        leaving = machine.state
        engines += cause in ("spawned", "adopted")
        machine = step(machine, cause)
        engines -= leaving == "stopping" and engines > 0
        assert engines in (0, 1)
        assert engines == 0 or machine.state in states.ENGINE_STATES
    good: dict[State, Cause] = {
        "preflight": "checked",
        "starting": "spawned",
        "loading": "answering",
        "warming": "sane",
        "draining": "drained",
        "stopping": "gone",
        "backoff": "due",
        "crash_loop": "due",
    }
    for _ in range(12):
        if yields(machine):
            machine = step(machine, "asked")
        elif machine.state in good:
            machine = step(machine, good[machine.state])
    assert machine.state == "stopped" if machine.intent == "stop" else machine.state in ("ready", "degraded", "fatal")
