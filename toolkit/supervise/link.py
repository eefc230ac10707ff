"""One engine run and the way to it: the proxy's target and the probe that questions it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import aiohttp

from toolkit.backends.base import Signals
from toolkit.supervise import launch
from toolkit.supervise.engine import EngineRun
from toolkit.supervise.probe import Probe
from toolkit.supervise.proxy import Target

CONNECT_S = 5.0


@dataclass(frozen=True)
class Link:
    """A run, and how requests and questions reach it."""

    run: EngineRun
    target: Target
    probe: Probe

    @classmethod
    def to(cls, run: EngineRun, slot: Path, signals: Signals) -> Link:
        """Connect to a run whose files lie in ``slot``.

        Every request gets a connection of its own: an engine may close a kept one at any moment (llama-server after 100
        requests), and a request that meets that cannot be told from one that killed the engine. It costs 0.1 ms.
        """
        by_port = isinstance(run.address, int)
        connector = (
            aiohttp.TCPConnector(limit=0, force_close=True)
            if by_port
            else aiohttp.UnixConnector(str(run.address), limit=0, force_close=True)
        )
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        base = f"http://127.0.0.1:{run.address}" if by_port else "http://engine"
        key = launch.read_key(slot)
        return cls(run, Target(base, session, key), Probe(session, base, key, signals))

    async def close(self) -> None:
        """Cut what is open and give the descriptors back."""
        self.run.close()
        await self.target.session.close()
