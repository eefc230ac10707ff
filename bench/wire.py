"""HTTP/1.1 replies and server-sent events, cut from bytes as they arrive. Pure: no socket, no clock.

`Reply.feed` takes each read with its time stamp and calls back once per event, so an event carries the stamp of
the read that completed it. Every buffer is bounded; what cannot be a good reply raises `BrokenReplyError`, whose
``name`` is the name the failure is counted under.
"""

from __future__ import annotations

from collections.abc import Callable

DONE = b"[DONE]"
"""The data of the last event. Who has it has the whole answer, whether or not the body is ended as HTTP wants it."""
MAX_HEAD = 64 * 1024
MAX_EVENT = 256 * 1024
MAX_LINES = 10_000
MAX_TEXT = 16 * 1024
"""Bytes kept of a body that is no event stream, for the error's own words."""
MAX_BODY = 1 << 20
"""Bytes of a reply that is one document and wanted whole: an embedding of 8,192 numbers has 180 kB."""
_EVENT_STARTS = (b"data:", b"event:", b"id:", b": ", b":\n")
_HEX = frozenset(b"0123456789abcdefABCDEF")

OnEvent = Callable[[bytes, bytes, int], None]
"""Called with the event's name (``b"message"`` when it has none), its data and the stamp in nanoseconds."""


