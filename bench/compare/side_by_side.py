"""Other load generators beside ours, against a mock server that logs when it really wrote each token.

``python -m bench.compare.side_by_side [--streams 64] [--tools selfhost,aiperf,…] [--venvs DIR] [--tokenizer DIR]``
makes an environment of its own for each tool (pip, bounded in time), runs them one after another on the same load,
and prints one Markdown table: each tool's figure minus the mock's own log of that very run. A tool that cannot be
fetched or run is named with the reason. Nothing of it is a dependency of this project.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MOCK = ROOT / "tests" / "fakes" / "mock_llm.py"
INSTALL_S = 600.0
RUN_S = 300.0
TTFT_S, ITL_S, TOKENS, INPUT = 0.2, 0.02, 64, 100
"""What the mock is told to do; the truth is what its log says it did."""


HUB_NAME = "local/tokenizer"
"""Under this name a tokenizer's folder lies in a hub cache of the run, for tools that take no path."""


@dataclass(frozen=True)
class Load:
    """The same for every tool: so many requests in flight, until so many have been sent."""

    url: str
    streams: int
    requests: int
    tokenizer: str | None
    out: Path


@dataclass(frozen=True)
class Told:
    """What a tool reports, in seconds and tokens/s; None where it does not say."""

    ttft_mean: float | None
    ttft_p99: float | None
    itl_p99: float | None
    output_tok_s: float | None


@dataclass(frozen=True)
class Tool:
    """A load generator: what pip installs, its command line, and how to read what it says."""

    name: str
    package: str | None
    command: Callable[[Path, Load], list[str]]
    read: Callable[[Load], Told]
    least_python: tuple[int, int] = (3, 10)


def selfhost(_venv: Path, load: Load) -> list[str]:
    """Ours: closed loop, so many users for as long as so many requests take."""
    seconds = load.requests / load.streams * (TTFT_S + (TOKENS - 1) * ITL_S)
    words = ["bench", load.url, "--concurrency", str(load.streams), "--duration", f"{seconds:.0f}s", "--warmup", "0"]
    words += ["--input-len", str(INPUT), "--output-len", str(TOKENS), "--out", str(load.out), "--quiet"]
    return [sys.executable, "-m", "toolkit.cli.main", *words]


def read_selfhost(load: Load) -> Told:
    """`result.json`."""
    level = json.loads((load.out / "result.json").read_text())["levels"][0]
    return Told(level["ttft_s"]["mean"], level["ttft_s"]["p99"], level["itl_s"]["p99"], level["output_tok_s"])


def aiperf(venv: Path, load: Load) -> list[str]:
    """NVIDIA AIPerf."""
    words = ["profile", "--model", "mock", "--url", load.url, "--endpoint-type", "chat", "--streaming"]
    words += ["--concurrency", str(load.streams), "--request-count", str(load.requests), "--ui-type", "none"]
    words += ["--synthetic-input-tokens-mean", str(INPUT), "--output-tokens-mean", str(TOKENS)]
    words += ["--artifact-dir", str(load.out)]
    return [str(venv / "bin" / "aiperf"), *words, "--tokenizer", HUB_NAME if load.tokenizer else "builtin"]


def read_aiperf(load: Load) -> Told:
    """`profile_export_aiperf.json`; milliseconds."""
    found = json.loads(next(load.out.rglob("profile_export_aiperf.json")).read_text())
    ttft, itl = found["time_to_first_token"], found["inter_token_latency"]
    return Told(ttft["avg"] / 1e3, ttft["p99"] / 1e3, itl["p99"] / 1e3, found["output_token_throughput"]["avg"])


def vllm(venv: Path, load: Load) -> list[str]:
    """`vllm bench serve`."""
    words = ["bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions", "--model", "mock"]
    words += ["--base-url", load.url, "--dataset-name", "random", "--random-input-len", str(INPUT)]
    words += ["--random-output-len", str(TOKENS), "--num-prompts", str(load.requests), "--ignore-eos"]
    words += ["--max-concurrency", str(load.streams), "--percentile-metrics", "ttft,itl", "--save-result"]
    words += ["--result-dir", str(load.out), "--result-filename", "vllm.json", "--tokenizer", str(load.tokenizer)]
    return [str(venv / "bin" / "vllm"), *words]


def read_vllm(load: Load) -> Told:
    """Its result file; milliseconds."""
    found = json.loads((load.out / "vllm.json").read_text())
    times = [found[name] / 1e3 for name in ("mean_ttft_ms", "p99_ttft_ms", "p99_itl_ms")]
    return Told(*times, found["output_throughput"])


