"""A fake OpenAI server that writes each token at a known time, logs when it really did, and misbehaves on order.

Run as a child process: ``python mock_llm.py [--port N]``; it prints ``listening PORT``. One thread, one epoll, one
heap of due times: the truth it logs is the monotonic clock right before each `send`, and the kernel's receive time
of each request. `POST /mock` with a JSON object changes settings at run time; `GET /mock/truth` returns the log and
empties it, `GET /mock/accepted` the number of connections so far.

A prompt has one token for every four characters of its messages, plus ``OVERHEAD_TOKENS`` for the "template".
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import os
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields

SO_TIMESTAMPNS = 35
OVERHEAD_TOKENS = 11
SECOND = 1_000_000_000


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
    hang_up: bool = False  # close after each reply without saying so


@dataclass
class Step:
    """Write ``data`` when ``at_s`` seconds have passed since the request was taken up."""

    at_s: float
    data: bytes
    token: bool = False
    then: str = ""  # "close" or "reset" after the write


Script = Callable[["Settings", dict, int, str], Iterator[Step]]


@dataclass
class Truth:
    """What really happened to one request, monotonic nanoseconds."""

    id: str
    received_ns: int
    prompt: str = ""
    tokens_ns: list[int] = field(default_factory=list)
    end_ns: int = 0


class Peer:
    """One client connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.incoming = b""
        self.outgoing = b""
        self.stamp_ns = 0
        self.script: Iterator[Step] = iter(())
        self.steps: Iterator[Step] | None = None  # the script, once it is taken up
        self.step: Step | None = None
        self.taken_ns = 0
        self.truth: Truth | None = None
        self.closing = False


