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
KEPT_S = 2.0
"""llama-server and vLLM's uvicorn close a connection that was idle for five seconds."""


@dataclass(frozen=True)
class Link:
    """A run, and how requests and questions reach it."""

    run: EngineRun
    target: Target
    probe: Probe

    @classmethod
    def to(cls, run: EngineRun, slot: Path, signals: Signals) -> Link:
        """Connect to a run whose files lie in ``slot``."""
        kept = session(run.address, force_close=False)
        base = f"http://127.0.0.1:{run.address}" if isinstance(run.address, int) else "http://engine"
        key = launch.read_key(slot)
        target = Target(base, kept, session(run.address, force_close=True), key)
        return cls(run, target, Probe(kept, base, key, signals))

    async def close(self) -> None:
        """Cut what is open and give the descriptors back."""
        self.run.close()
        await self.target.session.close()
        await self.target.fresh.close()


def session(address: int | str, *, force_close: bool) -> aiohttp.ClientSession:
    """A client of an engine at a port or a Unix socket, whose every request names its whole URL.

    Kept connections save half a millisecond a request; they are dropped before an engine would close them.
    """
    keep = {"force_close": True} if force_close else {"keepalive_timeout": KEPT_S}
    connector: aiohttp.BaseConnector = (
        aiohttp.TCPConnector(limit=0, **keep)
        if isinstance(address, int)
        else aiohttp.UnixConnector(str(address), limit=0, **keep)
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