def guidellm(venv: Path, load: Load) -> list[str]:
    """GuideLLM."""
    data = json.dumps({"prompt_tokens": INPUT, "output_tokens": TOKENS})
    words = ["benchmark", "--target", load.url, "--model", "mock", "--profile", "concurrent", "--data", data]
    words += ["--rate", str(load.streams), "--max-requests", str(load.requests), "--processor", str(load.tokenizer)]
    return [str(venv / "bin" / "guidellm"), *words, "--output-path", str(load.out / "guidellm.json")]


def read_guidellm(load: Load) -> Told:
    """Its JSON; times per token are milliseconds."""
    found = json.loads((load.out / "guidellm.json").read_text())["benchmarks"][0]["metrics"]
    ttft, itl = (found[name]["successful"] for name in ("time_to_first_token_ms", "inter_token_latency_ms"))
    speed = found["output_tokens_per_second"]["successful"]["mean"]
    return Told(ttft["mean"] / 1e3, ttft["percentiles"]["p99"] / 1e3, itl["percentiles"]["p99"] / 1e3, speed)


def inference_perf(venv: Path, load: Load) -> list[str]:
    """inference-perf, which reads a YAML file (JSON is YAML)."""
    config = {
        "api": {"type": "chat", "streaming": True},
        "server": {"type": "vllm", "model_name": "mock", "base_url": load.url, "ignore_eos": True},
        "tokenizer": {"pretrained_model_name_or_path": load.tokenizer},
        "data": {
            "type": "random",
            "input_distribution": _fixed(INPUT, load.requests),
            "output_distribution": _fixed(TOKENS, load.requests),
        },
        "load": {
            "type": "concurrent",
            "stages": [{"num_requests": load.requests, "concurrency_level": load.streams}],
        },
        "storage": {"local_storage": {"path": str(load.out)}},
    }
    (load.out / "config.yml").write_text(json.dumps(config))
    return [str(venv / "bin" / "inference-perf"), "--config_file", str(load.out / "config.yml")]


def _fixed(tokens: int, count: int) -> dict[str, float]:
    return {"min": tokens, "max": tokens, "mean": tokens, "std_dev": 0, "total_count": count}


def read_inference_perf(load: Load) -> Told:
    """Its summary of successes; seconds."""
    found = json.loads(next(load.out.rglob("summary_lifecycle_metrics.json")).read_text())["successes"]
    ttft, itl = found["latency"]["time_to_first_token"], found["latency"]["inter_token_latency"]
    return Told(ttft["mean"], ttft["p99"], itl["p99"], found["throughput"]["output_tokens_per_sec"])


TOOLS = (
    Tool("selfhost", None, selfhost, read_selfhost),
    Tool("aiperf", "aiperf==0.13.0", aiperf, read_aiperf),
    Tool("vllm", "vllm", vllm, read_vllm),
    Tool("guidellm", "guidellm==0.8.1", guidellm, read_guidellm),
    Tool("inference-perf", "inference-perf==0.7.0", inference_perf, read_inference_perf, (3, 12)),
)