class BrokenReplyError(Exception):
    """A reply that cannot be a good answer: ``name`` to count it under, ``detail`` for the reader."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(f"{name}: {detail}" if detail else name)
        self.name = name
        self.detail = detail


class Reply:
    """One reply, from its status line to its last byte. Feed it until ``complete``."""

    __slots__ = (
        "_after_chunk",
        "_buffer",
        "_data",
        "_decode",
        "_kept",
        "_left",
        "_limit",
        "_name",
        "_on_body",
        "_on_event",
        "_tail",
        "_text",
        "_trailer",
        "_untyped",
        "complete",
        "done",
        "headers",
        "keep_alive",
        "size",
        "status",
        "stream",
    )

    def __init__(self, on_event: OnEvent, limit: int, on_body: Callable[[bytes], None] | None = None) -> None:
        """``limit`` is the greatest number of bytes taken, head included; ``on_body`` takes a reply without events."""
        self._on_event = on_event
        self._on_body = on_body
        self._limit = limit
        self._decode: Callable[[Reply, bytes, int], None] = Reply._head  # unbound: no reference cycle
        self._buffer = b""
        self._left = 0
        self._after_chunk = False
        self._trailer = False
        self._untyped = False
        self._tail = b""
        self._name = b"message"
        self._data: list[bytes] = []
        self._text: list[bytes] = []
        self._kept = 0
        self.status: int | None = None
        self.headers: dict[bytes, bytes] = {}
        self.keep_alive = False
        self.stream = False
        self.complete = False
        self.done = False
        self.size = 0

    def feed(self, data: bytes, stamp: int) -> None:
        """Take one read. Raises BrokenReplyError."""
        self.size += len(data)
        if self.size > self._limit:
            raise BrokenReplyError("too_large", f"more than {self._limit} bytes")
        self._decode(self, data, stamp)

    def eof(self) -> None:
        """The peer closed: the end of a body without length or of an answer that is done; else an error."""
        if self.complete:
            return
        if self.done:
            self.keep_alive, self.complete = False, True
            return
        if self._decode is not Reply._until_close:
            raise BrokenReplyError("closed_early", f"closed after {self.size} bytes")
        self._finish(0)

    def words(self) -> str:
        """The beginning of a body that is no event stream, for an error's detail."""
        return " ".join(b"".join(self._text).decode("utf-8", "replace").split())[:200]

    # --- head ---

    def _head(self, data: bytes, stamp: int) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BrokenReplyError("bad_http", "headers over 64 KiB")
            if not b"HTTP/1.".startswith(self._buffer[:7]):
                raise BrokenReplyError("bad_http", f"starts with {self._buffer[:20]!r}")
            return
        head, rest = self._buffer[:end], self._buffer[end + 4 :]
        self._buffer = b""
        version = self._read_head(head)
        if self.status is not None and 100 <= self.status < 200:
            self.headers = {}
            if rest:
                self._head(rest, stamp)
            return
        self._choose_body(version)
        if self.complete:
            self._check()
        elif rest:
            self._decode(self, rest, stamp)

    def _read_head(self, head: bytes) -> bytes:
        first, *lines = head.split(b"\r\n")
        version, _, after = first.partition(b" ")
        code = after[:3]
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not code.isdigit() or len(code) < 3:
            raise BrokenReplyError("bad_http", f"status line {first[:60]!r}")
        self.status = int(code)
        for line in lines:
            name, _, value = line.partition(b":")
            self.headers[name.strip().lower()] = value.strip()
        return version

    def _choose_body(self, version: bytes) -> None:
        headers = self.headers
        if self.status is not None and 300 <= self.status < 400:
            where = headers.get(b"location", b"").decode("latin-1")[:150]
            raise BrokenReplyError("redirect", f"{self.status} to {where or 'nowhere'}")
        kind = headers.get(b"content-type", b"").lower()
        self.stream = self.status == 200 and kind.startswith(b"text/event-stream")
        self._untyped = self.status == 200 and not kind
        connection = headers.get(b"connection", b"").lower()
        self.keep_alive = b"close" not in connection and (version == b"HTTP/1.1" or b"keep-alive" in connection)
        length = headers.get(b"content-length")
        if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            self._decode = Reply._chunked
        elif length is not None:
            if not length.isdigit() or len(length) > 18:
                raise BrokenReplyError("bad_http", f"content-length {length[:30]!r}")
            self._left = int(length)
            self._decode = Reply._counted
            self.complete = self._left == 0
        elif self.status == 204:
            self.complete = True
        else:
            self.keep_alive = False
            self._decode = Reply._until_close

    # --- body ---

    def _counted(self, data: bytes, stamp: int) -> None:
        if len(data) > self._left:
            self.keep_alive = False
            data = data[: self._left]
        self._left -= len(data)
        self._take(data, stamp)
        if self._left == 0:
            self._finish(stamp)

    def _until_close(self, data: bytes, stamp: int) -> None:
        self._take(data, stamp)
        if self.done:
            self._finish(stamp)

    def _chunked(self, data: bytes, stamp: int) -> None:
        buffer = self._buffer + data if self._buffer else data
        at, end = 0, len(buffer)
        pieces = []
        while at < end and not self.complete:
            if self._left:
                piece = buffer[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._after_chunk = self._left == 0
                continue
            line_end = buffer.find(b"\r\n", at)
            if line_end < 0:
                if end - at > MAX_HEAD:
                    raise BrokenReplyError("bad_http", "chunk header over 64 KiB")
                break
            self._chunk_line(buffer[at:line_end])
            at = line_end + 2
        self._buffer = buffer[at:]
        if pieces:
            self._take(pieces[0] if len(pieces) == 1 else b"".join(pieces), stamp)
        if self.complete:
            self.keep_alive = self.keep_alive and at == end
            self._finish(stamp)

    def _chunk_line(self, line: bytes) -> None:
        if self._after_chunk:
            if line:
                raise BrokenReplyError("bad_http", "chunk longer than its size")
            self._after_chunk = False
        elif self._trailer:
            self.complete = not line
        else:
            size = line.partition(b";")[0].strip()
            if not size or len(size) > 15 or not _HEX.issuperset(size):
                raise BrokenReplyError("bad_http", f"chunk size {line[:30]!r}")
            self._left = int(size, 16)
            self._trailer = self._left == 0

    def _take(self, body: bytes, stamp: int) -> None:
        if self._untyped:  # a server that forgot to say what it sends
            self._untyped = False
            self.stream = any(start.startswith(body[: len(start)]) for start in _EVENT_STARTS)
        if self.stream:
            self._events(body, stamp)
            return
        wanted = self._on_body is not None and self.status == 200
        if wanted and self._kept + len(body) > MAX_BODY:
            raise BrokenReplyError("too_large", "one document over 1 MiB")
        if wanted or self._kept < MAX_TEXT:
            self._text.append(body)
            self._kept += len(body)

    def _events(self, body: bytes, stamp: int) -> None:
        lines = (self._tail + body if self._tail else body).split(b"\n")
        self._tail = lines.pop()
        for line in lines:
            self._line(line, stamp)
        if len(self._tail) + sum(map(len, self._data)) > MAX_EVENT or len(self._data) > MAX_LINES:
            raise BrokenReplyError("too_large", "one event over 256 KiB or 10,000 lines")

    def _line(self, line: bytes, stamp: int) -> None:
        if line.endswith(b"\r"):
            line = line[:-1]
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif not line:
            self._dispatch(stamp)
        elif line.startswith(b"event:"):
            self._name = line[6:].strip()
        elif line.startswith(b"error:"):  # llama-server's older spelling of an error event
            self._name = b"error"
            self._data.append(line[6:].strip())

    def _dispatch(self, stamp: int) -> None:
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            name = self._name
            self._data = []
            self._name = b"message"
            self.done = self.done or data == DONE
            self._on_event(name, data, stamp)
        else:
            self._name = b"message"

    def _finish(self, stamp: int) -> None:
        if self._tail:
            self._line(self._tail, stamp)
            self._tail = b""
        self._dispatch(stamp)
        self.complete = True
        self._check()

    def _check(self) -> None:
        if self.status != 200:
            raise BrokenReplyError(f"http_{self.status}", self.words())
        if not self.stream and self._on_body is not None:
            self._on_body(b"".join(self._text))
        elif not self.stream:
            kind = self.headers.get(b"content-type", b"no content type").decode("latin-1")[:60]
            raise BrokenReplyError("not_event_stream", f"{kind}: {self.words()}"[:200])
