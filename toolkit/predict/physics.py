"""The physics: seconds at the data sheet's rates, before any calibrated constant; and how constants turn them to time.

A decode step reads the active weights once and each sequence's cache once, and multiplies each token by the active
weights: ``max(bytes / bandwidth, FLOPs / peak)``, as a smooth maximum, plus a cost per layer, per sequence (of the
host, and of moving its state through memory), per all-reduce and per stage. A prompt is multiplied in pieces of `CHUNK`
tokens. With B sequences always running, each step also carries its share of the prompts: a token costs
``step + B · prefill / output``. Requests that come at once and end leave emptier batches behind: see `rounds`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from toolkit.predict.facts import ModelFacts
from toolkit.predict.formats import Format
from toolkit.predict.hardware import DeviceFacts, EngineFacts

CHUNK = 8192
"""Tokens of prompts multiplied at once, at most: the usual default of token budget per step."""

MEMORY_SHARE = 0.9
"""Share of a device's memory engines fill by default."""

CORNER = 1.5
"""Exponent of the soft maximum: 1 adds the two, infinity takes the larger. Of 1.3, 1.5, 2 and 4 the one that predicts
unseen devices and models best; the differences are small."""

BURST = 0.5
"""How much less a new prompt waits for others on a server that mostly decodes (power of the prompts' share of time)."""

EULER = 0.5772
"""Euler's constant: of N answers of exponential length the longest is ln N + this times their mean."""

DEFAULT_INPUT, DEFAULT_OUTPUT = 512, 256
"""Lengths where none are given."""


@dataclass(frozen=True)
class Question:
    """One configuration. ``concurrency`` None asks for the most it can carry.

    ``tp`` devices share each layer, ``pp`` stages follow one another, ``copies`` serve side by side.
    """

    model: ModelFacts
    fmt: Format
    device: DeviceFacts
    engine: EngineFacts
    tp: int = 1
    pp: int = 1
    copies: int = 1
    input_len: float | None = None
    output_len: float | None = None
    concurrency: int | None = 1
    at_most: int | None = None
    """Requests there are in all, where the most it can carry is asked."""
    uniform: bool = True
    """Whether their answers are all of one length; those of a trace are taken as exponential."""
    attention: int = 1
    """Of the ``tp`` ranks, how many keep sequences of their own (attention data parallel); experts span them all."""
    ran: bool = False
    """Whether it is known to have run, so that weights which seem to leave no room must be smaller than stated."""

    @property
    def kv_bytes(self) -> float:
        """Bytes per element of cache: 8-bit where the checkpoint says so and the engine follows it, else 16-bit.

        TensorRT-LLM with NVIDIA's FP8 and FP4 checkpoints; vLLM, of recent releases, with the FP4 ones.
        """
        fp4 = self.fmt.kind == "fp4" and not self.fmt.experts_only
        if self.engine.family == "vllm":
            return 1.0 if fp4 and self.engine.era == "new" else 2.0
        return 1.0 if self.engine.family == "tensorrt-llm" and self.fmt.kind in ("fp8", "fp4") else 2.0

    @property
    def kv_copies(self) -> float:
        """How many ranks keep the same cache: there are more ranks than KV heads, and MLA's latent has no heads."""
        ranks = self.tp / self.attention
        return max(1.0, ranks / self.model.kv_ranks)

    @property
    def prompt(self) -> float:
        """Input tokens per request."""
        return float(self.input_len if self.input_len is not None else DEFAULT_INPUT)

    @property
    def answer(self) -> float:
        """Output tokens per request."""
        return float(self.output_len if self.output_len is not None else DEFAULT_OUTPUT)


