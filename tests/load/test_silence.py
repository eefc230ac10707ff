"""How long a server that gives no token at all is waited for."""

from __future__ import annotations

from tests.load.mock import spec
from toolkit.load.prompts import Prompt
from toolkit.load.silence import Answered, silence_s
from toolkit.load.spec import BenchSpec, SearchPlan, TimeLimits

SHORT = [Prompt(0, "x" * 400, 100, 8)]
LONG = [*SHORT, Prompt(1, "x" * 40_000, 10_000, 8)]


def asked(**changes: object) -> BenchSpec:
    return spec("http://127.0.0.1:1", **{"concurrency": (4,), "limits": TimeLimits(), **changes})


def test_a_target_that_gave_no_answer_before_the_load_has_half_a_minute() -> None:
    assert silence_s(asked(), LONG, None) == 30


def test_a_quick_target_has_no_less() -> None:
    assert silence_s(asked(), SHORT, Answered(0.1, 400)) == 30


def test_a_slow_target_has_ten_times_what_its_answers_make_of_the_load() -> None:
    """400 characters took 0.01 s: 40,000 take 1 s, four users at once 4 s; ten times that. 20 s would not do it."""
    assert silence_s(asked(), LONG, Answered(0.01, 400)) == 40
    assert silence_s(asked(), SHORT, Answered(0.01, 40_000)) == 30


def test_never_longer_than_a_request_may_take() -> None:
    assert silence_s(asked(), LONG, Answered(9, 400)) == 300


def test_a_limit_of_the_users_own_stands() -> None:
    assert silence_s(asked(limits=TimeLimits(request_s=700)), LONG, None) == 700


def test_a_search_counts_its_first_users() -> None:
    search = SearchPlan(mode="sweep", by="concurrency", start=8, most=1024)
    assert silence_s(asked(levels=(), search=search), LONG, Answered(0.01, 400)) == 80
