"""What a vLLM start is set to: the user's words, and the release's and the card's defaults for the rest."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.errors import InputError
from toolkit.size import kv, vllm_kv
from toolkit.size.ask import MTP, Ask
from toolkit.types import GIB, ModelSpec

CURRENT = (0, 33)
"""The release assumed when none is named (September 2026)."""

LORA_RANK, LORAS = 16, 1
"""vLLM's defaults once adapters are enabled (`LoRAConfig`)."""

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM accepts (`MaxLoRARanks`)."""

CPU_BATCHED, CPU_SEQS = 2048, 128
"""`EngineArgs` on its CPU build, times the world size (API server)."""

SAMPLER_SINCE = (0, 17)
"""First release whose warm-up samples by FlashInfer's kernels."""

CHUNKED_SINCE = (0, 8)
"""First release whose engine (V1) takes long prompts in chunks by itself and has defaults by card."""

UNCHUNKED_UP_TO = 32_768
"""Before, a step was as long as the model, up to this many tokens; longer ones were chunked (`EngineArgs` of v0.7)."""


FABRIC_FROM = 70 * GIB
"""Cards of this size are sold on boards with a fabric; smaller ones mostly are not."""


@dataclass(frozen=True)
class Rules:
    """What depends on the release."""

    utilization: float
    sampler_bytes: float
    """Bytes per (vocabulary entry × sequence) of the sampler's warm-up."""
    keeps_rows: bool
    """Whether the hidden rows of a step are held beside the sampler's."""
    graphs_in_budget: bool


def rules(version: tuple[int, int]) -> Rules:
    """Constants of a release.

    Sources: sampler 38.9 B up to v0.16 (7 of 7 text runs 38.4-39.6) and 14.2 B from v0.17 (27 measured H100 runs,
    llm-d-planner accuracy report); default utilisation 0.92 by v0.22; graphs subtracted from v0.21.
    """
    old_sampler = version < SAMPLER_SINCE
    return Rules(
        utilization=0.92 if version >= (0, 22) else 0.90,
        sampler_bytes=38.9 if old_sampler else 14.2,
        keeps_rows=not old_sampler or version < CHUNKED_SINCE,
        graphs_in_budget=version >= (0, 21),
    )


def parse_version(text: str | None) -> tuple[int, int]:
    """``0.19.1rc2`` → (0, 19); None → the current release.

    Raises:
        InputError: not a version.
    """
    if text is None:
        return CURRENT
    parts = text.lstrip("v").split(".")
    try:
        return int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
    except ValueError:
        raise InputError(f"{text!r} is no vLLM version; versions look like 0.19") from None


def scheduler_defaults(usable_bytes: int, name: str) -> tuple[int, int]:
    """(max_num_batched_tokens, max_num_seqs) of the API server by GPU (vllm `EngineArgs`, usage context)."""
    if usable_bytes >= 160 * GIB:
        return 16384, 1024
    return (8192, 1024) if is_large(usable_bytes, name) else (2048, 256)


def is_large(usable_bytes: int, name: str) -> bool:
    """Whether vLLM takes the card for one of the Hopper class or above (`EngineArgs`)."""
    return usable_bytes >= 70 * GIB and "a100" not in name.lower()


