"""A server that writes each token at a known time and logs when it did: the ruler of `selfhost bench --self-check`.

``python known_times.py FIRST_S GAP_S`` prints ``listening PORT``. One thread, one epoll, one heap. The truth is the
kernel's receive time of each request and the monotonic clock right before each write; ``GET /truth`` gives and
empties the log. It is never a target of a real load: it knows one model, one kind of answer and no faults.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any

SO_TIMESTAMPNS = 35
_S = 1_000_000_000
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PROMPT_TOKENS = 100


class Stream:
    """One connection and the answer that it is getting."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.incoming = b""
        self.received_ns = 0
        self.name = ""
        self.asked = 0
        self.written_ns: list[int] = []


class KnownTimes:
    """First token ``first_s`` after a request came in, then one every ``gap_s``."""

    def __init__(self, first_s: float, gap_s: float) -> None:
        self._first_ns, self._gap_ns = int(first_s * _S), int(gap_s * _S)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._streams: dict[int, Stream] = {}
        self._due: list[tuple[int, int, Stream]] = []
        self._number = 0
        self._truth: dict[str, dict[str, Any]] = {}
        pairs = ((time.perf_counter_ns(), time.time_ns(), time.perf_counter_ns()) for _ in range(99))
        self._offset_ns = min((c - a, b - (a + c) // 2) for a, b, c in pairs)[1]
        self.port = self._listener.getsockname()[1]

    def run(self) -> None:
        """Serve until whoever started it has ended."""
        parent = os.getppid()
        while os.getppid() == parent:
            wait_s = 0.5
            if self._due:
                wait_s = min(wait_s, max(0.0, (self._due[0][0] - time.perf_counter_ns()) / _S))
            for descriptor, _event in self._epoll.poll(wait_s):
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._read(self._streams[descriptor])
            while self._due and self._due[0][0] <= time.perf_counter_ns():
                at, _number, stream = heapq.heappop(self._due)
                self._write(stream, at)

    def _accept(self) -> None:
        sock, _address = self._listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._streams[sock.fileno()] = Stream(sock)
        self._epoll.register(sock, select.EPOLLIN)

    def _close(self, stream: Stream) -> None:
        if self._streams.pop(stream.sock.fileno(), None) is not None:
            self._epoll.unregister(stream.sock)
            stream.sock.close()

    def _read(self, stream: Stream) -> None:
        try:
            data, control, _flags, _address = stream.sock.recvmsg(1 << 20, 64)
        except BlockingIOError:
            return
        except OSError:
            data, control = b"", []
        if not data:
            self._close(stream)
            return
        stream.received_ns = time.perf_counter_ns()
        for _level, kind, stamp in control:
            if kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("@ll", stamp)
                stream.received_ns = seconds * _S + nanoseconds - self._offset_ns
        stream.incoming += data
        head, found, rest = stream.incoming.partition(b"\r\n\r\n")
        length = next((int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0)
        if found and len(rest) >= length:
            stream.incoming = rest[length:]
            self._answer(stream, head, rest[:length])

    def _answer(self, stream: Stream, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /truth"):
            truth, self._truth = self._truth, {}
            self._say(stream, truth)
        elif head.startswith(b"GET"):
            self._say(stream, {"object": "list", "data": [{"id": "known-times", "object": "model"}]})
        elif not (asked := json.loads(body)).get("stream"):
            self._say(stream, {"usage": {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 1}})
        else:
            self._number += 1
            stream.name, stream.asked, stream.written_ns = str(self._number), asked["max_tokens"], []
            self._send(stream, _HEAD)
            self._push(stream, stream.received_ns + self._first_ns)

    def _push(self, stream: Stream, at_ns: int) -> None:
        self._number += 1  # so that two equal times never compare the streams
        heapq.heappush(self._due, (at_ns, self._number, stream))

    def _write(self, stream: Stream, at_ns: int) -> None:
        last = len(stream.written_ns) == stream.asked - 1
        data = _event(stream.name, {"content": "word "})
        if last:
            usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": stream.asked}
            data += _event(stream.name, {}, "length", usage) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        stream.written_ns.append(time.perf_counter_ns())
        if not self._send(stream, data):
            return
        if last:
            self._truth[stream.name] = {"received_ns": stream.received_ns, "written_ns": stream.written_ns}
        else:
            self._push(stream, at_ns + self._gap_ns)

    def _say(self, stream: Stream, document: object) -> None:
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        stream.sock.setblocking(True)  # the log is long, and nothing else is going on when it is asked for
        self._send(stream, head.encode() + body)
        stream.sock.setblocking(False)

    def _send(self, stream: Stream, data: bytes) -> bool:
        try:
            stream.sock.sendall(data)
        except OSError:
            self._close(stream)
            return False
        return True


def _event(name: str, delta: dict[str, str], finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    document = {"id": name, "object": "chat.completion.chunk", "choices": [choice]}
    return _chunk(b"data: " + json.dumps({**document, "usage": usage} if usage else document).encode() + b"\n\n")


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


if __name__ == "__main__":
    server = KnownTimes(float(sys.argv[1]), float(sys.argv[2]))
    print(f"listening {server.port}", flush=True)
    server.run()