class Server:
    """The event loop."""

    def __init__(self, port: int) -> None:
        self.settings = Settings()
        self.truths: list[Truth] = []
        self.seen = 0
        self.serial = itertools.count()
        self.due: list[tuple[int, int, Peer]] = []
        self.waiting: deque[Peer] = deque()
        self.serving = 0
        self.accepted = 0
        self.peers: dict[int, Peer] = {}
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(4096)
        self.listener.setblocking(False)
        self.epoll = select.epoll()
        self.epoll.register(self.listener, select.EPOLLIN)
        self.offset_ns = min(
            (
                (time.perf_counter_ns() - a, r - a)
                for a, r in ((time.perf_counter_ns(), time.time_ns()) for _ in range(99))
            ),
        )[1]

    @property
    def port(self) -> int:
        return self.listener.getsockname()[1]

    def run(self) -> None:
        parent = os.getppid()
        while os.getppid() == parent:  # never outlives the test
            wait = 1.0
            if self.due:
                wait = min(wait, max(0.0, (self.due[0][0] - time.perf_counter_ns()) / SECOND))
            for fd, event in self.epoll.poll(wait):
                if fd == self.listener.fileno():
                    self.accept()
                elif fd in self.peers:
                    peer = self.peers[fd]
                    if event & select.EPOLLOUT:
                        self.flush(peer)
                    if event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and not peer.closing:
                        self.read(peer)
            while self.due and self.due[0][0] <= time.perf_counter_ns():
                peer = heapq.heappop(self.due)[2]
                if not peer.closing:
                    self.write_step(peer)

    def accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            self.accepted += 1
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self.peers[sock.fileno()] = Peer(sock)
            self.epoll.register(sock, select.EPOLLIN)

    def close(self, peer: Peer, *, reset: bool = False) -> None:
        if peer.closing:
            return
        peer.closing = True
        if reset:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peers.pop(peer.sock.fileno(), None)
        self.epoll.unregister(peer.sock)
        peer.sock.close()
        if peer.steps is not None:
            self.done(peer)
        elif peer in self.waiting:
            self.waiting.remove(peer)

    # --- requests ---

    def read(self, peer: Peer) -> None:
        try:
            data, control, _, _ = peer.sock.recvmsg(1 << 20, 64)
        except BlockingIOError:
            return
        except OSError:
            data, control = b"", []
        if not data:
            self.close(peer)
            return
        peer.stamp_ns = time.perf_counter_ns()
        for _, kind, stamp in control:
            if kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("@ll", stamp)
                peer.stamp_ns = seconds * SECOND + nanoseconds - self.offset_ns
        peer.incoming += data
        head, found, rest = peer.incoming.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        if len(rest) >= length:
            peer.incoming = rest[length:]
            method, path, _ = lines[0].split(" ", 2)
            self.route(peer, method, path, headers, rest[:length])

    def route(self, peer: Peer, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        settings = self.settings
        if path == "/mock":
            changes = json.loads(body)
            known = {f.name for f in fields(Settings)}
            assert known.issuperset(changes), changes
            self.settings = Settings(**{**settings.__dict__, **changes}) if changes else Settings()
            self.seen = 0
            self.reply(peer, 200, {"ok": True})
        elif path == "/mock/truth":
            truths, self.truths = self.truths, []
            self.reply(peer, 200, [t.__dict__ for t in truths])
        elif path == "/mock/accepted":
            self.reply(peer, 200, self.accepted)
        elif settings.api_key and headers.get("authorization") != f"Bearer {settings.api_key}":
            self.reply(peer, 401, {"error": {"message": f"wrong key {headers.get('authorization')}"}})
        elif path == "/v1/models":
            model = {"id": settings.model, "object": "model", "owned_by": settings.owned_by}
            self.reply(peer, 200, {"object": "list", "data": [model]})
        elif path in ("/v1/chat/completions", "/v1/completions"):
            self.complete(peer, json.loads(body))
        elif path == "/v1/embeddings":
            self.embed(peer, json.loads(body))
        else:
            self.reply(peer, 404, {"error": {"message": f"no {path}"}})

    def complete(self, peer: Peer, body: dict) -> None:
        settings = self.settings
        refused = [key for key in settings.refuse if key in body]
        if refused:
            self.reply(peer, 400, {"error": {"message": f"unknown field {refused[0]}"}})
            return
        if body.get("model") != settings.model:
            self.reply(peer, 404, {"error": {"message": f"model {body.get('model')!r} does not exist"}})
            return
        prompt = count_tokens(body)
        if not body.get("stream"):
            usage = {"prompt_tokens": prompt, "completion_tokens": 1, "total_tokens": prompt + 1}
            choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "length"}
            self.reply(peer, 200, {"object": "chat.completion", "choices": [choice], "usage": usage})
            return
        self.begin(peer, stream, body, prompt)

    def embed(self, peer: Peer, body: dict) -> None:
        """A vector after ``ttft_s``; the faults that fit strike as ever."""
        self.begin(peer, vector, body, -(-len(text_of(body)) // 4) + 2)

    def begin(self, peer: Peer, good: Script, body: dict, prompt: int) -> None:
        settings = self.settings
        self.seen += 1
        number = next(self.serial)
        peer.truth = Truth(f"mock-{number}", peer.stamp_ns, text_of(body)[:200])
        strikes = settings.fault is not None and self.seen % settings.every == 0
        write = FAULTS[settings.fault] if strikes else good
        peer.steps = None
        peer.script = write(settings, body, prompt, f"mock-{number}")
        if settings.slots is not None and self.serving >= settings.slots:
            self.waiting.append(peer)
        else:
            self.take_up(peer)

    def take_up(self, peer: Peer) -> None:
        self.serving += 1
        peer.steps = peer.script
        now = time.perf_counter_ns()
        # with free slots the plan counts from the request's arrival, so a late loop shortens the wait, not the truth
        peer.taken_ns = peer.stamp_ns if self.settings.slots is None else now
        self.next_step(peer)

    def next_step(self, peer: Peer) -> None:
        peer.step = next(peer.steps, None)
        if peer.step is None:
            self.done(peer)
            if self.settings.hang_up:
                self.close(peer)
            return
        due = peer.taken_ns + int(peer.step.at_s * SECOND)
        heapq.heappush(self.due, (due, next(self.serial), peer))

    def done(self, peer: Peer) -> None:
        peer.steps = None
        peer.truth.end_ns = time.perf_counter_ns()
        self.truths.append(peer.truth)
        self.serving -= 1
        while self.waiting and (self.settings.slots is None or self.serving < self.settings.slots):
            self.take_up(self.waiting.popleft())

    # --- replies ---

    def write_step(self, peer: Peer) -> None:
        step = peer.step
        if step.token:
            peer.truth.tokens_ns.append(time.perf_counter_ns())
        size = self.settings.split_bytes or max(1, len(step.data))
        if not self.send(peer, *(step.data[i : i + size] for i in range(0, len(step.data), size))):
            return
        if step.then:
            self.close(peer, reset=step.then == "reset")
        elif not peer.outgoing:
            self.next_step(peer)

    def send(self, peer: Peer, *pieces: bytes) -> bool:
        for piece in pieces:
            if peer.outgoing:
                peer.outgoing += piece
                continue
            try:
                sent = peer.sock.send(piece)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close(peer)
                return False
            if sent < len(piece):
                peer.outgoing = piece[sent:]
                self.epoll.modify(peer.sock, select.EPOLLIN | select.EPOLLOUT)
        return True

    def flush(self, peer: Peer) -> None:
        data, peer.outgoing = peer.outgoing, b""
        self.epoll.modify(peer.sock, select.EPOLLIN)
        if self.send(peer, data) and not peer.outgoing and peer.steps is not None:
            self.next_step(peer)

    def reply(self, peer: Peer, status: int, document: object) -> None:
        self.send(peer, plain(status, json.dumps(document).encode()))


# --- what is written, as pure scripts ---


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
    )
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    server = Server(parser.parse_args().port)
    print(f"listening {server.port}", flush=True)
    try:
        server.run()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