@dataclass(frozen=True)
class Resolved:
    """Every setting of one vLLM start-up, defaults filled in."""

    version: tuple[int, int]
    utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int
    kv_dtype: str
    tp: int
    pp: int
    context: int
    cpu: bool = False
    large: bool = False
    """A data-centre card from Hopper on, as vLLM tells them: 70 GiB or more, and no A100."""
    fabric: bool = False
    """Ranks are joined by a switched fabric."""
    eager: bool = False
    block_size: int | None = None
    """As the user fixed it."""
    prefix_caching: bool | None = None
    expert_parallel: bool = False
    dcp: int = 1
    drafted: int = 0
    """Tokens guessed ahead in one step."""
    lora_rank: int = 0
    """0 = no adapters."""
    loras: int = 0

    def stage(self, model: ModelSpec) -> int:
        """Layers of the fullest pipeline stage."""
        return -(-model.layers // self.pp)

    def cache(self, model: ModelSpec) -> vllm_kv.Cache:
        """What the layout of this model's cache depends on."""
        return vllm_kv.Cache(
            version=self.version,
            width=kv.vllm_width(self.kv_dtype),
            tp=self.tp,
            layers=self.stage(model),
            block=self.block_size,
            cpu=self.cpu,
            prefix_caching=self.prefix_caching,
            drafted=self.drafted,
            dcp=self.dcp,
            pp=self.pp,
        )


def resolve(ask: Ask) -> Resolved:
    """Fill in the release's defaults.

    Raises:
        InputError: settings that contradict one another, the model or the devices.
    """
    version = parse_version(ask.engine_version)
    first = ask.devices[0]
    tp, pp = ask.tp or (1 if ask.pp else len(ask.devices)), ask.pp or 1
    cpu = first.kind == "cpu"
    batched, seqs = scheduler_defaults(first.usable_bytes, first.name)
    context = ask.context or ask.model.max_context
    if version < CHUNKED_SINCE:
        batched, seqs = max(2048, context) if context <= UNCHUNKED_UP_TO else 2048, 256
    if cpu:
        batched, seqs = CPU_BATCHED * tp * pp, CPU_SEQS * tp * pp
    _check_ranks(ask, tp, pp)
    adapters = ask.max_lora_rank is not None or ask.max_loras is not None
    return Resolved(
        version=version,
        utilization=ask.gpu_memory_utilization or rules(version).utilization,
        max_num_seqs=ask.max_num_seqs or seqs,
        max_num_batched_tokens=ask.max_num_batched_tokens or batched,
        kv_dtype=ask.kv_dtype or "auto",
        tp=tp,
        pp=pp,
        context=context,
        cpu=cpu,
        large=not cpu and is_large(first.usable_bytes, first.name),
        fabric=_fabric(ask),
        eager=cpu or ask.eager,
        block_size=ask.block_size,
        prefix_caching=ask.prefix_caching,
        expert_parallel=ask.expert_parallel,
        dcp=ask.dcp or 1,
        drafted=_drafted(ask),
        lora_rank=_rank(ask) if adapters else 0,
        loras=(ask.max_loras or LORAS) if adapters else 0,
    )


def _fabric(ask: Ask) -> bool:
    """Whether the ranks' devices have a fabric; large cards do where nothing is known."""
    used = ask.devices[: (ask.tp or len(ask.devices)) * (ask.pp or 1)]
    return all(d.fabric if d.fabric is not None else d.usable_bytes >= FABRIC_FROM for d in used)


def _check_ranks(ask: Ask, tp: int, pp: int) -> None:
    model = ask.model
    if tp * pp > len(ask.devices):
        raise InputError(
            f"tensor parallel {tp} × pipeline parallel {pp} needs {tp * pp} devices, {len(ask.devices)} given"
        )
    if model.heads % tp:
        raise InputError(f"{model.heads} attention heads cannot be divided over {tp} devices")
    if ask.expert_parallel and not model.experts:
        raise InputError(f"{model.name} has no experts to divide over the ranks")
    if ask.block_size is not None and ask.block_size % vllm_kv.BLOCK:
        raise InputError(f"a block of {ask.block_size} tokens is no multiple of {vllm_kv.BLOCK}")
    _check_dcp(model, tp, ask.dcp or 1)


def _check_dcp(model: ModelSpec, tp: int, dcp: int) -> None:
    """Context ranks share tensor ranks that hold the same heads (vllm `ModelConfig.verify_with_parallel_config`)."""
    if dcp == 1:
        return
    if tp % dcp:
        raise InputError(f"{dcp} context-parallel ranks do not divide {tp} tensor-parallel ranks")
    if any(a.window is not None for a in model.attention):
        raise InputError(f"{model.name} has sliding layers, which cannot be context-parallel")
    heads = max((a.kv_heads for a in model.attention if a.kind != "mla"), default=0)
    if heads and dcp > tp // heads:
        raise InputError(
            f"{dcp} context-parallel ranks need as many tensor-parallel ranks for each of {heads} KV heads, not {tp}"
        )


def _drafted(ask: Ask) -> int:
    if ask.draft is None:
        if ask.num_speculative_tokens is not None:
            raise InputError("tokens are to be guessed ahead, and nothing guesses them", "name a draft model, or mtp.")
        return 0
    if ask.draft == MTP and not ask.model.mtp_attention:
        raise InputError(f"{ask.model.name} has no prediction layers (MTP)", "name a draft model.")
    if ask.draft != MTP and ask.draft.vocab != ask.model.vocab:
        raise InputError(
            f"the draft {ask.draft.name} has {ask.draft.vocab:,} tokens and {ask.model.name} {ask.model.vocab:,}",
            "a draft model needs the same vocabulary.",
        )
    return ask.num_speculative_tokens or 1


def _rank(ask: Ask) -> int:
    rank = ask.max_lora_rank or LORA_RANK
    if rank not in RANKS:
        raise InputError(f"vLLM has no adapter rank {rank}", f"it takes {', '.join(map(str, RANKS))}.")
    return rank
