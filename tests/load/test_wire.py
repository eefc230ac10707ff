"""The reply parser: the same events however the bytes are cut, and every broken reply under its own name."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.wire import MAX_EVENT, MAX_HEAD, BrokenReplyError, Reply

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def parse(pieces: list[bytes], *, close: bool = False, limit: int = 1 << 20) -> tuple[list, Reply]:
    """Feed pieces with stamps 1, 2, …; the events as (name, data) and the reply."""
    events: list[tuple[bytes, bytes]] = []
    reply = Reply(lambda name, data, stamp: events.append((name, data)), limit)
    for stamp, piece in enumerate(pieces, 1):
        if reply.complete:
            break
        reply.feed(piece, stamp)
    if close:
        reply.eof()
    return events, reply


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({p % len(data) for p in places}), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if b > a]


def chunked(*bodies: bytes) -> bytes:
    return b"".join(b"%x;ext=1\r\n%b\r\n" % (len(b), b) for b in bodies) + b"0\r\nTrailer: x\r\n\r\n"


EVENTS = (
    b": ping\n\ndata: one\n\nevent: error\r\ndata: two\r\n\r\n"
    b"data: a\ndata:b\nid: 7\n\n\n\nretry: 5\n\ndata: [DONE]\n\n"
)
MEANING = [(b"message", b"one"), (b"error", b"two"), (b"message", b"a\nb"), (b"message", b"[DONE]")]
WHOLE = {
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(EVENTS[:17], EVENTS[17:18], EVENTS[18:]),
    "length": HEAD + b"Content-Length: %d\r\n\r\n" % len(EVENTS) + EVENTS,
    "close": HEAD + b"\r\n" + EVENTS,
    "after 100": b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + HEAD + b"content-length:%d\r\n\r\n" % len(EVENTS) + EVENTS,
}


@pytest.mark.parametrize("kind", WHOLE)
@given(places=st.lists(st.integers(0, 10_000), max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_segmentation_gives_the_same_events(kind: str, places: list[int]) -> None:
    events, reply = parse(cut(WHOLE[kind], places), close=kind == "close")
    assert events == MEANING
    assert reply.complete
    assert reply.keep_alive == (kind != "close")


@pytest.mark.parametrize("kind", WHOLE)
def test_every_single_split_point(kind: str) -> None:
    for at in range(1, len(WHOLE[kind])):
        events, _ = parse([WHOLE[kind][:at], WHOLE[kind][at:]], close=kind == "close")
        assert events == MEANING, at


def test_byte_by_byte() -> None:
    data = WHOLE["chunked"]
    assert parse([data[i : i + 1] for i in range(len(data))])[0] == MEANING


@given(st.lists(st.binary(min_size=1, max_size=60).filter(lambda b: b"\n" not in b and b"\r" not in b), max_size=20))
def test_data_comes_through_unchanged(payloads: list[bytes]) -> None:
    body = b"".join(b"data: %b\n\n" % p for p in payloads)
    reply_bytes = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (chunked(body) if body else chunked())
    assert [data for _, data in parse([reply_bytes])[0]] == payloads


def test_an_event_carries_the_stamp_of_the_read_that_completed_it() -> None:
    stamps: list[int] = []
    reply = Reply(lambda name, data, stamp: stamps.append(stamp), 1 << 20)
    reply.feed(HEAD + b"\r\ndata: a", 100)
    reply.feed(b"\n\n", 200)
    reply.feed(b"data: b\n\ndata: c\n\n", 300)
    assert stamps == [200, 300, 300]


def test_an_event_without_its_last_empty_line_still_counts() -> None:
    events, _ = parse([HEAD + b"\r\ndata: [DONE]"], close=True)
    assert events == [(b"message", b"[DONE]")]


def test_llama_servers_older_error_line() -> None:
    events, _ = parse([HEAD + b'\r\nerror: {"code": 500}\n\n'], close=True)
    assert events == [(b"error", b'{"code": 500}')]


def test_connection_close_and_http_1_0_end_keep_alive() -> None:
    ok = b"Content-Type: text/event-stream\r\nContent-Length: 6\r\n"
    body = b"data:x"
    assert not parse([b"HTTP/1.0 200 OK\r\n" + ok + b"\r\n" + body])[1].keep_alive
    assert parse([b"HTTP/1.0 200 OK\r\n" + ok + b"Connection: keep-alive\r\n\r\n" + body])[1].keep_alive
    assert not parse([b"HTTP/1.1 200 OK\r\n" + ok + b"Connection: close\r\n\r\n" + body])[1].keep_alive


BROKEN = {
    "bad_http": [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (MAX_HEAD + 10),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * (MAX_HEAD + 10),
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
    ],
    "too_large": [
        HEAD + b"\r\ndata: " + b"x" * (MAX_EVENT + 10),
        HEAD + b"\r\n" + b"data: x\n" * 10_002,
    ],
    "redirect": [b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n"],
    "http_401": [b"HTTP/1.1 401 X\r\nContent-Length: 2\r\n\r\nno"],
    "http_503": [b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"],
    "http_204": [b"HTTP/1.1 204 X\r\n\r\n"],
    "not_event_stream": [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
}


@pytest.mark.parametrize(("name", "data"), [(n, d) for n, many in BROKEN.items() for d in many])
def test_broken_replies_have_names(name: str, data: bytes) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        parse([data])
    assert caught.value.name == name
    assert len(caught.value.detail) <= 200


@pytest.mark.parametrize("kind", ["chunked", "length"])
def test_an_early_close_is_an_error(kind: str) -> None:
    with pytest.raises(BrokenReplyError) as caught:
        parse([WHOLE[kind][: WHOLE[kind].index(b"[DONE]")]], close=True)
    assert caught.value.name == "closed_early"


@pytest.mark.parametrize("kind", ["chunked", "close"])
def test_after_the_last_event_an_early_close_takes_nothing_from_the_answer(kind: str) -> None:
    end = WHOLE[kind].index(b"[DONE]") + len(b"[DONE]\n\n")
    events, reply = parse([WHOLE[kind][:end]], close=True)
    assert events == MEANING
    assert reply.complete
    assert not reply.keep_alive


def test_events_without_a_content_type_are_known_by_their_beginning() -> None:
    assert parse([b"HTTP/1.1 200 OK\r\n\r\nda", b"ta: x\n\n"], close=True)[0] == [(b"message", b"x")]


def test_the_size_limit_counts_every_byte() -> None:
    with pytest.raises(BrokenReplyError) as caught:
        parse([HEAD + b"\r\n", b"data: x\n\n" * 200], limit=1000)
    assert caught.value.name == "too_large"


@given(st.lists(st.binary(max_size=200), max_size=30))
@settings(deadline=None)
def test_noise_raises_nothing_else(pieces: list[bytes]) -> None:
    for start in (b"", HEAD + b"\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n"):
        with suppress(BrokenReplyError):
            parse([start, *pieces], close=True)