@dataclass(frozen=True)
class Terms:
    """Seconds at data-sheet rates (``mem``, ``flop``, ``link``) of a step, of one lone prompt, of a batch's prompt.

    ``cache_mem`` is the part of ``step_mem`` that reads the cache; ``waiting`` how many requests wait per running one;
    ``parallel`` how many micro-batches are in flight: one request keeps one stage of one copy busy at a time;
    ``act_mem`` moves each token's state once through memory per layer; ``stages`` are handed over to. ``rounds`` is
    the steps until all requests are done over those of an ever full batch, ``few_mem`` the weights that one with few
    sequences (the root of the batch) reads. ``sustained`` is the share of the arithmetic rate that its power allows.
    """

    batch: float
    micro: float
    layers: float
    reduces: float
    step_mem: float
    step_flop: float
    step_link: float
    lone_mem: float
    lone_flop: float
    lone_link: float
    bulk_mem: float
    bulk_flop: float
    bulk_link: float
    output: float
    prompt: float
    parallel: float
    waiting: float
    cache_mem: float
    act_mem: float
    stages: float
    rounds: float
    few_mem: float
    sustained: float


@dataclass(frozen=True)
class Constants:
    """What calibration found for this engine on this class of device; see `coefficients`."""

    bandwidth: float
    compute: float
    prefill: float
    layer_s: float
    sequence_s: float
    reduce_s: float
    link: float
    start_s: float
    admit_s: float
    queue: float
    traffic: float
    stage_s: float
    cache: float


@dataclass(frozen=True)
class Times:
    """Seconds: one decode step, its parts, the mean time per token with prompts mixed in, and a prompt.

    ``prompt_work`` and ``prompt_link`` are what prompts add to each token: arithmetic (or weights), and the link.
    """

    step: float
    step_mem: float
    step_flop: float
    step_link: float
    step_overhead: float
    prompt_work: float
    prompt_link: float
    token: float
    lone_prompt: float
    first_token: float
    output_tok_s: float


def room(q: Question, share: float = MEMORY_SHARE) -> float:
    """Bytes of cache beside the weights of one copy, where ``share`` of the memory is filled."""
    return share * q.tp * q.pp * q.device.memory_bytes - q.model.all_bytes(q.fmt, q.attention)


def cache_bytes(q: Question, answered: float) -> float:
    """Bytes of cache, over all devices of a copy, of a request that has answered so many tokens."""
    return q.model.cache_elements(q.prompt + answered) * q.kv_bytes * q.kv_copies


def running(q: Question) -> float:
    """Sequences in flight on one copy, 1 at least: what was asked, what the cache holds, and what the engine takes."""
    per_sequence = cache_bytes(q, q.answer if q.engine.reserves_answers else q.answer / 2)
    most = float(q.engine.max_sequences(q.device)) * q.attention
    free = room(q)
    unbounded = per_sequence <= 0 or (free <= 0 and q.ran)
    fits = most if unbounded else max(1.0, free / per_sequence)
    asked = (q.at_most or most * q.copies) if q.concurrency is None else q.concurrency
    return min(max(1.0, asked / q.copies), fits, most)


def rounds(q: Question, batch: float) -> float:
    """Steps until a stated number of requests is done, over those of a batch that is always full; at least 1.

    Answers of one length end together, so a last batch that is partly filled takes as many steps as a full one; of a
    trace the longest answers run on in an ever emptier batch.
    """
    if q.concurrency is not None or not q.at_most:
        return 1.0
    full = max(1.0, q.at_most / q.copies / batch)
    if q.uniform:
        return math.ceil(full - 1e-9) / full
    return max(1.0, (full - 1 + math.log(batch) + EULER) / full)


def _sent(q: Question) -> float:
    """Of each token's state, how much a device sends per collective, as a share of the state.

    An all-reduce passes everything around twice; where sequences have ranks of their own, a token goes to its experts.
    """
    if q.attention == 1:
        return 2 * (q.tp - 1) / q.tp
    return min(q.model.experts_per_token, q.tp - 1.0) / q.tp


