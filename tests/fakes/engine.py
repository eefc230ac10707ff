"""A fake engine: a real process that speaks enough of OpenAI's API, with faults that can be switched while it runs.

    python tests/fakes/engine.py (--port P [--host H] | --uds PATH) [--model NAME] [--faults FILE] [--journal FILE]

``FILE`` of ``--faults`` holds a JSON object and is read again when it changes, also by the next process:

    load_s          answer 503 to /health for so long          load_log       write a log line every 50 ms meanwhile
    exit_at_start   [code, "last words"]                       no_listen      stay up without listening
    exit_now        exit with this code
    health_status   answer /health with this status            health_delay_s answer /health so late
    log_health      write a line about each GET of /health
    generate        "never": accept and stay silent            answer         "repeat", "empty" or "nan"
    token_s         seconds between tokens (0.01)              silent         [after_tokens, seconds]
    ignore_term     stay on SIGTERM                            crash_on       SIGKILL itself on a prompt with this
    orphan          start a child in its own session that ignores SIGTERM
    log_bytes       write so much to stdout, once a process
    oom             [[words, {option: most}], …]: exit 1 with the words while an option's value is above its most,
                    or (empty string) is missing; SIGKILL itself where the words are "kill"
    grow_bytes      touch so much memory at start

``--journal`` gets one JSON line per start, request end, cancelled request, and finished flood of output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aiohttp import web

ORPHAN = "import os,signal,time;os.setsid();signal.signal(signal.SIGTERM,signal.SIG_IGN);time.sleep({seconds})"


class Fake:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.begun = time.monotonic()
        self.tokens = self.decodes = self.prompts = self.running = 0
        self._faults: dict[str, Any] = {}
        self._stamp = -1.0
        self.flooded = False

    @property
    def faults(self) -> dict[str, Any]:
        if self.args.faults:
            try:
                stamp = Path(self.args.faults).stat().st_mtime_ns
                if stamp != self._stamp:
                    self._faults = json.loads(Path(self.args.faults).read_text())
                    self._stamp = stamp
            except (OSError, ValueError):
                pass
        return self._faults

    def note(self, what: str, **facts: Any) -> None:
        if self.args.journal:
            line = json.dumps({"what": what, "pid": os.getpid(), "at": time.monotonic(), **facts}) + "\n"
            with Path(self.args.journal).open("a") as file:
                file.write(line)

    def loading(self) -> bool:
        return time.monotonic() - self.begun < self.faults.get("load_s", 0)

    async def health(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.faults.get("health_delay_s", 0))
        if self.faults.get("log_health"):
            print('127.0.0.1 - - [30/Nov/2026 02:43:32] "GET /health HTTP/1.1" 503 -', flush=True)
        status = 503 if self.loading() else self.faults.get("health_status", 200)
        return web.json_response({"status": "ok" if status == 200 else "no"}, status=status)

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.args.model, "object": "model"}]})

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            text=f"llamacpp:n_decode_total {self.decodes}\nllamacpp:tokens_predicted_total {self.tokens}\n"
            f"llamacpp:prompt_tokens_total {self.prompts}\nllamacpp:requests_processing {self.running}\n"
            "llamacpp:requests_deferred 0\nvllm:kv_cache_usage_perc 0.25\n"
        )

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = json.dumps(body.get("messages") or body.get("prompt"))
        crash_on = self.faults.get("crash_on")
        if crash_on and crash_on in text:
            os.kill(os.getpid(), signal.SIGKILL)
        self.running += 1
        finished = False
        try:
            response = await self._answer(request, body)
            finished = True
            return response
        finally:
            self.running -= 1
            self.note("request", finished=finished)

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        count = int(body.get("max_tokens") or 16)
        self.prompts += 5
        if not body.get("stream"):
            words = [self._word(n) async for n in self._paced(count)]
            message = {"role": "assistant", "content": "".join(words)}
            return web.json_response(
                {
                    "choices": [{"index": 0, "message": message, "finish_reason": "length"}],
                    "usage": {"prompt_tokens": 5, "completion_tokens": count},
                }
            )
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for n in self._paced(count):
            piece = {"choices": [{"index": 0, "delta": {"content": self._word(n)}, "finish_reason": None}]}
            await response.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def _paced(self, count: int):
        due = time.monotonic()
        for n in range(count):
            if self.faults.get("generate") == "never":
                await asyncio.sleep(3600)
            silent = self.faults.get("silent")
            if silent and n == silent[0]:
                await asyncio.sleep(silent[1])
            due = max(due + self.faults.get("token_s", 0.01), time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.tokens += 1
            self.decodes += 1
            yield n

    def _word(self, n: int) -> str:
        match self.faults.get("answer"):
            case "repeat":
                return "!"
            case "empty":
                return ""
            case "nan":
                return "\ufffd"
        return f"w{n} "

    async def background(self) -> None:
        while True:
            faults = self.faults
            if self.loading() and faults.get("load_log"):
                print(f"loading tensor {time.monotonic():.3f}", flush=True)
                await asyncio.sleep(0.05)
            if "exit_now" in faults:
                os._exit(faults["exit_now"])
            if faults.get("log_bytes") and not self.flooded:
                self.flooded = True
                await asyncio.to_thread(self._flood, faults["log_bytes"])
            await asyncio.sleep(0.02)

    def _flood(self, total: int) -> None:
        """Write at an even rate over ten seconds per gigabyte; the longest single write is what blocks us.

        Time in which this thread could run and had no processor is not the pipe's doing, and left out.
        """
        block = (b"x" * 127 + b"\n") * 512
        longest = 0.0
        begun = time.monotonic()
        written = 0
        while written < total:
            before, runnable = time.monotonic(), waited_for_cpu_s()
            os.write(1, block)
            longest = max(longest, time.monotonic() - before - (waited_for_cpu_s() - runnable))
            written += len(block)
            ahead = written / 1e8 - (time.monotonic() - begun)
            if ahead > 0:
                time.sleep(ahead)
        self.note("flood", longest_s=longest, took_s=time.monotonic() - begun)


def waited_for_cpu_s() -> float:
    """How long this thread has been runnable without running (Linux ``schedstat``, second figure); 0 where not told."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def too_much(argv: list[str], most: dict[str, float | str]) -> bool:
    """Whether an option's value is above its most; an empty most asks only that the option is there."""
    for option, limit in most.items():
        if option not in argv or (limit != "" and float(argv[argv.index(option) + 1]) > float(limit)):
            return True
    return not most


