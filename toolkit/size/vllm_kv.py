"""vLLM's KV cache as its own allocator lays it out: groups of layers that share one pool of blocks.

Since v0.9 the hybrid manager puts layers of one kind into groups of equal size; every group has the same bytes per
block, so that any free block serves any group. That costs padding (Gemma-3-27B's 62 layers become 70) and it is why
"GPU KV cache size: N tokens" is no capacity for a hybrid model. Rules as of `vllm/v1/core/kv_cache_utils.py`,
`kv_cache_interface.py` and `platforms/interface.py`, checked against the logs of real starts:

* group size = the smallest count of layers of one kind, or the largest if that is less than half larger;
* a full layer needs ⌈context / block⌉ blocks, a sliding one ⌈min(window − 1 + step tokens, context) / block⌉ + 1;
* a recurrent layer needs one block, or two where prefixes are cached (three for Mamba-2 since v0.32), and one more
  for each drafted token; attention blocks are stretched, in whole blocks of the kernel, until one holds a state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from toolkit.size import kv
from toolkit.types import LayerAttention, ModelSpec, RecurrentState

BLOCK = 16
"""Tokens per block on GPUs (vLLM default; attention kernels of MLA may use 64)."""

CPU_BLOCK = 128
"""Tokens per block of the CPU backend."""

CPU_MLA_BLOCK = 16
"""Tokens per block of the CPU backend's MLA kernel without AMX."""

MLA_HYBRID_BLOCK = 128
"""Blocks of a model with latent attention and recurrent layers are multiples of this (FlashInfer's MLA kernels)."""

HYBRID_SINCE = (0, 9)
"""First release whose hybrid manager frees blocks behind a window; before, every layer keeps the whole context."""

HALF_LARGER_SINCE = (0, 20)
"""Groups take the larger count when it is less than 50 % larger; 25 % before (vLLM pull request 35703 shows both)."""

IN_FLIGHT_SINCE = (0, 26)
"""Blocks behind a window are freed when their step has settled, so every batch in flight keeps its tokens (vLLM pull
request 47728, July 2026, after v0.25)."""

STATE_PREFIXES_SINCE = (0, 27)
"""Prefix caching is on by itself for models with recurrent layers, in mode ``align`` (vLLM pull request 50991, August
2026, when v0.26 was the newest)."""

CHECKPOINT_SINCE = (0, 32)
"""Mamba-2 keeps a third block per sequence, for the checkpoint inside a prefill (vLLM pull request 57329)."""

INDEX_BYTES = 132
"""DeepSeek's sparse-attention indexer: 128 fp8 elements and one fp32 scale per token and layer."""


@dataclass(frozen=True)
class Cache:
    """What the layout depends on besides the model."""

    version: tuple[int, int]
    width: int = 2
    """Bytes per cache element."""
    tp: int = 1
    layers: int | None = None
    """Layers on the fullest pipeline stage; None = all."""
    block: int | None = None
    """Tokens per block as the user or a kernel fixes them."""
    cpu: bool = False
    prefix_caching: bool | None = None
    """None = the release's default."""
    drafted: int = 0
    """Tokens guessed ahead in one step."""
    dcp: int = 1
    """Decode-context-parallel ranks: full layers hold every dcp-th token."""
    pp: int = 1

    @property
    def batches(self) -> int:
        """Steps scheduled at once: one more than pipeline stages where scheduling is asynchronous, as on GPUs."""
        return self.pp if self.cpu or self.version < IN_FLIGHT_SINCE else self.pp + 1


@dataclass(frozen=True)
class Kind:
    """One kind of layer: how many, bytes of a token (or of a whole state), how far it looks."""

    name: str
    layers: int = field(compare=False)
    """Not compared: kinds are alike whatever their number."""
    token_bytes: int
    window: int | None = None
    chunked: bool = False
    state_bytes: int = 0
    state_blocks: int = 0
    """Blocks of a sequence's state, whatever its length."""


@dataclass(frozen=True)
class Layout:
    """The pool on one rank. ``kinds`` come with tokens per block and number of groups."""

    kinds: tuple[tuple[Kind, int, int], ...]
    block_bytes: int
    """Bytes of one block over the layers of one group."""
    block_tokens: int
    """What the log calls block size."""
    batches: int = 1
    dcp: int = 1

    @property
    def groups(self) -> int:
        """Number of groups."""
        return sum(groups for _, _, groups in self.kinds)

    def blocks(self, context: int, step_tokens: int) -> int:
        """Blocks that one sequence of ``context`` tokens holds at most; ``step_tokens`` are those of one step."""
        flying = step_tokens * self.batches
        return sum(
            _blocks(kind, per_block, context, flying, self.dcp) * groups for kind, per_block, groups in self.kinds
        )

    def pool_blocks(self, pool_bytes: int) -> int:
        """Blocks that fit into a pool."""
        return max(0, pool_bytes) // self.block_bytes if self.block_bytes else 0

    def logged_tokens(self, pool_bytes: int) -> int:
        """What the engine logs as "GPU KV cache size", up to v0.19: blocks ÷ groups × block size × DCP ranks."""
        return self.pool_blocks(pool_bytes) // max(1, self.groups) * self.block_tokens * self.dcp


