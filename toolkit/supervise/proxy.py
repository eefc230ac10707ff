"""What users talk to: an allow-list in front of the engine, streaming byte for byte, never buffering an answer.

A client that goes away cancels its request upstream. An engine that dies mid-way ends a started event stream
with one SSE ``error`` event, any other started answer by cutting the connection, and a request without a first
byte with a JSON error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

import aiohttp
import orjson
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from toolkit.supervise import page
from toolkit.supervise.admission import Gate, RefusedError
from toolkit.supervise.keys import Keys
from toolkit.supervise.metrics import Metrics
from toolkit.supervise.quarantine import Quarantine
from toolkit.types import Deployment

POST_PATHS = frozenset(
    f"/v1/{p}" for p in ("chat/completions", "completions", "embeddings", "responses", "messages", "rerank", "score")
)
"""OpenAI's generating paths, and the ones vLLM and llama-server share with other APIs."""
MODELS = "/v1/models"
BODY_MAX_BYTES = 64 * 2**20
BODY_TIMEOUT_S = 60.0
MODELS_TIMEOUT_S = 10.0
RETRY_AFTER_CRASH_S = 5

_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    )
)
_NOT_FORWARDED = _HOP_BY_HOP | {"host", "authorization", "content-length", "expect", "x-api-key"}
_UPSTREAM_ERRORS = (aiohttp.ClientError, OSError, TimeoutError)


ENGINE_PAGE_S = 0.8
ENGINE_PAGE_BYTES = 4 * 2**20


class _ClientGoneError(Exception):
    """The user's connection broke while we wrote to it."""


@dataclass(eq=False)
class Target:
    """Where one engine listens, the key it wants, and what is going on there."""

    base_url: str
    session: aiohttp.ClientSession
    """Keeps its connections."""
    fresh: aiohttp.ClientSession
    """Opens one for each request."""
    key: str | None
    in_flight: int = 0
    streamed_bytes: int = 0
    """All bytes it has sent to clients."""


@dataclass
class Exchange:
    """One request's way to the engine and back, as far as it has come."""

    begun: float = 0.0
    counts: bool = True
    """Whether it is work, and belongs into the histograms."""
    response: web.StreamResponse | None = None
    last: bytes = b""
    answered: bool = False
    broken: bool = False
    """The engine's side of the connection failed."""


