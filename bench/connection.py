"""One keep-alive connection of one user: send prepared bytes, read the reply with the kernel's time stamps.

The start is stamped right before the first byte is handed to the kernel. On plain TCP each read carries the
kernel's receive time of its last segment (``SO_TIMESTAMPNS``), so a greenlet that runs late moves no stamp, and
user stamp − kernel stamp is the client's own lag. TLS has user stamps only.

Time limits cost nothing per read: a watchdog shuts the socket down when the limit has passed, and the reader sees
the end of the stream with the reason noted.
"""

from __future__ import annotations

import errno
import socket as patched  # Locust's monkey patching makes this gevent's
import ssl
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter_ns

import gevent
from gevent import monkey

from bench.clock import CMSG_BYTES, SO_TIMESTAMPNS, Clock
from bench.proxy import Proxy, tunnel
from bench.wire import BrokenReplyError, Reply

_Socket = monkey.get_original("socket", "socket")
READ_BYTES = 16 * 1024
AFTER_DONE_S = 1.0
"""How long the end of the body is waited for once the answer is done; the answer is whole without it."""
_S = 1_000_000_000


@dataclass(frozen=True)
class Limits:
    """Seconds allowed: to connect, between two reads once tokens came, for a request, while none had a token."""

    connect_s: float = 10.0
    stall_s: float = 60.0
    request_s: float = 300.0
    silence_s: float = 300.0
    reply_bytes: int = 64 << 20