def ready(tool: Tool, venvs: Path) -> Path:
    """The tool's environment, made when it is not there. Raises RuntimeError with the reason."""
    venv = venvs / tool.name
    if tool.package is None or (venv / ".installed").exists() or (venv / "bin" / tool.name).exists():
        return venv
    if sys.version_info < tool.least_python:
        raise RuntimeError(f"needs Python {tool.least_python[0]}.{tool.least_python[1]}")
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    words = [str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", tool.package]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"pip took longer than {INSTALL_S:.0f} s") from None
    if done.returncode:
        raise RuntimeError(f"pip: {done.stderr.strip().splitlines()[-1][:200] if done.stderr.strip() else 'failed'}")
    (venv / ".installed").touch()
    return venv


@contextlib.contextmanager
def mock(early_role: bool) -> Iterator[str]:
    """The mock server with its known times; ``early_role``: an empty chunk with the role comes at once."""
    with subprocess.Popen([sys.executable, str(MOCK)], stdout=subprocess.PIPE, text=True) as child:
        try:
            first = child.stdout.readline() if child.stdout else ""
            url = f"http://127.0.0.1:{first.split()[1]}"
            _ask(f"{url}/mock", {"ttft_s": TTFT_S, "itl_s": ITL_S, "tokens": TOKENS, "early_role": early_role})
            yield url
        finally:
            child.kill()


def _ask(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data)  # noqa: S310  # our own mock on the loopback
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        return json.load(reply)


def truth(url: str, streams: int) -> Told:
    """The same figures from the mock's own log; its slow start and end are in the throughput as they are."""
    log = [one for one in _ask(f"{url}/mock/truth") if len(one["tokens_ns"]) == TOKENS]
    if len(log) < streams:
        raise RuntimeError(f"only {len(log)} whole requests reached the server")
    ttft = sorted((one["tokens_ns"][0] - one["received_ns"]) / 1e9 for one in log)
    gaps = sorted((b - a) / 1e9 for one in log for a, b in pairwise(one["tokens_ns"]))
    wall = (max(one["tokens_ns"][-1] for one in log) - min(one["received_ns"] for one in log)) / 1e9
    return Told(statistics.fmean(ttft), _p99(ttft), _p99(gaps), len(log) * TOKENS / wall)


def _p99(ordered: Sequence[float]) -> float:
    return ordered[-(-len(ordered) * 99 // 100) - 1]


def measure(tool: Tool, url: str, args: argparse.Namespace) -> str:
    """One row of the table."""
    try:
        venv = ready(tool, args.venvs)
        with tempfile.TemporaryDirectory() as folder:
            load = Load(url, args.streams, args.streams * args.rounds, args.tokenizer, Path(folder))
            _ask(f"{url}/mock/truth")
            before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            _offer_tokenizer(Path(folder), args.tokenizer)
            _run(tool.command(venv, load), Path(folder))
            wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
            told, real = tool.read(load), truth(url, args.streams)
    except (RuntimeError, OSError, ValueError, LookupError, TypeError, StopIteration) as error:
        return f"| {tool.name} | not run: {type(error).__name__}: {' '.join(str(error).split())[:160]} | | | | | |"
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cells = [
        _milliseconds(told.ttft_mean, real.ttft_mean),
        _milliseconds(told.ttft_p99, real.ttft_p99),
        _milliseconds(told.itl_p99, real.itl_p99),
        _percent(told.output_tok_s, real.output_tok_s),
        f"{cpu:.1f} s",
        f"{wall - args.rounds * (TTFT_S + (TOKENS - 1) * ITL_S):.1f} s",
    ]
    return f"| {tool.name} | {' | '.join(cells)} |"


def _offer_tokenizer(folder: Path, tokenizer: str | None) -> None:
    """A hub cache with one model, as huggingface_hub lays it out."""
    commit = "0" * 40
    model = folder / "hf" / "hub" / f"models--{HUB_NAME.replace('/', '--')}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(commit)
    (model / "snapshots" / commit).mkdir(parents=True)
    for file in Path(tokenizer).glob("*.j*") if tokenizer else ():
        (model / "snapshots" / commit / file.name).symlink_to(file.resolve())


def _run(command: Sequence[str], folder: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    environment |= {"SELFHOST_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    if "toolkit.cli.main" not in command:
        del environment["PYTHONPATH"]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=RUN_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"ran longer than {RUN_S:.0f} s") from None
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise RuntimeError(words[-1] if words else f"exit status {done.returncode}")


def _milliseconds(told: float | None, real: float | None) -> str:
    return "–" if told is None or real is None else f"{(told - real) * 1e3:+.2f} ms"


def _percent(told: float | None, real: float | None) -> str:
    return "–" if told is None or not real else f"{(told / real - 1) * 100:+.2f} %"


def main() -> None:
    """Run every tool that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=6, help="requests per stream")
    parser.add_argument("--tools", default=",".join(tool.name for tool in TOOLS))
    parser.add_argument("--venvs", type=Path, default=ROOT / ".cache" / "compare")
    parser.add_argument("--early-role", action="store_true", help="the empty role chunk comes at once")
    parser.add_argument("--tokenizer", help="folder of a tokenizer, for the tools that need one")
    args = parser.parse_args()
    args.venvs = args.venvs.resolve()
    load = os.getloadavg()[0]
    print(f"{args.streams} streams, {args.rounds} requests each, {os.cpu_count()} cores, load {load:.1f} before\n")
    print("| tool | TTFT mean error | TTFT p99 error | ITL p99 error | throughput error | CPU | start and end |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    for tool in TOOLS:
        if tool.name in args.tools.split(","):
            with mock(args.early_role) as url:
                print(measure(tool, url, args), flush=True)


if __name__ == "__main__":
    main()
