"""What the mock server writes and when, as pure scripts: the good answers, and each fault by its function's name.

A prompt has one token for every four characters of its messages, plus ``OVERHEAD_TOKENS`` for the "template".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

OVERHEAD_TOKENS = 11


@dataclass
class Settings:
    """How the next requests are answered. ``fault`` names one of the functions below."""

    ttft_s: float = 0.2
    itl_s: float = 0.02
    tokens: int | None = None  # None: as many as asked
    slots: int | None = None  # requests served at once; the others wait in line
    fault: str | None = None
    every: int = 1  # the fault strikes every n-th request
    at_token: int = 3
    stall_s: float = 0.5
    status: int = 500
    retry_after: str | None = None  # goes with a status
    api_key: str | None = None
    owned_by: str = "mock"
    model: str = "mock"
    framing: str = "chunked"  # or "close"
    newline: str = "\n"
    tokens_per_event: int = 1
    early_role: bool = True  # the empty role chunk comes at once, as from llama-server; else not at all
    usage: str = "true"  # or "none", "absurd"
    refuse: tuple[str, ...] = ()  # body keys answered with 400
    split_bytes: int = 0  # write events in pieces of so many bytes
    models_at: str | None = None  # where a question for the models is redirected to
    always_stream: bool = False  # also where no stream was asked for
    hang_up: bool = False  # close after each reply without saying so


@dataclass
class Step:
    """Write ``data`` when ``at_s`` seconds have passed since the request was taken up."""

    at_s: float
    data: bytes
    token: bool = False
    then: str = ""  # "close" or "reset" after the write


Script = Callable[["Settings", dict, int, str], Iterator[Step]]


def text_of(body: dict) -> str:
    contents = [m["content"] for m in body.get("messages", ())]
    parts = [c if isinstance(c, str) else "".join(part.get("text", "") for part in c) for c in contents]
    return body.get("prompt") or body.get("input") or "".join(parts)


def count_tokens(body: dict) -> int:
    return -(-len(text_of(body)) // 4) + OVERHEAD_TOKENS


def plain(status: int, body: bytes, kind: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def head(settings: Settings) -> bytes:
    how = "Transfer-Encoding: chunked" if settings.framing == "chunked" else "Connection: close"
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n{how}\r\n\r\n".encode()


def framed(settings: Settings, body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body) if settings.framing == "chunked" else body


def event(settings: Settings, document: object) -> bytes:
    text = document if isinstance(document, str) else json.dumps(document)
    return framed(settings, f"data: {text}{settings.newline}{settings.newline}".encode())


def chunk(name: str, delta: dict, finish: str | None = None) -> dict:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    if "text" in delta:  # as /v1/completions writes it
        choice = {"index": 0, "text": delta["text"], "finish_reason": finish}
    return {"id": name, "object": "chat.completion.chunk", "created": 0, "model": "mock", "choices": [choice]}


def ending(settings: Settings, at_s: float) -> Step:
    last = b"0\r\n\r\n" if settings.framing == "chunked" else b""
    return Step(at_s, last, then="" if settings.framing == "chunked" else "close")


def tokens(settings: Settings, asked: int, name: str, key: str = "content", since: int = 0) -> Iterator[Step]:
    """Token events on schedule; the role chunk comes first and at once, as real servers do."""
    if since == 0 and not settings.early_role:
        yield Step(0.0, head(settings))
    elif since == 0:
        role = {"text": ""} if key == "text" else {"role": "assistant", "content": ""}
        yield Step(0.0, head(settings) + event(settings, chunk(name, role)))
    for i in range(since, asked, settings.tokens_per_event):
        text = "word " * min(settings.tokens_per_event, asked - i)
        delta = {key: text} if key != "tool_calls" else {key: [{"index": 0, "function": {"arguments": text}}]}
        yield Step(settings.ttft_s + i * settings.itl_s, event(settings, chunk(name, delta)), token=True)


def finish(settings: Settings, body: dict, prompt: int, made: int, name: str) -> Iterator[Step]:
    at_s = settings.ttft_s + max(0, made - 1) * settings.itl_s
    data = event(settings, chunk(name, {}, "length"))
    if settings.usage != "none" and body.get("stream_options", {}).get("include_usage"):
        counted = made if settings.usage == "true" else 10**12
        usage = {"prompt_tokens": prompt, "completion_tokens": counted, "total_tokens": prompt + counted}
        data += event(settings, {"id": name, "choices": [], "usage": usage})
    yield Step(at_s, data + event(settings, "[DONE]"))
    yield ending(settings, at_s)


def asked_tokens(settings: Settings, body: dict) -> int:
    return settings.tokens if settings.tokens is not None else int(body.get("max_tokens", 16))


def stream(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    made = asked_tokens(settings, body)
    yield from tokens(settings, made, name, "text" if "prompt" in body else "content")
    yield from finish(settings, body, prompt, made, name)


def vector(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    found: dict = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1] * 384}]}
    if settings.usage != "none":
        found["usage"] = {"prompt_tokens": prompt, "total_tokens": prompt}
    yield Step(settings.ttft_s, plain(200, json.dumps(found).encode()))


def before(settings: Settings, name: str) -> Iterator[Step]:
    """The tokens up to ``at_token``, then the fault."""
    yield from tokens(settings, settings.at_token, name)


def after_s(settings: Settings) -> float:
    return settings.ttft_s + settings.at_token * settings.itl_s


def error_event(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield from before(settings, name)
    yield Step(after_s(settings), event(settings, {"error": {"message": "engine died", "code": 500}}))
    yield Step(after_s(settings), event(settings, "[DONE]"))
    yield ending(settings, after_s(settings))


def stall(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    """One gap of ``stall_s`` before token ``at_token``."""
    for step in stream(settings, body, prompt, name):
        late = step.at_s >= after_s(settings) - 1e-9
        step.at_s += settings.stall_s - settings.itl_s if late else 0.0
        yield step


def reasoning(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    made = asked_tokens(settings, body)
    yield from tokens(settings, settings.at_token, name, "reasoning_content")
    yield from tokens(settings, made, name, since=settings.at_token)
    yield from finish(settings, body, prompt, made, name)


def tool_call(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    made = asked_tokens(settings, body)
    yield from tokens(settings, made, name, "tool_calls")
    yield from finish(settings, body, prompt, made, name)


def comments(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    for step in stream(settings, body, prompt, name):
        yield step
        if step.token:
            ping = f": ping{settings.newline}{settings.newline}".encode()
            yield Step(step.at_s + settings.itl_s / 2, framed(settings, ping))


def no_finish(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield from before(settings, name)
    yield ending(settings, after_s(settings))


def hang_up(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield from before(settings, name)
    yield Step(after_s(settings), b"1f\r\ndata: half an ev", then="close")


def reset(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield from before(settings, name)
    yield Step(after_s(settings), b"", then="reset")


def empty(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield from tokens(settings, 0, name)
    yield Step(0.0, event(settings, chunk(name, {}, "stop")) + event(settings, "[DONE]"))
    yield ending(settings, 0.0)


def bad_json(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield from before(settings, name)
    yield Step(after_s(settings), event(settings, '{"choices": [{"delta": {"con'))
    yield ending(settings, after_s(settings))


def html(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield Step(0.0, plain(200, b"<html><h1>Welcome to nginx!</h1></html>", "text/html"))


def json_instead(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield Step(0.0, plain(200, b'{"choices": [{"message": {"content": "hi"}}]}'))


def status(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    message = {"error": {"message": f"status {settings.status} on order"}}
    asks = "" if settings.retry_after is None else f"Retry-After: {settings.retry_after}\r\n"
    yield Step(0.0, plain(settings.status, json.dumps(message).encode(), more=asks))


def redirect(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield Step(0.0, plain(302, b"", more="Location: http://other.example/v1/chat/completions\r\n"))


def endless(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield from tokens(settings, 10**9, name)


def endless_line(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield Step(0.0, head(settings))
    for _ in range(10**9):
        yield Step(0.0, framed(settings, b"data: " + b"x" * 60_000))


def slowloris(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    for i, byte in enumerate(head(settings) * 1000):
        yield Step(i * 0.05, bytes([byte]))


def silent(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield Step(10**6, b"")


def mute(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    """Tokens up to ``at_token``, then nothing more for ever."""
    yield from before(settings, name)
    yield Step(10**6, b"")


def no_end(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    """A whole answer with its [DONE]; the body, though, is never ended."""
    *whole, _ = stream(settings, body, prompt, name)
    yield from whole
    yield Step(10**6, b"")


def reset_after_done(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    *whole, last = stream(settings, body, prompt, name)
    yield from whole
    yield Step(last.at_s + 0.02, b"", then="reset")


def untyped(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    """Without a Content-Type."""
    for step in stream(settings, body, prompt, name):
        step.data = step.data.replace(b"Content-Type: text/event-stream; charset=utf-8\r\n", b"")
        yield step


def not_http(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield Step(0.0, b"SSH-2.0-OpenSSH_9.6\r\n\r\n", then="close")


def bad_chunk(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield Step(0.0, head(settings) + b"zz\r\nhello\r\n")


def long_head(settings: Settings, body: dict, prompt: int, name: str) -> Iterator[Step]:
    yield Step(0.0, b"HTTP/1.1 200 OK\r\n")
    for _ in range(10**9):
        yield Step(0.0, b"X-Pad: " + b"y" * 4000 + b"\r\n")


FAULTS = {
    f.__name__: f
    for f in (
        error_event, stall, reasoning, tool_call, comments, no_finish, hang_up, reset, empty, bad_json, html,
        json_instead, status, redirect, endless, endless_line, slowloris, silent, mute, not_http, bad_chunk, long_head,
        no_end, reset_after_done, untyped,
    )
}  # fmt: skip
