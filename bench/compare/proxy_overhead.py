"""What does selfhost's proxy cost? The same load on an engine by itself and through the proxy, in turns, in one run.

``python -m bench.compare.proxy_overhead [--streams 64] [--rate 50] [--tokens 150] [--rounds 4]`` serves the tests' fake
engine, which sends ``rate`` tokens/s to each stream, under the real supervisor, and loads it with ``streams``
streams whose starts are spread over one stream's length: bare, proxied, proxied, bare, … Each stream is begun anew as
it ends, so that the number in flight holds. Then the lone request: one at a time, nothing else going on.

Exits 1 when the proxy adds more than 1 ms to the median time to first token or loses more than 3 % of the tokens per
second. Needs a machine that is otherwise quiet: client, proxy and engine share its cores.

Unlike the load generator this script uses `toolkit`; it is run by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

FAKE = Path(__file__).parents[2] / "tests" / "fakes" / "engine.py"
MAX_ADDED_TTFT_S = 0.001
MIN_THROUGHPUT = 0.97
EVENT = b"data: {"
REQUEST_S = 60.0


@dataclass
class Round:
    """What one way of asking has shown: seconds to the first token, tokens, and the seconds they were counted in."""

    ttft_s: list[float] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    failed: int = 0

    def add(self, other: Round) -> None:
        """Take another turn's figures in."""
        self.ttft_s += other.ttft_s
        self.tokens += other.tokens
        self.seconds += other.seconds
        self.failed += other.failed

    @property
    def tok_s(self) -> float:
        """Tokens per second of the counted time."""
        return self.tokens / self.seconds


async def stream(url: str, tokens: int, result: Round, window: tuple[float, float]) -> None:
    """One streamed chat on a connection of its own; tokens that arrive within the window count."""
    parts = urlsplit(url)
    body = json.dumps(
        {"model": "fake", "max_tokens": tokens, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    ).encode()
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(head.encode() + body)
        first, whole = None, False
        while block := await reader.read(65536):
            now = time.perf_counter()
            seen = block.count(EVENT)
            if seen and first is None:
                first = now
                if window[0] <= now <= window[1]:
                    result.ttft_s.append(first - begun)
            if window[0] <= now <= window[1]:
                result.tokens += seen
            whole = whole or b"[DONE]" in block
        result.failed += not whole
    finally:
        writer.close()


async def load(url: str, streams: int, tokens: int, rate: float, seconds: float) -> Round:
    """Hold so many streams for so long after the ramp of one stream's length."""
    result, ramp = Round(seconds=seconds), tokens / rate
    begun = time.perf_counter()
    window = (begun + ramp, begun + ramp + seconds)

    async def client(number: int) -> None:
        await asyncio.sleep(ramp * number / streams)
        while time.perf_counter() < window[1]:
            await asyncio.wait_for(stream(url, tokens, result, window), REQUEST_S)

    await asyncio.gather(*(client(n) for n in range(streams)))
    return result


async def alone(url: str, times: int) -> Round:
    """One short stream after another."""
    result, window = Round(seconds=1), (0.0, float("inf"))
    for _ in range(times):
        await asyncio.wait_for(stream(url, 1, result, window), REQUEST_S)
    return result


async def compare(args: argparse.Namespace, bare_url: str, proxy_url: str, supervisor: psutil.Process) -> bool:
    """Print both figures; whether the proxy keeps within its bars."""
    bare, proxied, busy = Round(), Round(), 0.0
    for turn in range(args.rounds):
        for through_proxy in (False, True) if turn % 2 == 0 else (True, False):
            before = sum(supervisor.cpu_times()[:2])
            url = proxy_url if through_proxy else bare_url
            measured = await load(url, args.streams, args.tokens, args.rate, args.seconds)
            (proxied if through_proxy else bare).add(measured)
            if through_proxy:
                busy += sum(supervisor.cpu_times()[:2]) - before
    lone = [Round(), Round()]
    for turn in range(10):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            lone[which].add(await alone((bare_url, proxy_url)[which], 20))
    added_s = statistics.median(proxied.ttft_s) - statistics.median(bare.ttft_s)
    lone_s = statistics.median(lone[1].ttft_s) - statistics.median(lone[0].ttft_s)
    share = proxied.tok_s / bare.tok_s
    whole = args.rounds * (args.seconds + args.tokens / args.rate)
    for name, round_ in (("bare", bare), ("proxied", proxied)):
        p95 = statistics.quantiles(round_.ttft_s, n=20)[-1]
        print(
            f"{name:8} {round_.tok_s:8.1f} tok/s   TTFT p50 {1e3 * statistics.median(round_.ttft_s):7.2f} ms"
            f"   p95 {1e3 * p95:7.2f} ms   {len(round_.ttft_s)} streams begun, {round_.failed} failed"
        )
    print(f"added to the median TTFT: {1e3 * added_s:+.2f} ms under load, {1e3 * lone_s:+.2f} ms for a lone request")
    print(f"throughput kept: {100 * share:.2f} %   supervisor's CPU: {100 * busy / whole:.0f} % of a core")
    failed = bare.failed + proxied.failed + lone[0].failed + lone[1].failed
    return added_s <= MAX_ADDED_TTFT_S and lone_s <= MAX_ADDED_TTFT_S and share >= MIN_THROUGHPUT and failed == 0


def main() -> int:
    """Serve, compare, stop; the exit status says whether the bars are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--rate", type=float, default=50.0, help="tokens/s of each stream")
    parser.add_argument("--tokens", type=int, default=150, help="tokens a stream")
    parser.add_argument("--seconds", type=float, default=10.0, help="counted seconds of each turn")
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["SELFHOST_HOME"] = home
        from toolkit.supervise import api
        from toolkit.types import LaunchPlan

        faults = Path(home) / "faults.json"
        faults.write_text(json.dumps({"token_s": 1 / args.rate}))
        words = ("--host", "{host}", "--port", "{port}", "--model", "fake", "--faults", str(faults))
        plan = LaunchPlan(backend="llama-server", argv=(sys.executable, str(FAKE), *words), served_name="fake")
        server = api.start_detached(plan, name="proxy-overhead", port=0)
        try:
            listening = [c for c in psutil.Process(server.pid).net_connections("tcp4") if c.status == "LISTEN"]
            bare_url = f"http://127.0.0.1:{listening[0].laddr.port}/v1"
            supervisor = psutil.Process(server.supervisor_pid)
            met = asyncio.run(compare(args, bare_url, server.base_url, supervisor))
        finally:
            api.stop(server.name, now=True)
    print("within the bars: +1 ms and 97 %" if met else "NOT within the bars: +1 ms and 97 %")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