async def serve(fake: Fake) -> None:
    @web.middleware
    async def noting(request: web.Request, handler: Any) -> web.StreamResponse:
        """Every GET but the ones that come all the time."""
        if request.method == "GET" and request.path not in ("/health", "/metrics"):
            fake.note("get", path=request.raw_path)
        response: web.StreamResponse = await handler(request)
        return response

    app = web.Application(client_max_size=2**26, middlewares=[noting])
    app.router.add_get("/health", fake.health)
    app.router.add_get("/v1/models", fake.models)
    app.router.add_get("/metrics", fake.metrics)
    app.router.add_post("/v1/chat/completions", fake.generate)
    app.router.add_post("/v1/completions", fake.generate)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    if fake.args.uds:
        await web.UnixSite(runner, fake.args.uds).start()
    else:
        await web.TCPSite(runner, fake.args.host, fake.args.port, backlog=1024).start()
    print(f"listening on {fake.args.port}", flush=True)
    await fake.background()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--uds")
    parser.add_argument("--model", default="fake")
    parser.add_argument("--faults")
    parser.add_argument("--journal")
    args, others = parser.parse_known_args()
    fake = Fake(args)
    fake.note("start", port=fake.args.port, argv=others)
    faults = fake.faults
    ballast = bytearray(faults.get("grow_bytes", 0))
    ballast[::4096] = b"x" * len(ballast[::4096])
    for words, most in faults.get("oom", ()):
        if too_much(others, most):
            if words == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            print(words, file=sys.stderr, flush=True)
            return 1
    if "exit_at_start" in faults:
        code, words = faults["exit_at_start"]
        print(words, file=sys.stderr, flush=True)
        return int(code)

    def terminated(*_: object) -> None:
        fake.note("term")
        if not fake.faults.get("ignore_term"):
            os._exit(0)

    signal.signal(signal.SIGTERM, terminated)
    if faults.get("orphan"):
        child = subprocess.Popen([sys.executable, "-c", ORPHAN.format(seconds=120)])
        fake.note("orphan", orphan=child.pid)
    if faults.get("no_listen"):
        while True:
            time.sleep(0.1)
    asyncio.run(serve(fake))
    return 0


if __name__ == "__main__":
    sys.exit(main())