def terms(q: Question) -> Terms:
    """The configuration in seconds at data-sheet rates."""
    batch = running(q)
    micro = max(1.0, batch / q.pp)
    bandwidth, (peak, _) = q.device.bandwidth * q.tp, q.device.peak(q.fmt)
    flops = peak * q.tp
    cache = micro * cache_bytes(q, q.answer / 2)
    reduced = 2 * q.model.layers * q.model.hidden * 2 * _sent(q) / q.device.link
    tokens = max(1.0, q.prompt)
    bulk = min(max(1.0, batch) * tokens, max(CHUNK, tokens))
    body = 2 * (q.model.active - q.model.head)
    attention = q.model.attend_flops(tokens / 2) * tokens
    return Terms(
        batch=batch,
        micro=micro,
        layers=float(q.model.layers),
        reduces=2.0 * q.model.layers if q.tp > 1 else 0.0,
        step_mem=(q.model.read_bytes(micro, q.fmt, q.attention) + cache) / bandwidth,
        step_flop=(2 * q.model.active + q.model.attend_flops(q.prompt + q.answer / 2)) * micro / flops,
        step_link=micro * reduced,
        lone_mem=q.model.read_bytes(tokens, q.fmt) / bandwidth,
        lone_flop=(body * tokens + attention) / flops,
        lone_link=tokens * reduced,
        bulk_mem=q.model.read_bytes(bulk, q.fmt) / bandwidth * tokens / bulk,
        bulk_flop=(body * tokens + attention) / flops,
        bulk_link=tokens * reduced,
        output=max(1.0, q.answer),
        prompt=tokens,
        parallel=min(float(q.pp), batch) * min(float(q.copies), float(q.concurrency or q.copies)),
        waiting=max(0.0, (q.concurrency or 0) / q.copies / batch - 1.0),
        cache_mem=cache / bandwidth,
        act_mem=micro * q.model.layers * q.model.hidden * 2 / bandwidth,
        stages=q.pp - 1.0,
        rounds=rounds(q, batch),
        few_mem=q.model.read_bytes(micro**0.5, q.fmt, q.attention) / bandwidth,
        sustained=q.device.sustained,
    )


def smooth_max(a: float, b: float) -> float:
    """A maximum with a soft corner: work near the ridge overlaps only in part."""
    together: float = (a**CORNER + b**CORNER) ** (1 / CORNER)
    return together


def times(t: Terms, c: Constants) -> Times:
    """Seconds of a configuration under these constants. Only + − × ÷ and powers: fits arrays as well as numbers."""
    mem = (t.step_mem - t.cache_mem) / c.bandwidth + t.cache_mem / c.cache
    flop = t.step_flop / (c.compute * t.sustained)
    link = t.reduces * c.reduce_s + t.step_link / c.link
    overhead = t.layers * c.layer_s + (t.micro - 1) * c.sequence_s + t.act_mem * c.traffic + t.stages * c.stage_s
    step = smooth_max(mem, flop) + link + overhead
    fixed = t.layers * c.layer_s + t.reduces * c.reduce_s
    prefill = c.prefill * t.sustained
    lone = smooth_max(t.lone_mem / c.bandwidth, t.lone_flop / prefill) + t.lone_link / c.link + c.start_s + fixed
    work = t.micro * smooth_max(t.bulk_mem / c.bandwidth, t.bulk_flop / prefill)
    passed = t.micro * t.bulk_link / c.link
    prompts = work + passed
    empty = t.few_mem / c.bandwidth + fixed + t.stages * c.stage_s
    token = step + (t.rounds - 1) * empty + prompts / t.output
    busy = prompts / (prompts + t.output * step)
    together = (t.micro - 1) * c.admit_s + c.queue * busy**BURST * prompts
    first = lone + (t.batch > 1) * (step + together) + t.waiting * t.output * token
    one = lone / t.output + step
    whole = (t.batch > 1) * token + (t.batch <= 1) * one
    per_token = work / t.output, passed / t.output
    return Times(step, mem, flop, link, overhead, *per_token, whole, lone, first, t.micro * t.parallel / whole)
