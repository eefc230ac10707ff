"""Two benches compared: the same server is not called different, a slower one is, limits mean what they say."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.load.made import failed, row
from tests.report.made import result_of, rows_of
from toolkit.errors import InputError, UnknownNameError
from toolkit.load.compare import Compared, Side, compare, judge_limits, passed
from toolkit.load.likeness import differences
from toolkit.load.limits import parse_limits
from toolkit.load.rows import Row

USERS = (1, 4)


def batches(seed: int, slower: float = 1.0, users: int = 4, rounds: int = 60) -> list[Row]:
    """Users whose requests run together: each round shares a slow or a quick moment (5 %), each request adds its own.

    First token 200 ms, 20 gaps of 20 ms, all times ``slower``.
    """
    draw = random.Random(seed)
    rows, free = [], [0.0] * users
    for k in range(rounds):
        moment = draw.gauss(1, 0.05) * slower
        for u in range(users):
            sent = free[u]
            tokens = [sent + 0.2 * moment * draw.gauss(1, 0.1)]
            for _ in range(20):
                tokens.append(tokens[-1] + 0.02 * moment * draw.gauss(1, 0.05))
            rows.append(row(sent, tuple(tokens), id=f"{k}-{u}", worker=u))
            free[u] = tokens[-1]
    return rows


def side(rows: Sequence[Row], users: Sequence[int] = (4,)) -> Side:
    return Side(result_of(list(rows), users), rows)


def found(a: Side, b: Side) -> dict[str, str]:
    levels = compare(a, b).levels
    return {m.metric: m.finding for level in levels for m in level.metrics}


def test_a_server_a_tenth_slower_is_found_in_every_figure() -> None:
    is_now = found(side(batches(1)), side(batches(2, slower=1.1)))
    judged = {k: v for k, v in is_now.items() if v != "too_few" and k != "failed_share"}
    assert set(judged.values()) == {"slower"}, judged
    assert {"output_tok_s", "ttft_p50", "ttft_p95", "itl_p50", "itl_p99", "tpot_p50", "e2e_p50", "e2e_p95"} <= set(
        judged
    )
    assert is_now["failed_share"] == "no_difference"
    assert found(side(batches(1, slower=1.1)), side(batches(2)))["ttft_p50"] == "faster"


def test_the_change_is_told_with_an_interval_around_it() -> None:
    (level,) = compare(side(batches(1)), side(batches(2, slower=1.1))).levels
    change = {m.metric: m for m in level.metrics}["itl_p50"]
    assert change.low is not None
    assert change.high is not None
    assert change.low < 0.10 < change.high
    assert 0 < change.low < change.high < 0.2
    assert change.change == pytest.approx(0.10, abs=0.05)


@pytest.mark.slow
def test_the_same_server_is_almost_never_called_different() -> None:
    """All intervals of a comparison hold at once with 95 %: of 100 pairs at most 9 may show anything.

    With exactly 5 % the chance of 10 or more is 2.8 % (binomial); the seeds are fixed.
    """
    different = sum(
        any(
            finding not in ("no_difference", "too_few")
            for finding in found(side(batches(s, rounds=30)), side(batches(-s, rounds=30))).values()
        )
        for s in range(1, 101)
    )
    assert different <= 9


@pytest.mark.slow
def test_a_queueing_server_is_almost_never_called_different_from_itself() -> None:
    """Where requests wait for one another and lengths vary; 20 pairs of two loads."""
    different = 0
    for seed in range(20):
        a, b = (rows_of(USERS, seconds=40, seed=1000 + 2 * seed + i) for i in (0, 1))
        levels = compare(side(a, USERS), side(b, USERS)).levels
        different += any(m.finding not in ("no_difference", "too_few") for level in levels for m in level.metrics)
    assert different <= 3


@pytest.mark.slow
def test_a_tenth_slower_is_almost_always_found() -> None:
    missed = sum(found(side(batches(s)), side(batches(-s, slower=1.1)))["ttft_p50"] != "slower" for s in range(1, 31))
    assert missed <= 1


def test_what_is_sure_but_slight_is_no_difference() -> None:
    """Clockwork half a per cent slower: certain, and below one per cent."""
    clock = [row(float(i), tuple(i + 0.2 + 0.02 * k for k in range(11)), id=str(i)) for i in range(40)]
    later = [replace(r, token_s=tuple(r.sent_s + (t - r.sent_s) * 1.005 for t in r.token_s)) for r in clock]
    assert found(side(clock, (1,)), side(later, (1,)))["e2e_p50"] == "no_difference"


def test_loads_are_paired_and_the_others_named() -> None:
    a, b = rows_of((1, 2, 4), seconds=6), rows_of((2, 4, 8), seconds=6)
    both: Compared = compare(side(a, (1, 2, 4)), side(b, (2, 4, 8)))
    assert [level.load for level in both.levels] == ["2 users", "4 users"]
    assert (both.only_a, both.only_b) == (("1 user",), ("8 users",))


def test_failures_are_compared_as_shares() -> None:
    good = batches(3, rounds=50)
    bad = [
        failed(r.sent_s, r.end_s, "http_500", id=r.id) if i % 5 == 0 else r for i, r in enumerate(batches(4, rounds=50))
    ]
    assert found(side(good), side(bad))["failed_share"] == "higher"
    assert found(side(bad), side(good))["failed_share"] == "lower"


def test_an_invalid_level_is_not_judged() -> None:
    rows = batches(1)
    wrong = result_of(rows, (4,))
    level = wrong.levels[0].model_copy(update={"valid": False, "why_invalid": "client-bound"})
    levels = compare(Side(wrong.model_copy(update={"levels": (level,)}), rows), side(batches(2, slower=2))).levels
    assert {m.finding for m in levels[0].metrics} == {"not_valid"}
    assert levels[0].metrics[0].why == "not valid in A: client-bound"


def test_the_same_seed_gives_the_same_document() -> None:
    assert compare(side(batches(1)), side(batches(2)), 7) == compare(side(batches(1)), side(batches(2)), 7)


@pytest.mark.parametrize(
    ("text", "slower", "outcome", "ok"),
    [
        ("ttft_p50>+5%", 1.1, "broken", False),
        ("output_tok_s<-5%", 1.1, "broken", False),
        ("ttft_p50>+20%", 1.1, "kept", True),
        ("ttft_p50>+10%", 0.9, "kept", True),
        ("ttft_p50>+0.5%", 1.02, "noise", True),
        ("ttft_p99>+5%", 1.1, "undecided", False),  # 240 requests, 500 are needed
    ],
)
def test_a_limit_is_broken_only_beyond_chance(text: str, slower: float, outcome: str, ok: bool) -> None:
    limits = parse_limits(text)
    outcomes = judge_limits(compare(side(batches(1)), side(batches(6, slower=slower))).levels, limits)
    assert [o.outcome for o in outcomes] == [outcome], outcomes
    assert passed(outcomes, limits) is ok


def test_a_limit_that_no_load_could_judge_does_not_pass() -> None:
    limits = parse_limits("ttft_p95>+10%")
    assert passed(judge_limits((), limits), limits) is False


@pytest.mark.parametrize("text", ["", "ttft_p95", "ttft_p95>10", "ttft_p95>-10%", "output_tok_s<+5%", "ttft_p95=5%"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(InputError):
        parse_limits(text)


def test_an_unknown_figure_gets_its_neighbours() -> None:
    with pytest.raises(UnknownNameError, match="tftt_p95") as error:
        parse_limits("tftt_p95>+5%")
    assert error.value.nearest[0] == "ttft_p95"


def test_unlike_environments_are_told_from_what_is_compared() -> None:
    a = result_of(batches(1), (4,))
    engine = a.environment.model_copy(update={"engine": {**a.environment.engine, "version": "b7000"}})
    (only,) = differences(a, a.model_copy(update={"environment": engine}))
    assert (only.what, only.a, only.b, only.unlike) == ("engine version", "b6900", "b7000", False)
    machine = a.environment.model_copy(update={"machine": {**a.environment.machine, "cpu": "Xeon"}})
    (only,) = differences(a, a.model_copy(update={"environment": machine}))
    assert (only.what, only.unlike) == ("processor", True)
