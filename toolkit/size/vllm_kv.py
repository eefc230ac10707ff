"""vLLM's KV cache as its own allocator lays it out: groups of layers that share one pool of blocks.

Since v0.9 the hybrid manager puts layers of one kind into groups of equal size; every group has the same bytes per
block, so that any free block serves any group. That costs padding (Gemma-3-27B's 62 layers become 70) and it is why
"GPU KV cache size: N tokens" is no capacity for a hybrid model. Rules as of `vllm/v1/core/kv_cache_utils.py` and
`kv_cache_interface.py`, checked against the logs of real starts:

* group size = the smallest count of layers of one kind, or the largest if that is less than 25 % larger;
* a full layer needs ⌈context / block⌉ blocks, a sliding one ⌈min(window − 1 + step tokens, context) / block⌉ + 1;
* a recurrent layer needs one block; attention blocks are stretched until one holds a whole recurrent state.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil

from toolkit.size import kv
from toolkit.types import LayerAttention, ModelSpec, RecurrentState

BLOCK = 16
"""Tokens per block on GPUs (vLLM default; attention kernels of MLA may use 64)."""

CPU_BLOCK = 128
"""Tokens per block of the CPU backend."""

HYBRID_SINCE = (0, 9)
"""First release whose hybrid manager frees blocks behind a window; before, every layer keeps the whole context."""

INDEX_BYTES = 132
"""DeepSeek's sparse-attention indexer: 128 fp8 elements and one fp32 scale per token and layer."""


@dataclass(frozen=True)
class Kind:
    """One kind of layer: how many, bytes of a token (or of a whole state), how far it looks."""

    name: str
    layers: int
    token_bytes: int
    window: int | None = None
    chunked: bool = False
    state_bytes: int = 0


@dataclass(frozen=True)
class Layout:
    """The pool on one rank. ``kinds`` come with tokens per block and number of groups."""

    kinds: tuple[tuple[Kind, int, int], ...]
    block_bytes: int
    """Bytes of one block over the layers of one group."""
    block_tokens: int
    """What the log calls block size."""

    @property
    def groups(self) -> int:
        """Number of groups."""
        return sum(groups for _, _, groups in self.kinds)

    def blocks(self, context: int, step_tokens: int) -> int:
        """Blocks that one sequence of ``context`` tokens holds at most."""
        return sum(_blocks(kind, per_block, context, step_tokens) * groups for kind, per_block, groups in self.kinds)

    def pool_blocks(self, pool_bytes: int) -> int:
        """Blocks that fit into a pool."""
        return max(0, pool_bytes) // self.block_bytes if self.block_bytes else 0

    def logged_tokens(self, pool_bytes: int) -> int:
        """What the engine logs as "GPU KV cache size", up to v0.19: blocks ÷ groups × block size."""
        return self.pool_blocks(pool_bytes) // max(1, self.groups) * self.block_tokens


def layout(model: ModelSpec, tp: int, layers: int, width: int, version: tuple[int, int], block: int = BLOCK) -> Layout:
    """The layout on one rank that holds the first ``layers`` layers; ``width`` bytes per cache element."""
    kinds = _kinds(model, tp, layers, width, windows=version >= HYBRID_SINCE)
    if not kinds:
        return Layout((), 0, block)
    per_token = [k.token_bytes for k in kinds if not k.state_bytes]
    state = max((k.state_bytes for k in kinds), default=0)
    if state and per_token:
        block = max(block, ceil(ceil(state / max(per_token)) / BLOCK) * BLOCK)
    page = max(max(per_token, default=0) * block, state if not per_token else 0)
    size = _group_size([k.layers for k in kinds])
    placed = tuple((k, page // k.token_bytes if not k.state_bytes else 0, -(-k.layers // size)) for k in kinds)
    return Layout(placed, page * size, block)


def _blocks(kind: Kind, per_block: int, context: int, step_tokens: int) -> int:
    if kind.state_bytes:
        return 1
    if kind.window is None:
        return -(-context // per_block)
    if kind.chunked:
        return -(-min(kind.window + step_tokens, context) // per_block)
    return -(-min(kind.window - 1 + step_tokens, context) // per_block) + 1


def _group_size(counts: list[int]) -> int:
    """Layers per group (vllm ``_get_kv_cache_groups_uniform_page_size``)."""
    low, high = min(counts), max(counts)
    return high if high < low * 1.25 else low


def _kinds(model: ModelSpec, tp: int, layers: int, width: int, *, windows: bool) -> list[Kind]:
    """Distinct kinds of layers with their counts, in order of appearance."""
    states = model.recurrent or (RecurrentState(),) * model.layers
    counted: Counter[Kind] = Counter()
    for layer, state in zip(model.attention[:layers], states[:layers], strict=True):
        kind = _kind(layer, state, tp, width, windows=windows)
        if kind is not None:
            counted[kind] += 1
    return [Kind(k.name, n, k.token_bytes, k.window, k.chunked, k.state_bytes) for k, n in counted.items()]


def _kind(layer: LayerAttention, state: RecurrentState, tp: int, width: int, *, windows: bool) -> Kind | None:
    if state.state_elements:
        # conv window in the cache's 16 bits, state matrix in fp32, both divided over the ranks
        return Kind("state", 0, 0, state_bytes=(state.conv_elements * 2 + state.state_elements * 4) // tp)
    token = kv.rank_elements(layer, tp) * width + (INDEX_BYTES if layer.index_dim else 0)
    if not token:
        return None
    if layer.window is None or not windows:
        return Kind("full", 0, token)
    return Kind(layer.kind, 0, token, layer.window, layer.kind == "chunked")
