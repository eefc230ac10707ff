"""vLLM under our supervisor: the plan that starts it, scaled limits, and what its process tree is."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPResponse
from pathlib import Path

import psutil

from tests.supervise.harness import until
from toolkit import plan, size
from toolkit.backends.vllm import BACKEND
from toolkit.models.resolve import resolve
from toolkit.size import Ask, Device
from toolkit.supervise import api
from toolkit.supervise.limits import Limits
from toolkit.types import GIB, Deployment, LaunchPlan

NAME = "smol"
CONTEXT = 2048
READY_S = 150.0
"""A start takes 20-40 s on an idle pair of cores."""

LIMITS = Limits(
    tick_s=0.5,
    load_stall_s=120,
    load_cap_s=300,
    stall_min_s=10,
    stall_max_s=20,
    suspect_grace_s=2,
    idle_probe_after_s=5,
    probe_timeout_s=5,
    probe_failures=2,
    health_timeout_s=3,
    backoff_base_s=0.2,
    backoff_cap_s=1,
    crash_limit=50,
    drain_s=60,
    term_grace_s=10,
)
"""Scaled down by ten; not further, for the real engine pauses when the machine is busy."""


def launch(folder: Path, root: Path) -> LaunchPlan:
    """The plan as the pipeline makes it, with 1 GiB of cache. ``root`` marks its processes for `World`."""
    ask = Ask(
        resolve(str(folder)),
        (Device("CPU", 8 * GIB, "cpu", "given"),),
        "vllm",
        "0.32",
        context=CONTEXT,
        concurrency=8,
        max_num_seqs=8,
        max_num_batched_tokens=2048,
    )
    made = plan.launch_plan(size.plan(ask), [BACKEND], {"vllm": BACKEND.find()}, wanted="vllm", served_name=NAME)
    mine = {"FAKE_ROOT": str(root), "VLLM_CPU_KVCACHE_SPACE": "1"}
    return made.model_copy(update={"argv": (*made.argv, "--enforce-eager"), "env": made.env | mine})


def until_ready(name: str, not_pid: int | None = None) -> Deployment:
    """Wait until it is ready, on another process than ``not_pid``."""

    def ready() -> Deployment | None:
        now = api.status(name)
        return now if now.state == "ready" and now.pid not in (None, not_pid) else None

    found: Deployment = until(ready, READY_S, f"{name} ready; now {api.status(name).state}")
    return found


def tree(server: Deployment) -> list[psutil.Process]:
    """The API server first, then EngineCore, its worker and the rest."""
    assert server.pid
    leader = psutil.Process(server.pid)
    return [leader, *leader.children(recursive=True)]


def worker(server: Deployment) -> psutil.Process:
    """The process that computes."""
    found = [p for p in tree(server) if "VLLM::Worker" in " ".join(p.cmdline())]
    assert len(found) == 1, [p.cmdline() for p in tree(server)]
    return found[0]


def open_chat(base_url: str, text: str, tokens: int, *, stream: bool = False) -> HTTPResponse:
    """One chat with temperature 0; for a stream exactly ``tokens`` tokens long."""
    body = {
        "model": NAME,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": stream,
        "ignore_eos": stream,
    }
    request = urllib.request.Request(
        base_url + "/chat/completions", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    response: HTTPResponse = urllib.request.urlopen(request, timeout=120)
    return response


def answer(base_url: str, text: str, tokens: int = 32) -> str:
    """The text of one chat."""
    with open_chat(base_url, text, tokens) as response:
        content: str = json.load(response)["choices"][0]["message"]["content"]
    return content