class Proxy:
    """The HTTP face of one served name."""

    def __init__(
        self,
        gate: Gate,
        quarantine: Quarantine,
        keys: Keys,
        metrics: Metrics,
        view: Callable[[], Deployment],
    ) -> None:
        self.gate = gate
        self.quarantine = quarantine
        self.target: Target | None = None
        self.successes = 0
        self.failing: str | None = None
        """Why `/livez` says no; only ever set where somebody else restarts the engine."""
        self._keys = keys
        self._metrics = metrics
        self._view = view
        self._runner: web.ServerRunner | None = None

    async def open(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the address is taken or not ours.
        """
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=2.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, backlog=1024).start()

    async def close(self) -> None:
        """Stop listening; what is still open is cut."""
        if self._runner:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/livez":
            return web.Response(text=f"{self.failing or 'ok'}\n", status=503 if self.failing else 200)
        if request.path == "/readyz":
            return self._readiness()
        if not self._keys.accept(request.headers.get("Authorization")):
            return failure(401, "a valid API key is needed", "invalid_api_key")
        return await self._route(request)

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        generates = request.path in POST_PATHS
        lists = request.path == MODELS or _names_a_model(request)
        if not generates and not lists and request.path not in ("/", "/metrics"):
            return failure(404, f"no such path: {request.path}", "not_found")
        allowed = ("POST",) if generates else ("GET", "HEAD")
        if request.method not in allowed:
            message = f"{request.path} takes {allowed[0]}"
            return failure(405, message, "method_not_allowed", {"Allow": ", ".join(allowed)})
        if generates:
            return await self._generate(request)
        return await self._models(request) if lists else await self._about(request)

    def _readiness(self) -> web.Response:
        state = self._view().state
        return web.json_response({"state": state}, status=200 if self.gate.is_open else 503)

    async def _about(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/":
            return web.Response(text=page.render(self._view()), content_type="text/html")
        self._metrics.in_flight.set(self.gate.active)
        self._metrics.queued.set(self.gate.queued)
        engines = await self._engine_page() if "engine" in request.query else b""
        return web.Response(
            body=self._metrics.text() + engines, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _engine_page(self) -> bytes:
        """The engine's own series, for `?engine=1`; nothing where it has none or does not answer at once."""
        target = self.target
        if target is None:
            return b""
        headers = {"Accept-Encoding": "identity"}
        if target.key:
            headers["Authorization"] = f"Bearer {target.key}"
        try:
            async with (
                asyncio.timeout(ENGINE_PAGE_S),
                target.session.get(f"{target.base_url}/metrics", headers=headers, allow_redirects=False) as reply,
            ):
                page = await reply.content.read(ENGINE_PAGE_BYTES) if reply.status == 200 else b""
                while page and not reply.content.at_eof() and len(page) < ENGINE_PAGE_BYTES:
                    page += await reply.content.read(ENGINE_PAGE_BYTES - len(page))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return b""
        return page.rpartition(b"\n")[0] + b"\n" if page else b""

    async def _models(self, request: web.BaseRequest) -> web.StreamResponse:
        """The model list is no work for the engine: it takes no place."""
        if not self.gate.is_open or self.target is None:
            return self._unavailable()
        try:
            return await asyncio.wait_for(
                self._relay(request, self.target, b"", Exchange(counts=False)), MODELS_TIMEOUT_S
            )
        except TimeoutError:
            return failure(503, "the engine does not answer", "engine_unavailable", _retry(RETRY_AFTER_CRASH_S))

    async def _generate(self, request: web.BaseRequest) -> web.StreamResponse:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await _read(request)
        except TimeoutError:
            return failure(408, "the request did not arrive in time", "request_timeout")
        if body is None:
            return failure(413, f"a request may have {BODY_MAX_BYTES:,} bytes", "request_too_large")
        mark = self.quarantine.mark(body)
        async with self.quarantine.turn(mark):
            response = await self._admitted(request, body, mark, begun)
        self._metrics.answered(response.status)
        return response

    async def _admitted(self, request: web.BaseRequest, body: bytes, mark: bytes, begun: float) -> web.StreamResponse:
        """Through the gate, to the engine and back."""
        if self.quarantine.refuses(mark):
            return failure(422, "this request has made the engine crash before", "request_quarantined")
        try:
            await self.gate.enter()
        except RefusedError as refused:
            kind = "rate_limit_exceeded" if refused.status == 429 else "engine_unavailable"
            return failure(refused.status, refused.message, kind, _retry(refused.retry_after_s))
        exchange, target = Exchange(begun), self.target
        entered = self.quarantine.enter(mark)
        try:
            return self._unavailable() if target is None else await self._work(request, target, body, exchange)
        finally:
            self.quarantine.leave(mark, entered, answered=exchange.answered, broken=exchange.broken)
            self.gate.leave()

    async def _work(
        self, request: web.BaseRequest, target: Target, body: bytes, exchange: Exchange
    ) -> web.StreamResponse:
        """One request at one engine, which keeps it even if another engine takes over meanwhile."""
        target.in_flight += 1
        try:
            return await self._relay(request, target, body, exchange)
        finally:
            target.in_flight -= 1

    def _unavailable(self) -> web.Response:
        status = self._view()
        why = f"the server is {status.state}" + (f": {status.reason}" if status.reason else "")
        return failure(503, why, "engine_unavailable", _retry(RETRY_AFTER_CRASH_S))

    async def _relay(
        self, request: web.BaseRequest, target: Target, body: bytes, exchange: Exchange
    ) -> web.StreamResponse:
        """Pass a request on and its answer back.

        An engine may close a kept connection at any moment (llama-server after 100 requests). A request that meets
        that has no byte of an answer yet and is sent once more, on a connection of its own; where the engine has died
        instead, nobody takes that connection.
        """
        headers = CIMultiDict((k, v) for k, v in request.headers.items() if k.lower() not in _NOT_FORWARDED)
        if target.key:
            headers["Authorization"] = f"Bearer {target.key}"
        url = URL(target.base_url + request.rel_url.raw_path_qs, encoded=True)  # as it came: nothing in it is resolved
        for session in (target.session, target.fresh):
            try:
                async with session.request(
                    request.method, url, data=body or None, headers=headers, allow_redirects=False
                ) as upstream:
                    return await self._copy(request, upstream, target, exchange)
            except _ClientGoneError:
                return exchange.response or web.Response(status=499)
            except _UPSTREAM_ERRORS as error:
                closed = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
                if session is target.fresh or exchange.response is not None or not closed:
                    break
        exchange.broken = True
        return await self._broken(request, exchange)

    async def _copy(
        self, request: web.BaseRequest, upstream: aiohttp.ClientResponse, target: Target, exchange: Exchange
    ) -> web.StreamResponse:
        """Status, headers and body, piece by piece as they come."""
        response = exchange.response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
        for key, value in upstream.headers.items():
            if key.lower() not in _HOP_BY_HOP:
                response.headers.add(key, value)
        await _to_client(response.prepare(request))
        before, gaps = exchange.begun, self._metrics.ttft_s
        async for chunk in upstream.content.iter_any():
            await _to_client(response.write(chunk))
            target.streamed_bytes += len(chunk)
            exchange.last = chunk
            if exchange.counts:
                now = time.monotonic()
                gaps.observe(now - before)
                before, gaps = now, self._metrics.itl_s
        await _to_client(response.write_eof())
        exchange.answered = response.status < 500
        if exchange.counts:
            self._metrics.e2e_s.observe(time.monotonic() - exchange.begun)
            self.successes += response.status < 400
        return response

    async def _broken(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        """The engine died under this request: say so in whatever way is still open."""
        response, last = exchange.response, exchange.last
        message = "the engine stopped while it worked on this request; try again"
        if response is None or not response.prepared:
            return failure(502, message, "engine_failed", _retry(RETRY_AFTER_CRASH_S))
        if response.content_type == "text/event-stream":
            gap = b"" if last.endswith(b"\n\n") or not last else b"\n\n"
            event = b"event: error\ndata: " + _error(message, "engine_failed", 502) + b"\n\n"
            try:
                await _to_client(response.write(gap + event))
                await _to_client(response.write_eof())
            except _ClientGoneError:
                return response
        response.force_close()
        if request.transport and response.content_type != "text/event-stream":
            request.transport.abort()
        return response


def _names_a_model(request: web.BaseRequest) -> bool:
    """Whether it is `/v1/models/NAME`. A name may hold slashes, but no step that leads out of the list of models."""
    path = unquote(request.rel_url.raw_path).replace("\\", "/")
    steps = path.removeprefix(f"{MODELS}/").split("/")
    return path.startswith(f"{MODELS}/") and not {"", ".", ".."} & set(steps)


async def _to_client(action: object) -> None:
    """Await a write to the user, telling its failure apart from the engine's."""
    try:
        await action  # type: ignore[misc]  # aiohttp's coroutine types differ
    except (ConnectionError, aiohttp.ClientConnectionError) as error:
        raise _ClientGoneError from error


async def _read(request: web.BaseRequest) -> bytes | None:
    """The request's body; None when it is too large."""
    if (request.content_length or 0) > BODY_MAX_BYTES:
        return None
    parts: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > BODY_MAX_BYTES:
            return None
        parts.append(chunk)
    return b"".join(parts)


def failure(status: int, message: str, kind: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error in OpenAI's form."""
    return web.Response(
        status=status,
        body=_error(message, kind, status),
        headers={"Content-Type": "application/json", **(headers or {})},
    )


def _error(message: str, kind: str, status: int) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": kind, "code": status}})


def _retry(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(int(seconds))}
