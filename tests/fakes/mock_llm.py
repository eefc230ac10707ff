"""A fake OpenAI server that writes each token at a known time, logs when it really did, and misbehaves on order.

Run as a child process: ``python mock_llm.py [--port N]``; it prints ``listening PORT``. One thread, one epoll, one
heap of due times: the truth it logs is the monotonic clock right before each `send`, and the kernel's receive time
of each request. `POST /mock` with a JSON object changes settings at run time; `GET /mock/truth` returns the log and
empties it, `GET /mock/accepted` the number of connections so far.

What is written, and when, is in `mock_replies`.
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
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from mock_replies import FAULTS, Script, Settings, Step, count_tokens, plain, stream, text_of, vector

SO_TIMESTAMPNS = 35
SECOND = 1_000_000_000


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
        elif path == "/v1/models" and settings.models_at:
            self.send(peer, plain(307, b"", more=f"Location: {settings.models_at}\r\n"))
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
        if not body.get("stream") and not settings.always_stream:
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
