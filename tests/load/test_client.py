"""The client against a server that tells the truth, and against servers that do not."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bench.patience import asked_wait_s, pause_s
from tests.load.harness import KEY, Load
from tests.load.mock import Mock
from toolkit.load.rows import CUT, Row
from toolkit.load.spec import LoadLevel

FAST = {"ttft_s": 0.05, "itl_s": 0.01}


def one(load: Load, **changes: object) -> Row:
    rows = load.level(**changes)
    assert len(rows) == 1
    return rows[0]


def ttft(row: Row) -> float:
    assert row.first_token_s is not None
    return row.first_token_s - row.sent_s


# --- ordinary servers ---


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"framing": "close"},
        {"newline": "\r\n"},
        {"fault": "comments"},
        {"split_bytes": 7},
        {"split_bytes": 1, "newline": "\r\n"},
        {"fault": "tool_call"},
        {"hang_up": True},
        {"fault": "untyped"},
        {"fault": "untyped", "split_bytes": 1},
        {"fault": "no_end"},
        {"fault": "no_end", "framing": "close"},
        {"fault": "reset_after_done"},
    ],
)
def test_a_whole_answer_with_times_that_match_the_servers_log(load: Load, mock: Mock, settings: dict) -> None:
    mock.set(**FAST, **settings)
    row = one(load)
    assert (row.error, row.status, row.finish_reason) == (None, 200, "length")
    assert (row.output_tokens, row.token_source, row.events) == (8, "usage", 8)
    assert row.input_tokens is not None
    assert row.stamps == "kernel"
    truth = mock.truth()[row.reply_id or ""]
    written = [t / 1e9 for t in truth["tokens_ns"]]
    real = [written[0] - truth["received_ns"] / 1e9, *(t - written[0] for t in written[1:])]
    got = [ttft(row), *(t - row.token_s[0] for t in row.token_s[1:])]
    errors = sorted(abs(a - b) for a, b in zip(got, real, strict=True))
    assert errors[len(errors) // 2] < 0.003
    assert errors[-1] < 0.05  # the mock may lose its core between its stamp and its write
    assert row.sent_s <= (row.first_byte_s or 0) <= (row.first_token_s or 0) <= row.end_s


def test_the_role_chunk_is_the_first_byte_and_no_token(load: Load, mock: Mock) -> None:
    """The mock sends headers and the role at once and the first token 50 ms later."""
    mock.set(**FAST)
    row = one(load)
    assert (row.first_byte_s or 0) - row.sent_s < 0.03
    assert ttft(row) > 0.045


def test_reasoning_is_the_first_token_and_the_answer_comes_later(load: Load, mock: Mock) -> None:
    mock.set(**FAST, fault="reasoning", at_token=4)
    row = one(load)
    assert len(row.token_s) == 8
    assert row.first_token_s == row.token_s[0]
    assert row.first_answer_s == row.token_s[4]


def test_a_stall_is_in_the_gaps(load: Load, mock: Mock) -> None:
    mock.set(**FAST, fault="stall", stall_s=0.52)
    times = one(load).token_s
    gaps = sorted(b - a for a, b in pairwise(times))
    assert gaps[-1] == pytest.approx(0.52, abs=0.02)
    assert gaps[-2] < 0.03


def test_several_tokens_an_event(load: Load, mock: Mock) -> None:
    mock.set(**FAST, tokens_per_event=4)
    row = one(load)
    assert (row.events, row.output_tokens) == (2, 8)


@pytest.mark.parametrize("usage", ["none", "absurd"])
def test_without_usable_usage_events_are_counted(load: Load, mock: Mock, usage: str) -> None:
    mock.set(**FAST, usage=usage)
    row = one(load)
    assert (row.error, row.token_source, row.output_tokens, row.input_tokens) == (None, "events", 8, None)


def test_a_key_goes_into_the_header_only(load: Load, mock: Mock) -> None:
    mock.set(**FAST, api_key=KEY)
    assert one(load).error is None


def test_connections_are_kept_alive(load: Load, mock: Mock) -> None:
    mock.set(**FAST)
    before = mock.accepted()
    assert len(load.level(LoadLevel(concurrency=2), max_requests=8)) == 8
    assert mock.accepted() - before <= 2


def test_every_request_has_a_prompt_of_its_own(load: Load, mock: Mock) -> None:
    mock.set(ttft_s=0, itl_s=0)
    load.level(LoadLevel(concurrency=4), max_requests=60)
    prompts = [t["prompt"] for t in mock.truth().values()]
    assert len(prompts) == 60
    assert len({prompt[:60] for prompt in prompts}) == 60


# --- hostile servers: each under its own name, bounded in time ---


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        ({"fault": "error_event"}, "error_event", "engine died"),
        ({"fault": "no_finish"}, "no_finish", "3 token events"),
        ({"fault": "hang_up"}, "closed_early", ""),
        ({"fault": "reset"}, "connection_reset", ""),
        ({"fault": "empty"}, "empty", ""),
        ({"fault": "bad_json"}, "bad_json", '{"choices"'),
        ({"fault": "html"}, "not_event_stream", "nginx"),
        ({"fault": "json_instead"}, "not_event_stream", "application/json"),
        ({"fault": "status", "status": 429}, "http_429", "on order"),
        ({"fault": "status", "status": 503}, "http_503", "on order"),
        ({"api_key": "another"}, "http_401", "wrong key"),
        ({"model": "other"}, "http_404", "does not exist"),
        ({"fault": "redirect"}, "redirect", "other.example"),
        ({"fault": "endless", "itl_s": 0.0}, "too_many_tokens", "8 were asked"),
        ({"fault": "endless_line"}, "too_large", ""),
        ({"fault": "long_head"}, "bad_http", "64 KiB"),
        ({"fault": "not_http"}, "bad_http", "SSH"),
        ({"fault": "bad_chunk"}, "bad_http", "zz"),
        ({"fault": "silent"}, "timeout_first_byte", ""),
        ({"fault": "mute"}, "timeout_stall", ""),
        ({"fault": "slowloris"}, "timeout_first_token", ""),
        ({"itl_s": 0.5}, "timeout_total", ""),
    ],
)
def test_a_broken_reply_fails_under_its_own_name(load: Load, mock: Mock, settings: dict, name: str, words: str) -> None:
    mock.set(**{**FAST, **settings})
    row = one(load)
    assert row.error == name
    assert words in (row.detail or "")
    assert row.end_s - row.sent_s < 1.9
    mock.set(**FAST)
    assert one(load).error is None  # and the next request is none the worse


def test_the_key_is_in_no_row_even_when_the_server_repeats_it(load: Load, mock: Mock) -> None:
    mock.set(api_key="another")
    assert KEY not in (one(load).detail or "")


def test_a_refusing_server_is_not_hammered(load: Load, mock: Mock) -> None:
    """Pauses of 0.1, 0.2, 0.4, 0.8 s: a user sends at 0, 0.1, 0.3 and 0.7 s, not thousands of times."""
    mock.set(fault="status", status=429)
    rows = load.level(LoadLevel(concurrency=2), max_requests=None, duration_s=1.2)
    assert {row.error for row in rows} == {"http_429"}
    assert 6 <= len(rows) <= 10


def test_a_refusal_is_asked_again_when_it_says(load: Load, mock: Mock) -> None:
    """Asked to wait for 1 s, each of two users sends once at 0 s and once at 1 s, and the rows say why."""
    mock.set(fault="status", status=429, retry_after="1")
    rows = load.level(LoadLevel(concurrency=2), max_requests=None, duration_s=1.6)
    assert [row.retry_after_s for row in rows] == [1.0] * 4
    first, second = sorted(row.sent_s for row in rows)[1:3]
    assert second - first > 0.9


def test_a_refusal_for_a_year_ends_with_the_level(load: Load, mock: Mock) -> None:
    mock.set(fault="status", status=503, retry_after="31536000")
    rows = load.level(LoadLevel(concurrency=2), max_requests=None, duration_s=0.3)
    assert [row.retry_after_s for row in rows] == [31536000.0] * 2


@pytest.mark.parametrize(
    ("status", "said", "wait"),
    [
        (429, b"7", 7.0),
        (503, b"Sun, 06 Nov 1994 08:49:47 GMT", 10.0),  # the date of RFC 9110, 5.6.7, ten seconds before it
        (429, b"Sun, 06 Nov 1994 08:49:27 GMT", 0.0),
        (429, b"soon", None),
        (429, b"-1", None),
        (429, b"", None),
        (500, b"7", None),
        (None, b"7", None),
    ],
)
def test_what_a_refusal_asks_for(status: int | None, said: bytes, wait: float | None) -> None:
    assert asked_wait_s(status, {b"retry-after": said}, now=784111777.0) == wait


def test_pauses_grow_and_are_bounded() -> None:
    assert [pause_s(n, None) for n in (1, 2, 3, 4, 5, 90)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1, 1])
    assert (pause_s(1, 5.0), pause_s(1, 1e9), pause_s(4, 0.0)) == (5.0, 60.0, 0.8)


def test_every_third_request_fails_and_the_others_do_not(load: Load, mock: Mock) -> None:
    mock.set(**FAST, fault="error_event", every=3)
    rows = load.level(LoadLevel(concurrency=3), max_requests=12)
    assert sum(row.error is not None for row in rows) == 4


# --- load models ---


def test_a_closed_loop_keeps_its_users_busy(load: Load, mock: Mock) -> None:
    """0.05 + 7 × 0.01 s a request: in 1.2 s each of four users sends the tenth or eleventh."""
    mock.set(**FAST)
    rows = load.level(LoadLevel(concurrency=4), max_requests=None, duration_s=1.2)
    assert 32 <= len(rows) <= 44
    assert all(row.scheduled_s == row.sent_s for row in rows)


def test_the_users_of_a_closed_loop_do_not_march_in_step(load: Load, mock: Mock) -> None:
    """A millisecond apart: the fortieth begins 39 ms after the first, and so do their next requests."""
    mock.set(**FAST)
    rows = load.level(LoadLevel(concurrency=40), max_requests=80, duration_s=3.0)
    sent = sorted(row.sent_s for row in rows)
    assert 0.035 < sent[39] - sent[0] < 0.12
    assert 0.035 < sent[79] - sent[40] < 0.12
    rows = load.level(LoadLevel(concurrency=40), max_requests=40, duration_s=0.2)
    sent = sorted(row.sent_s for row in rows)
    assert sent[39] - sent[0] < 0.1  # of a short level a twentieth at most: 10 ms, and what a busy machine adds


def test_warm_up_is_marked_and_over_before_the_measuring(load: Load, mock: Mock) -> None:
    mock.set(**FAST)
    rows = load.level(LoadLevel(concurrency=2), max_requests=6, warmup_s=0.3)
    warm, measured = [r for r in rows if r.warmup], [r for r in rows if not r.warmup]
    assert len(measured) == 6
    assert len(warm) >= 2
    assert max(r.end_s for r in warm) <= min(r.sent_s for r in measured)


def test_an_open_loop_sends_on_time(load: Load, mock: Mock) -> None:
    mock.set(**FAST)
    rows = load.level(LoadLevel(rate=25), max_requests=None, duration_s=1.0)
    assert len(rows) == 25
    gaps = [b.scheduled_s - a.scheduled_s for a, b in pairwise(rows)]
    assert gaps == pytest.approx([0.04] * 24, abs=1e-5)
    late = sorted(row.sent_s - row.scheduled_s for row in rows)
    assert late[0] >= 0
    assert late[12] < 0.002


def test_an_open_loop_beyond_capacity_reports_the_wait(load: Load, mock: Mock) -> None:
    """One slot of 0.12 s serves 8.3 requests/s. Of 20/s for 0.5 s the last is due at 0.45 and done at 10 × 0.12 = 1.2.

    A client that counts from the sending of at most two in flight would report 0.24 s.
    """
    mock.set(**FAST, slots=1)
    rows = load.level(LoadLevel(rate=20), max_requests=None, duration_s=0.5, max_in_flight=2)
    assert len(rows) == 10
    last = max(rows, key=lambda row: row.scheduled_s)
    assert last.token_s[-1] - last.scheduled_s == pytest.approx(1.2 - 0.45, abs=0.15)
    assert last.token_s[-1] - last.sent_s < 0.3


def test_what_still_runs_at_the_end_is_cut_and_marked(load: Load, mock: Mock) -> None:
    """Five due in a second, three may fly, each takes 2.1 s: at 1.4 s three are cut and two were never sent."""
    mock.set(ttft_s=0.0, itl_s=0.3)
    rows = load.level(LoadLevel(rate=5), max_requests=None, duration_s=1.0, drain_s=0.4, max_in_flight=3)
    assert [row.error for row in rows] == [CUT] * 3
    assert all(4 <= len(row.token_s) <= 5 for row in rows)
    assert load.over["unsent"] == 2


def test_start_up_is_quick(load: Load) -> None:
    assert load.start_up_s < 2.0


def test_an_answer_that_is_done_is_not_held_up_by_a_body_that_never_ends(load: Load, mock: Mock) -> None:
    """After [DONE] the end of the body is waited for one second, and is no part of the answer's time."""
    mock.set(**FAST, fault="no_end")
    first, second = load.level(max_requests=2)
    assert first.end_s - first.sent_s < 0.5
    assert second.sent_s - first.sent_s < 1.5
    mock.set(**FAST, fault="no_end", framing="close")  # a body without length is at its end then
    first, second = load.level(max_requests=2)
    assert second.sent_s - first.sent_s < 0.5


def test_a_time_limit_is_named_where_a_body_ends_with_the_connection(load: Load) -> None:
    """Ended by us, the connection looks like the end of such a body: it is a stall all the same."""
    load.mock.set(fault="mute", framing="close")
    (row,) = load.level()
    assert row.error == "timeout_stall"