def layout(model: ModelSpec, cache: Cache, draft: ModelSpec | None = None) -> Layout:
    """The layout on one rank, with the layers of a draft model beside the model's own."""
    kinds = _kinds(model, cache)
    block = cache.block or default_block(model, cache)
    block = _stretched(kinds, block, model)
    if draft is not None:
        kinds = _merged([*kinds, *_kinds(draft, replace(cache, layers=None))])
    if not kinds:
        return Layout((), 0, block)
    if all(not k.state_bytes and k.window is None for k in kinds):
        return _one_group(kinds, block, cache)
    page = max(max(k.token_bytes * block, k.state_bytes) for k in kinds)
    size = _group_size([k.layers for k in kinds], cache.version)
    placed = tuple((k, _per_block(k, page, block), -(-k.layers // size)) for k in kinds)
    return Layout(placed, page * size, block, cache.batches, cache.dcp)


def default_block(model: ModelSpec, cache: Cache) -> int:
    """Tokens per block that the engine chooses by itself, before any stretching."""
    if not cache.cpu:
        return BLOCK
    return CPU_MLA_BLOCK if any(a.kind == "mla" for a in model.attention) else CPU_BLOCK


def _one_group(kinds: list[Kind], block: int, cache: Cache) -> Layout:
    """Layers that all keep every token share one block table; their rows need not be alike, and nothing is padded."""
    row = sum(k.token_bytes * k.layers for k in kinds)
    whole = Kind("full", sum(k.layers for k in kinds), row)
    return Layout(((whole, block, 1),), row * block, block, cache.batches, cache.dcp)


def _stretched(kinds: list[Kind], block: int, model: ModelSpec) -> int:
    """Tokens per block once one attention block holds a whole state."""
    rows = [k.token_bytes for k in kinds if not k.state_bytes]
    state = max((k.state_bytes for k in kinds), default=0)
    if not state or not rows:
        return block
    if any(a.kind == "mla" for a in model.attention):
        block = max(block, MLA_HYBRID_BLOCK)
    return block * max(1, -(-state // (block * max(rows))))


def _per_block(kind: Kind, page: int, block: int) -> int:
    """Tokens in one block: more where rows are smaller by a whole number; else the block is padded."""
    if kind.state_bytes:
        return 0
    own = kind.token_bytes * block
    return block * (page // own) if page % own == 0 else block


def _blocks(kind: Kind, per_block: int, context: int, flying: int, dcp: int) -> int:
    if kind.state_bytes:
        return kind.state_blocks
    if kind.window is None:
        return -(-context // (per_block * dcp))
    if kind.chunked:
        return -(-min(kind.window + flying, context) // per_block)
    return -(-min(kind.window - 1 + flying, context) // per_block) + 1


def _group_size(counts: list[int], version: tuple[int, int]) -> int:
    """Layers per group (vllm ``_get_kv_cache_groups_uniform_page_size``)."""
    low, high = min(counts), max(counts)
    return high if high < low * (1.5 if version >= HALF_LARGER_SINCE else 1.25) else low


def _kinds(model: ModelSpec, cache: Cache) -> list[Kind]:
    """Distinct kinds of layers with their counts, in order of appearance; a layer may attend and keep a state."""
    found: list[Kind] = []
    for layer, state in zip_longest(model.attention[: cache.layers], model.recurrent[: cache.layers]):
        found += [k for k in (_attention(layer, cache), _state(state, cache)) if k is not None]
    return _merged(found)


def _merged(kinds: Iterable[Kind]) -> list[Kind]:
    counted: Counter[Kind] = Counter()
    for kind in kinds:
        counted[kind] += kind.layers
    return [replace(kind, layers=n) for kind, n in counted.items()]


def _state(state: RecurrentState | None, cache: Cache) -> Kind | None:
    """A recurrent layer: its convolution window in 16 bits, its state as the model asks, both divided over the ranks.

    The CPU backend keeps states in fp32 (vllm `CpuPlatform.check_and_update_config`).
    """
    if state is None or not (state.conv_elements or state.state_elements):
        return None
    rows = max(1, state.conv_rows)
    conv = state.conv_elements * (rows + cache.drafted) // rows * 2
    width = 4 if cache.cpu else state.state_bytes or 2
    cached = cache.prefix_caching
    blocks = 1 + cache.drafted
    if cache.version >= STATE_PREFIXES_SINCE if cached is None else cached:
        blocks += 1 + (state.kind == "mamba2" and cache.version >= CHECKPOINT_SINCE)
    size = (conv + state.state_elements * width) // cache.tp
    return Kind("state", 1, 0, state_bytes=size, state_blocks=blocks)


def _index_bytes(layer: LayerAttention) -> int:
    """What a sparse layer's index keeps of a token: DeepSeek's in fp8 with a scale, MiniMax M3's in 16 bits."""
    return INDEX_BYTES if layer.index_dim and layer.kind == "mla" else layer.index_dim * 2


def _attention(layer: LayerAttention, cache: Cache) -> Kind | None:
    token = kv.rank_elements(layer, cache.tp) * cache.width + _index_bytes(layer)
    if not token:
        return None
    if layer.window is None or cache.version < HYBRID_SINCE:
        return Kind("full", 1, token)
    return Kind(layer.kind, 1, token, layer.window, layer.kind == "chunked")
