"""Other load generators beside ours, against a mock server that logs when it really wrote each token.

``python -m bench.compare.side_by_side [--streams 64] [--tools selfhost,aiperf,…] [--venvs DIR] [--tokenizer DIR]
[--python PATH]`` makes an environment of its own for each tool (pip, bounded in time), runs them one after another on
the same load, and prints one Markdown table: each tool's figure minus the mock's own log of that very run. A tool that
cannot be fetched or run is named with the reason. Nothing of it is a dependency of this project.

A tool that needs a newer Python than this one gets ``--python``, else the first ``python3.N`` on the PATH that will do.
guidellm brings PyTorch: its CPU build is enough, ``PIP_EXTRA_INDEX_URL`` names an index that has it. Tools that count
tokens themselves get the tokenizer of ``--tokenizer``, else a small one trained on `bench/prompts` then and there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
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
INSTALL_S = 1200.0
RUN_S = 300.0
NEWEST_PYTHON = 15
"""The last minor version of Python 3 that is looked for."""
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
    packages: tuple[str, ...]
    command: Callable[[Path, Load], list[str]]
    read: Callable[[Load], Told]
    least_python: tuple[int, int] = (3, 10)
    counts: bool = False
    """Whether it cannot do without a tokenizer."""


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
    return [str(venv / "bin" / "aiperf"), *words, "--tokenizer", HUB_NAME]


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
    """GuideLLM; its check of `/health` is left out, which the mock does not have."""
    words = ["run", "--backend", f"kind=openai_http,target={load.url},model=mock,validate_backend=false"]
    words += ["--profile", f"kind=concurrent,streams={load.streams}"]
    words += ["--constraint", f"kind=max_requests,count={load.requests}"]
    words += ["--tokenizer", f"kind=huggingface_auto,model={load.tokenizer}"]
    words += ["--data", f"kind=synthetic_text,prompt_tokens={INPUT},output_tokens={TOKENS}", "--disable-console"]
    return [str(venv / "bin" / "guidellm"), *words, "--output", f"kind=json,path={load.out / 'guidellm.json'}"]


def read_guidellm(load: Load) -> Told:
    """Its JSON; times per token are milliseconds."""
    found = json.loads((load.out / "guidellm.json").read_text())["benchmarks"][0]["metrics"]
    ttft, itl = (found[name]["successful"] for name in ("time_to_first_token_ms", "inter_token_latency_ms"))
    speed = found["output_tokens_per_second"]["successful"]["mean"]
    return Told(ttft["mean"] / 1e3, ttft["percentiles"]["p99"] / 1e3, itl["percentiles"]["p99"] / 1e3, speed)


def inference_perf(venv: Path, load: Load) -> list[str]:
    """inference-perf: a YAML file (JSON is YAML); its random prompts go to the completions endpoint alone."""
    config = {
        "api": {"type": "completion", "streaming": True},
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
    Tool("selfhost", (), selfhost, read_selfhost),
    Tool("aiperf", ("aiperf==0.13.0",), aiperf, read_aiperf, counts=True),
    Tool("vllm", ("vllm",), vllm, read_vllm, counts=True),
    Tool("guidellm", ("guidellm==0.8.1", "torch==2.13.0"), guidellm, read_guidellm, counts=True),
    Tool("inference-perf", ("inference-perf==0.7.0",), inference_perf, read_inference_perf, (3, 12), True),
)


def ready(tool: Tool, venvs: Path, given: str | None) -> Path:
    """The tool's environment, made when it is not there. Raises RuntimeError with the reason."""
    venv = venvs / tool.name
    if not tool.packages or (venv / ".installed").exists() or (venv / "bin" / tool.name).exists():
        return venv
    subprocess.run([interpreter(tool.least_python, given), "-m", "venv", str(venv)], check=True)
    words = [str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *tool.packages]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"pip took longer than {INSTALL_S:.0f} s") from None
    if done.returncode:
        raise RuntimeError(f"pip: {done.stderr.strip().splitlines()[-1][:200] if done.stderr.strip() else 'failed'}")
    (venv / ".installed").touch()
    return venv


def interpreter(least: tuple[int, int], given: str | None) -> str:
    """A Python that is new enough: ours, the given one, or one on the PATH. Raises RuntimeError."""
    newer = [f"python3.{minor}" for minor in range(least[1], NEWEST_PYTHON + 1)]
    for path in (sys.executable, given, *map(shutil.which, newer)):
        if path is not None and _version(path) >= least:
            return path
    raise RuntimeError(f"needs Python {least[0]}.{least[1]}")


def _version(python: str) -> tuple[int, ...]:
    """What an interpreter says of itself; () of one that does not run."""
    words = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()


TRAIN = """
import json, pathlib, sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
out, *texts = sys.argv[1:]
made = Tokenizer(models.BPE())
made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
special = ["<s>", "</s>", "<unk>"]
made.train(texts, trainers.BpeTrainer(vocab_size=4000, special_tokens=special, initial_alphabet=alphabet))
made.add_tokens(["word "])
made.save(out + "/tokenizer.json")
said = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
pathlib.Path(out, "tokenizer_config.json").write_text(json.dumps({**said, "model_max_length": 100000}))
pathlib.Path(out, "config.json").write_text(json.dumps({"model_type": "llama"}))
"""
"""Run by a tool's own Python, which has the `tokenizers` that the tool counts with. What the mock says is one token."""


def made_tokenizer(venv: Path, venvs: Path) -> str:
    """The folder of a small tokenizer, trained when it is not there. Raises RuntimeError."""
    folder = venvs / "tokenizer"
    if not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        texts = sorted(str(file) for file in (ROOT / "bench" / "prompts").glob("*.txt"))
        words = [str(venv / "bin" / "python"), "-c", TRAIN, str(folder), *texts]
        done = subprocess.run(words, capture_output=True, text=True, timeout=RUN_S, check=False)
        if done.returncode:
            raise RuntimeError(f"no tokenizer: {done.stderr.strip().splitlines()[-1][:200]}")
    return str(folder)


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
        venv = ready(tool, args.venvs, args.python)
        tokenizer = args.tokenizer or (made_tokenizer(venv, args.venvs) if tool.counts else None)
        with tempfile.TemporaryDirectory() as folder:
            load = Load(url, args.streams, args.streams * args.rounds, tokenizer, Path(folder))
            _ask(f"{url}/mock/truth")
            before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            _offer_tokenizer(Path(folder), tokenizer)
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
    parser.add_argument("--python", help="interpreter for tools that need a newer one than this")
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