class Target:
    """Where to connect. The name is resolved once; addresses are tried in order, the one that answered first."""

    def __init__(self, host: str, port: int, *, tls: bool, limits: Limits, proxy: Proxy | None = None) -> None:
        self.limits = limits
        self.proxy = proxy
        self._host = host
        self._port = port
        self._addresses: list[tuple] = []
        self._context = ssl.create_default_context() if tls else None

    def open(self) -> tuple[patched.socket, bool]:
        """A connected socket and whether it is TLS. Raises BrokenReplyError."""
        try:
            if not self._addresses:
                host, port = (self.proxy.host, self.proxy.port) if self.proxy else (self._host, self._port)
                self._addresses = patched.getaddrinfo(host, port, type=patched.SOCK_STREAM)
            sock = self._first_that_answers()
        except OSError as error:
            whose = "proxy_" if self.proxy else ""
            raise BrokenReplyError(whose + _connect_error(error), str(error)[:200]) from error
        if self._context is None:
            return sock, False
        try:
            return self._secured(sock, self._context), True
        except OSError as error:
            sock.close()
            raise BrokenReplyError(_connect_error(error), str(error)[:200]) from error
        except BrokenReplyError:
            sock.close()
            raise

    def _secured(self, sock: patched.socket, context: ssl.SSLContext) -> patched.socket:
        """TLS to the target itself, through the proxy where there is one."""
        if self.proxy is not None:
            name = f"[{self._host}]" if ":" in self._host else self._host
            try:
                tunnel(sock, self.proxy, f"{name}:{self._port}", self.limits.connect_s)
            except OSError as error:
                raise BrokenReplyError("proxy_" + _lost(error), str(error)[:200]) from error
            sock.settimeout(self.limits.connect_s)
        return context.wrap_socket(sock, server_hostname=self._host)

    def _first_that_answers(self) -> patched.socket:
        last: OSError = OSError("no address")
        for found in list(self._addresses):
            family, kind, proto, _name, address = found
            sock = patched.socket(family, kind, proto)
            try:
                sock.setsockopt(patched.IPPROTO_TCP, patched.TCP_NODELAY, 1)
                if self._context is None:
                    with suppress(OSError):  # not Linux: user stamps
                        sock.setsockopt(patched.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                sock.settimeout(self.limits.connect_s)
                sock.connect(address)
                self._addresses.sort(key=lambda other: other is not found)
                return sock
            except OSError as error:
                sock.close()
                last = error
        raise last


class _StaleError(Exception):
    """A kept-alive connection turned out closed before any byte of the reply."""


class Connection:
    """A connection that reopens itself. One request at a time; its times are nanoseconds."""

    def __init__(self, target: Target, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self._sock: patched.socket | None = None
        self._tls = False
        self._readable = self._writable = None
        self._used = False
        self._drained = True
        self._expired: str | None = None
        self._reply: Reply | None = None
        self._end_ns = 0
        self.sent_ns = 0
        self.first_byte_ns: int | None = None
        self.last_ns = 0
        """The last byte; after a failure, when the attempt was given up."""
        self.lag_ns: int | None = None
        """Greatest user stamp − kernel stamp of the request's reads; None without kernel stamps."""

    def connect(self) -> None:
        """Make sure that there is an open connection. Raises BrokenReplyError."""
        if self._sock is not None and not self._peer_closed():
            return
        self.close()
        sock, self._tls = self._target.open()
        self._used = False
        if self._tls:
            sock.settimeout(None)
            self._sock = sock
            return
        self._sock = raw = _Socket(fileno=sock.detach())
        raw.setblocking(False)
        loop = gevent.get_hub().loop
        self._readable, self._writable = loop.io(raw.fileno(), 1), loop.io(raw.fileno(), 2)

    def close(self) -> None:
        """Close and forget the socket."""
        for watcher in (self._readable, self._writable):
            if watcher is not None:
                watcher.close()
        if self._sock is not None:
            with suppress(OSError):
                self._sock.close()
        self._sock = self._readable = self._writable = None

    def exchange(self, payload: bytes, reply: Reply) -> None:
        """Send ``payload`` and feed its reply. Raises BrokenReplyError with the failure's name.

        A kept-alive connection that the peer had closed is opened again, once; the start stays the first one.
        """
        self._begin()
        self._reply = reply
        try:
            self.connect()
            if self._expired is not None:
                raise BrokenReplyError(self._expired)
            self.sent_ns = perf_counter_ns()
            try:
                self._attempt(payload, reply)
            except _StaleError:
                self.close()
                self.connect()
                self._attempt(payload, reply)
        finally:
            if not reply.complete:
                self.last_ns = perf_counter_ns()
            self._used = True
            if not (reply.complete and reply.keep_alive):
                self.close()

    def expire(self, name: str) -> None:
        """End the running request as ``name``; the reader finds out at once."""
        if self._expired is None:
            self._expired = name
            if self._sock is not None:
                with suppress(OSError):
                    self._sock.shutdown(patched.SHUT_RDWR)

    def overdue(self, now: int, *, speaking: bool, mute: bool = False) -> str | None:
        """Which time limit of the running request has passed.

        A stall counts once it is ``speaking`` tokens; less is waited for while all are ``mute``.
        """
        if self._reply is not None and self._reply.done:
            return "done" if now > self.last_ns + AFTER_DONE_S * _S else None
        if now > self._end_ns or (mute and now > self.sent_ns + self._target.limits.silence_s * _S):
            if self.first_byte_ns is None:
                return "timeout_first_byte"
            return "timeout_total" if speaking else "timeout_first_token"
        stall_ns = self._target.limits.stall_s * _S
        return "timeout_stall" if speaking and now > self.last_ns + stall_ns else None

    # --- inside one request ---

    def _begin(self) -> None:
        self._expired = None
        self._drained = True
        self.first_byte_ns = self.lag_ns = None
        self.last_ns = 0
        self.sent_ns = perf_counter_ns()
        self._end_ns = self.sent_ns + int(self._target.limits.request_s * _S)

    def _attempt(self, payload: bytes, reply: Reply) -> None:
        try:
            self._send(payload)
            self._receive(reply)
        except BrokenReplyError as error:
            if self._expired is not None:
                raise BrokenReplyError(self._expired, error.detail or self._waited()) from error
            if self._target.proxy is not None and error.name == "http_407":  # only a proxy asks for this
                raise BrokenReplyError("proxy_407", error.detail) from error
            raise
        except OSError as error:
            if reply.done:
                reply.eof()
                return
            if self._expired is not None:
                raise BrokenReplyError(self._expired, self._waited()) from error
            if self._used and self.first_byte_ns is None:
                raise _StaleError from error
            raise BrokenReplyError(_lost(error), str(error)[:200]) from error

    def _waited(self) -> str:
        return f"given up after {(perf_counter_ns() - self.sent_ns) / _S:.1f} s"

    def _send(self, payload: bytes) -> None:
        if self._tls:
            self._sock.sendall(payload)
            return
        view = memoryview(payload)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                gevent.get_hub().wait(self._writable)

    def _receive(self, reply: Reply) -> None:
        read = self._read_tls if self._tls else self._read_plain
        while not reply.complete:
            data, stamp = read()
            if not data:
                if reply.done:
                    reply.eof()
                    return
                if self._expired is not None:  # a body without length would take this for its end
                    raise BrokenReplyError(self._expired)
                if self._used and self.first_byte_ns is None:
                    raise _StaleError
                reply.eof()
                return
            if self.first_byte_ns is None:
                self.first_byte_ns = stamp
            self.last_ns = stamp
            reply.feed(data, stamp)

    def _read_plain(self) -> tuple[bytes, int]:
        """The next bytes and the kernel's receive time of their last segment."""
        if self._drained:
            gevent.get_hub().wait(self._readable)
        while True:
            try:
                data, control, _flags, _address = self._sock.recvmsg(READ_BYTES, CMSG_BYTES)
            except BlockingIOError:
                gevent.get_hub().wait(self._readable)
                continue
            now = perf_counter_ns()
            self._drained = len(data) < READ_BYTES
            stamp = self._clock.monotonic(control)
            if stamp is None or not self.sent_ns <= stamp <= now:  # none, or the wall clock was set
                return data, now
            self.lag_ns = max(self.lag_ns or 0, now - stamp)
            return data, stamp

    def _read_tls(self) -> tuple[bytes, int]:
        data = self._sock.recv(READ_BYTES)
        return data, perf_counter_ns()

    def _peer_closed(self) -> bool:
        """Whether an idle connection is of no more use; TLS finds out when it is used."""
        if self._tls:
            return False
        try:
            self._sock.recv(1, patched.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True  # closed, or bytes that nobody asked for


def _connect_error(error: OSError) -> str:
    if isinstance(error, patched.gaierror):
        return "name_not_resolved"
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    if isinstance(error, ConnectionRefusedError):
        return "connect_refused"
    if isinstance(error, TimeoutError):
        return "connect_timeout"
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL):
        return "client_out_of_sockets"
    return "connect_failed"


def _lost(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    return "connection_reset" if isinstance(error, ConnectionResetError | BrokenPipeError) else "connection_lost"
