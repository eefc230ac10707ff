"""A model hub on 127.0.0.1: the few endpoints that are read, and the ways in which a real one says no.

    GET /api/models/ORG/NAME/revision/REV    sha and siblings
    GET /ORG/NAME/resolve/REV/FILE           the file, by range; or a redirect to a content network
    GET /cdn/ORG/NAME/FILE                   the content network's side of it

Files are sparse: a repository of 16 GB takes no disk. Every request is logged with its headers.
"""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote

SHA = "0123456789abcdef0123456789abcdef01234567"
API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/revision/(?P<rev>.+)")
FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<file>.+)")
CDN = re.compile(r"/cdn/(?P<repo>[^/]+/[^/]+)/(?P<file>.+)")


@dataclass
class Request:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    sent: int = 0


@dataclass
class Behaviour:
    """How this hub differs from a healthy one. Paths are matched by what they contain."""

    gated: dict[str, str] = field(default_factory=dict)
    """Repository → the token that opens it."""
    cdn: str | None = None
    """Where `resolve` redirects files of 1 MB and more."""
    ranges: bool = True
    cut: str | None = None
    """Files of this name promise all their bytes and send half."""
    broken: int = 0
    """The next so many requests for files are answered with status 503."""
    busy: bool = False
    """Status 429 for everything."""
    drip_s: float = 0
    """Seconds between single bytes of every body."""
    dead_header: bool = False
    """Headers that never end, a byte now and then."""
    loop: bool = False
    """Files redirect in a circle."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True


class Hub:
    """A running hub. ``repos`` maps ORG/NAME to a folder."""

    def __init__(self, repos: dict[str, Path] | None = None, **behaviour: Any) -> None:
        self.repos, self.does = repos or {}, Behaviour(**behaviour)
        self.log: list[Request] = []
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def sent(self) -> int:
        """Bytes of bodies sent."""
        return sum(r.sent for r in self.log)

    def asked(self, part: str) -> list[Request]:
        """The requests whose path contains ``part``."""
        return [r for r in self.log if part in r.path]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """The log is a list, not stderr."""

    def do_GET(self) -> None:
        self.request_ = Request(self.path, {k.lower(): v for k, v in self.headers.items()})
        self.hub.log.append(self.request_)
        try:
            self._answer(unquote(re.sub(r"^http://[^/]+|\?.*$", "", self.path)))  # a proxy is asked for whole addresses
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, path: str) -> None:
        does = self.hub.does
        if does.dead_header:
            self._never()
        elif does.busy:
            self._say(429, headers={"Retry-After": "17"})
        elif match := API.fullmatch(path):
            self._api(match["repo"], match["rev"])
        elif match := FILE.fullmatch(path):
            self._file(match["repo"], match["rev"], match["file"])
        elif (match := CDN.fullmatch(path)) and match["repo"] in self.hub.repos:
            self._content(self.hub.repos[match["repo"]] / match["file"])
        else:
            self._say(404)

    def _api(self, repo: str, rev: str) -> None:
        folder = self.hub.repos.get(repo)
        if folder is None:
            self._say(401, headers={"X-Error-Code": "RepoNotFound"})
        elif rev not in ("main", "v1.0", SHA):
            self._say(404, headers={"X-Error-Code": "RevisionNotFound"})
        else:
            files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
            body = {"id": repo, "sha": SHA, "siblings": [{"rfilename": f} for f in files]}
            self._say(200, json.dumps(body).encode())

    def _file(self, repo: str, rev: str, file: str) -> None:
        does, path = self.hub.does, self.hub.repos[repo] / file
        token = does.gated.get(repo)
        if token and self.headers.get("Authorization") != f"Bearer {token}":
            status = 403 if self.headers.get("Authorization") else 401
            self._say(status, headers={"X-Error-Code": "GatedRepo"})
        elif rev != SHA or not path.is_file():
            self._say(404, headers={"X-Error-Code": "EntryNotFound"})
        elif does.broken:
            does.broken -= 1
            self._say(503)
        elif does.loop:
            self._say(302, headers={"Location": f"{self.path}{'&' if '?' in self.path else '?'}again"})
        elif does.cdn and path.stat().st_size >= 1_000_000:
            self._say(302, headers={"Location": f"{does.cdn}/cdn/{repo}/{file}"})
        else:
            self._content(path)

    def _content(self, path: Path) -> None:
        size, found = path.stat().st_size, re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, end = 0, size
        if found and self.hub.does.ranges:
            start, end = int(found[1]), min(int(found[2]) + 1, size)
        self.send_response(206 if found and self.hub.does.ranges else 200)
        if found and self.hub.does.ranges:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if self.hub.does.cut and self.hub.does.cut in path.name:
            end = start + (end - start) // 2
            self.close_connection = True
        self._stream(path, start, end)

    def _stream(self, path: Path, start: int, end: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            while start < end:
                chunk = file.read(1 if self.hub.does.drip_s else min(65536, end - start))
                self.wfile.write(chunk)
                self.request_.sent += len(chunk)
                start += len(chunk)
                time.sleep(self.hub.does.drip_s)

    def _never(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
        for _ in range(200):
            self.wfile.write(b"a")
            self.wfile.flush()
            time.sleep(0.05)
        self.close_connection = True

    def _say(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
