"""What stream events mean: which are tokens, which end or break an answer, which counts are believed."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.answer import Answer
from bench.wire import BrokenReplyError


def said(*chunks: Any, asked: int = 8) -> Answer:
    """An answer after these chunks, stamped 10, 20, 30, …"""
    answer = Answer(asked)
    for number, chunk in enumerate(chunks, 1):
        answer.event(b"message", (chunk if isinstance(chunk, str) else json.dumps(chunk)).encode(), number * 10)
    return answer


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "r-1", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def test_role_and_finish_chunks_are_no_tokens() -> None:
    answer = said(delta(role="assistant", content=""), delta(content="a"), delta(content=None), delta("stop"), "[DONE]")
    assert answer.tokens == [20]
    assert answer.finish == "stop"
    assert answer.done
    assert answer.reply_id == "r-1"
    answer.check()


def test_a_finish_reason_may_come_with_the_last_token() -> None:
    answer = said(delta(content="a"), delta("length", content="b"))
    assert (answer.tokens, answer.finish) == ([10, 20], "length")


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_is_a_token_but_no_answer(key: str) -> None:
    answer = said(delta(**{key: "hm"}), delta(**{key: "so"}), delta(content="4"))
    assert answer.tokens == [10, 20, 30]
    assert answer.first_answer == 30


def test_a_tool_call_is_an_answer() -> None:
    answer = said(delta(role="assistant"), delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}]))
    assert (answer.tokens, answer.first_answer) == ([20], 20)


def test_completions_text_is_a_token() -> None:
    assert said({"choices": [{"index": 0, "text": "a", "finish_reason": None}]}).tokens == [10]


def test_events_of_one_read_are_marked_as_shared() -> None:
    answer = Answer(8)
    for stamp in (10, 10, 10, 20):
        answer.event(b"message", json.dumps(delta(content="x")).encode(), stamp)
    assert answer.shared == 2


@pytest.mark.parametrize(
    "chunk",
    [
        {"error": {"message": "engine died", "code": 500}},
        {"error": "engine died"},
        {"object": "error", "message": "engine died", "code": 400},
    ],
)
def test_an_error_in_the_stream_is_a_failure_with_the_servers_words(chunk: dict) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        said(delta(content="a"), chunk)
    assert caught.value.name == "error_event"
    assert "engine died" in caught.value.detail


def test_an_event_named_error_is_one_whatever_it_says() -> None:
    for data in (b'{"message": "no"}', b"no json", b"[1]"):
        with pytest.raises(BrokenReplyError) as caught:
            Answer(8).event(b"error", data, 1)
        assert caught.value.name == "error_event"


def test_a_null_error_field_is_none() -> None:
    assert said({**delta(content="a"), "error": None}).tokens == [10]


BAD = ['{"choices": [{"del', "[]", "7", "null", '"x"', '{"choices": [7]}', "", '{"choices": 1}']


@pytest.mark.parametrize("data", BAD)
def test_nonsense_is_bad_json(data: str) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        said(data)
    assert caught.value.name == "bad_json"


KEYS = st.sampled_from(["choices", "delta", "content", "usage", "error", "id", "text", "finish_reason"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)


@given(DOCUMENTS)
def test_no_document_breaks_the_client(document: Any) -> None:
    with suppress(BrokenReplyError):  # the only error it knows
        said(document).counts()


@pytest.mark.parametrize(
    ("chunks", "name"),
    [
        ((delta(content="a"),), "no_finish"),
        ((), "no_finish"),
        ((delta("stop"), "[DONE]"), "empty"),
        ((delta(content="a"), delta("abort")), "aborted"),
    ],
)
def test_answers_that_are_not_whole(chunks: tuple, name: str) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        said(*chunks).check()
    assert caught.value.name == name


def test_far_more_tokens_than_asked_end_the_request() -> None:
    with pytest.raises(BrokenReplyError) as caught:
        said(*[delta(content="x")] * 200, asked=8)
    assert caught.value.name == "too_many_tokens"


def usage(given: Any, made: Any) -> dict:
    return {"choices": [], "usage": {"prompt_tokens": given, "completion_tokens": made}}


def test_the_servers_usage_counts() -> None:
    assert said(delta(content="a b c"), usage(120, 3)).counts() == (120, 3, "usage")


@pytest.mark.parametrize(
    "strange", [usage(120, 10**12), usage(120, 0), usage(-1, 3), usage("120", "3"), usage(True, True), {"usage": [1]}]
)
def test_absurd_usage_is_not_believed(strange: dict) -> None:
    assert said(delta(content="a"), delta(content="b"), strange).counts() == (None, 2, "events")
