"""Questions to an engine over HTTP: are you up, what do you serve, what are your counters, can you answer."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson

from toolkit.backends.base import Signals
from toolkit.supervise import canary

ANSWER_BYTES = 4 * 2**20
NOT_OFFERED = (400, 404, 405, 415, 422, 500, 501)
"""Statuses by which engines say that a model cannot chat (no template) or a path does not exist."""

_FAILURES = (aiohttp.ClientError, OSError, TimeoutError)


class Probe:
    """Asks one engine. Every question has a time limit and a size limit."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, key: str | None, signals: Signals) -> None:
        self._session = session
        self._base = base_url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._signals = signals

    async def health(self, path: str | None, timeout_s: float) -> int | None:
        """HTTP status of the health path (of the model list where there is none); None without an answer."""
        status, _ = await self._get(path or self._signals.models_path, timeout_s)
        return status

    async def models(self, timeout_s: float) -> list[str]:
        """Names the engine serves; empty when it does not say."""
        _, body = await self._get(self._signals.models_path, timeout_s)
        data = _parsed(body).get("data")
        return [str(m["id"]) for m in data if isinstance(m, dict) and "id" in m] if isinstance(data, list) else []

    async def metrics(self, timeout_s: float) -> dict[str, float] | None:
        """The engine's series, summed over labels; None when they cannot be read."""
        if self._signals.metrics_path is None:
            return None
        status, body = await self._get(self._signals.metrics_path, timeout_s)
        return series(body) if status == 200 else None

    async def token(self, model: str, timeout_s: float) -> bool:
        """Whether the engine generates one token in time."""
        try:
            await self._generate(model, max_tokens=1, timeout_s=timeout_s)
        except _FAILURES:
            return False
        return True

    async def answer(self, model: str, timeout_s: float) -> str | None:
        """What it says to the canary's question; None when the model does not generate text (embeddings).

        Raises:
            TimeoutError, aiohttp.ClientError, OSError: no answer in time, or none at all.
        """
        return await self._generate(model, canary.MAX_TOKENS, timeout_s)

    async def _generate(self, model: str, max_tokens: int, timeout_s: float) -> str | None:
        """Chat if it can, else completion, else an embedding (then None)."""
        limits: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "temperature": 0}
        questions = (
            ("/v1/chat/completions", limits | {"messages": [{"role": "user", "content": canary.QUESTION}]}),
            ("/v1/completions", limits | {"prompt": canary.QUESTION}),
            ("/v1/embeddings", {"model": model, "input": canary.QUESTION}),
        )
        status = 0
        async with asyncio.timeout(timeout_s):
            for path, body in questions:
                async with self._session.post(self._base + path, json=body, headers=self._headers) as response:
                    status = response.status
                    if status == 200:
                        return _text(_parsed(await _body(response)))
                    if status not in NOT_OFFERED:
                        break
        raise aiohttp.ClientPayloadError(f"HTTP {status} to a simple question")

    async def _get(self, path: str, timeout_s: float) -> tuple[int | None, bytes]:
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.get(self._base + path, headers=self._headers) as response,
            ):
                return response.status, await _body(response)
        except _FAILURES:
            return None, b""


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, cut at the size limit."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES:
            break
    return bytes(body)


def series(text: bytes) -> dict[str, float]:
    """Prometheus text → value by series name, summed over labels. Lines that are none are skipped."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line and not line.startswith(b"#"):
            name, _, value = line.rpartition(b" ")
            try:
                number = float(value)
            except ValueError:
                continue
            key = name.partition(b"{")[0].strip().decode(errors="replace")
            found[key] = found.get(key, 0.0) + number
    return found


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(answer: dict[str, Any]) -> str | None:
    """The text of a chat or completion answer, thinking included; None for an embedding."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None if isinstance(answer.get("data"), list) else ""
    message = choices[0].get("message")
    parts = [choices[0].get("text")]
    if isinstance(message, dict):
        parts += [message.get(k) for k in ("content", "reasoning_content", "reasoning")]
    return "".join(p for p in parts if isinstance(p, str))
