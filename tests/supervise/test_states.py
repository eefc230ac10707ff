"""The state table: what may follow what, who wins, and that no two engines ever run."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from toolkit.supervise import states
from toolkit.supervise.states import TABLE, Cause, IllegalTransitionError, Machine, ask, step, yields
from toolkit.types import State


def run(*moves: str, machine: Machine | None = None) -> Machine:
    machine = machine or Machine()
    for move in moves:
        machine = ask(machine, move) if move in get_args(states.Intent) else step(machine, move)
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


@pytest.mark.parametrize(
    ("moves", "state", "spare"),
    [
        ((*UP, "swap", "swapping"), "ready", "coming"),
        ((*UP, "swap", "swapping", "swapped"), "ready", "leaving"),
        ((*UP, "swap", "swapping", "kept"), "ready", "none"),
        ((*UP, "swap", "swapping", "suspect", "swapped"), "ready", "leaving"),
        ((*UP, "suspect", "swap", "swapping", "kept"), "degraded", "none"),
        ((*UP, "swap", "swapping", "failed"), "stopping", "none"),
        ((*UP, "swap", "swapping", "stop", "asked"), "draining", "none"),
        ((*UP, "swap", "swapping", "swapped", "failed", "wait"), "backoff", "leaving"),
        ((*UP, "failed", "wait", "swap", "asked"), "preflight", "none"),
    ],
)
def test_the_ways_through_a_swap(moves: tuple[str, ...], state: State, spare: str) -> None:
    machine = run(*moves)
    assert (machine.state, machine.spare) == (state, spare)


def test_a_swap_is_paid_once_and_may_be_taken_back() -> None:
    assert states.swaps(run(*UP, "swap")) == "swapping"
    assert states.swaps(run(*UP, "swap", "keep")) is None
    coming = run(*UP, "swap", "swapping")
    assert states.swaps(coming) is None
    assert states.swaps(run("keep", machine=coming)) == "kept"
    swapped = run("swapped", machine=coming)
    assert states.swaps(swapped) is None
    again = run("swap", machine=swapped)
    assert states.swaps(again) is None, "the old engine of the first swap is not gone yet"
    assert states.swaps(states.left(again)) == "swapping"


class Interleavings(RuleBasedStateMachine):
    """Any order of start, stop, restart, swap and taking it back, between anything an engine can do.

    Beside the machine runs a count of processes: ``engine`` lives from `spawned` to the end of `stopping`, ``spare``
    from `swapping` until it has taken over, is given up, or (the old one) has left.
    """

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine()
        self.engine = self.spare = False

    @rule(intent=st.sampled_from(["run", "stop", "restart", "swap", "keep"]))
    def ask(self, intent: states.Intent) -> None:
        self.machine = ask(self.machine, intent)

    @rule(data=st.data())
    def happen(self, data: st.DataObject) -> None:
        owed = states.swaps(self.machine)
        causes = [c for c in TABLE[self.machine.state] if self._may(c, owed)]
        if causes:
            self._step(data.draw(st.sampled_from(sorted(causes))))

    def _may(self, cause: Cause, owed: str | None) -> bool:
        """Whether the supervisor's handler of this state could end with it."""
        match cause:
            case "asked":
                return yields(self.machine)
            case "swapping":
                return owed == "swapping"
            case "swapped":
                return self.machine.spare == "coming"
            case "kept":
                return self.machine.spare == "coming" or owed == "kept"
        return True

    @rule()
    def old_engine_leaves(self) -> None:
        if self.machine.spare == "leaving":
            self.spare = False
            self.machine = states.left(self.machine)

    def _step(self, cause: Cause) -> None:
        leaving, before = self.machine.state, self.machine.spare
        assert not (cause in ("spawned", "adopted") and self.engine), "never a second first engine"
        assert not (cause == "swapping" and self.spare), "never a third engine"
        self.machine = step(self.machine, cause)
        self.engine = self.engine or cause in ("spawned", "adopted")
        if leaving == "stopping":
            self.engine = False
        if cause == "swapping":
            self.spare = True
        elif before == "coming" and self.machine.spare == "none":
            self.spare = False

    @invariant()
    def processes_and_states_agree(self) -> None:
        assert not self.engine or self.machine.state in states.ENGINE_STATES
        assert self.spare == (self.machine.spare != "none")
        if self.machine.spare == "coming":
            assert self.machine.state in states.ADMITTING, "a second engine comes only beside one that serves"
        assert not (self.machine.intent == "stop" and (self.machine.renew or self.machine.swap))

    def teardown(self) -> None:
        """Left alone, with an engine that works, it gets where the last intent says."""
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
        for _ in range(16):
            self.old_engine_leaves()
            owed = states.swaps(self.machine)
            if yields(self.machine):
                self._step("asked")
            elif owed:
                self._step(owed)
            elif self.machine.spare == "coming":
                self._step("swapped")
            elif self.machine.state in good:
                self._step(good[self.machine.state])
        ends = ("stopped",) if self.machine.intent == "stop" else ("ready", "degraded", "fatal")
        assert self.machine.state in ends
        assert self.machine.spare == "none"
        assert (self.machine.renew, self.machine.swap) == (False, False)


TestInterleavings = pytest.mark.slow(Interleavings.TestCase)
TestInterleavings.settings = settings(max_examples=1000, stateful_step_count=40, deadline=None)
