"""llama.cpp's graph allocator, played over the graph of a dense model as the builds of 2025 made it.

A compute buffer is as long as the furthest byte that the allocator hands out. With flash attention those builds keep
the attention mask twice, in 32 and in 16 bits, and the holes that both leave decide where the logits of a whole batch
fit: Llama-3.1-8B over 16,384 cells, 1,024 tokens a batch, takes 517 MiB before the MLP's fused gate and 613 MiB after
it. No formula says that; the allocator is short enough to be played. It answers for one device that holds all layers.

Checked against the engine itself (`tests/accuracy/llamacpp_planned_2025.jsonl`), to the hundredth of a MiB.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from toolkit.size.llamacpp_build import Build
from toolkit.types import ModelSpec

ALIGNMENT = 128
"""Bytes that tensors on a GPU are aligned to (ggml-cuda.cu `ggml_backend_cuda_buffer_type_get_alignment`)."""

LAYERS = 4
"""Layers that are played: the allocator repeats itself from the second on, and the last one differs."""

HEAD_NORMS = ("qwen3", "Qwen3ForCausalLM")
FUSED_UP = ("glm4", "Glm4ForCausalLM")
"""Gate and up are one matrix."""
KNOWN = (
    *("llama", "LlamaForCausalLM", "MistralForCausalLM", "qwen2", "Qwen2ForCausalLM"),
    *HEAD_NORMS,
    *FUSED_UP,
)
"""Architectures whose graph was checked."""


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """One result of the graph, in the order they are computed."""

    bytes: int
    uses: tuple[Tensor, ...] = ()
    over: tuple[Tensor, ...] = ()
    """Operands it may be written over, when nothing else needs them any more; never one that is seen through a view."""


class _Space:
    """Free blocks by address; the last one has no end (ggml-alloc.c `ggml_dyn_tallocr`)."""

    def __init__(self) -> None:
        self.free = [[0, 1 << 62]]
        self.top = 0

    def take(self, size: int) -> int:
        """The smallest block that holds it, or the last one."""
        fits = [block for block in self.free[:-1] if block[1] >= size]
        block = min(reversed(fits), key=lambda b: b[1]) if fits else self.free[-1]
        start = block[0]
        block[0] += size
        block[1] -= size
        self.free = [b for b in self.free if b[1]]
        self.top = max(self.top, start + size)
        return start

    def give(self, start: int, size: int) -> None:
        """Put a block back, and join it with its neighbours."""
        joined: list[list[int]] = []
        for block in sorted([*self.free, [start, size]]):
            if joined and joined[-1][0] + joined[-1][1] == block[0]:
                joined[-1][1] += block[1]
            else:
                joined.append(block)
        self.free = joined


def peak(tensors: Iterable[Tensor]) -> int:
    """Bytes of the buffer that holds each tensor from its computation to its last use.

    ggml-alloc.c `ggml_gallocr_alloc_graph_impl`.
    """
    order = list(tensors)
    waiting = Counter(operand for t in order for operand in t.uses)
    space, held = _Space(), dict[Tensor, int]()
    for t in order:
        size = -(-t.bytes // ALIGNMENT) * ALIGNMENT
        heir = next((o for o in t.over if o in held and waiting[o] == 1 and o.bytes == t.bytes), None)
        if t.bytes:
            held[t] = held.pop(heir) if heir else space.take(size)
        for operand in t.uses:
            waiting[operand] -= 1
            if not waiting[operand] and operand in held:
                space.give(held.pop(operand), -(-operand.bytes // ALIGNMENT) * ALIGNMENT)
    return space.top


def plays(model: ModelSpec) -> bool:
    """Whether the graph of that model is known: dense, all layers alike, of an architecture that was checked."""
    return model.architecture in KNOWN and not model.experts and len(set(model.attention)) == 1


@dataclass(frozen=True)
class Shape:
    """What the graph of one ubatch depends on: elements a token has of everything, and who reads them."""

    hidden: int
    queries: int
    keys: int
    """Elements of all heads of keys, or of values."""
    inner: int
    vocab: int
    tokens: int
    cells: int
    head_norms: bool
    fused_up: bool
    fused_gate: bool
    host: bool
    """A machine without GPU, whose inputs are its own and stand first; a GPU gets copies as they are needed."""


def shape(model: ModelSpec, tokens: int, cells: int, build: Build, *, host: bool) -> Shape:
    """The shape of that model's graph over one ubatch of ``tokens``, in a build."""
    layer = model.attention[0]
    return Shape(
        hidden=model.hidden,
        queries=model.heads * layer.head_dim_k,
        keys=layer.kv_heads * layer.head_dim_k,
        inner=model.intermediate,
        vocab=model.vocab,
        tokens=tokens,
        cells=cells,
        head_norms=model.architecture in HEAD_NORMS,
        fused_up=model.architecture in FUSED_UP,
        fused_gate=build.fused_gate,
        host=host,
    )


@lru_cache(maxsize=256)
def buffer(s: Shape) -> int:
    """Compute buffer, bytes, of a device that holds all layers, with flash attention and logits for every token.

    Kept, because the searches for users and contexts ask the same again and again.
    """
    return peak(_Drawing(s).order)


class _Drawing:
    """The tensors of a graph in the order they are computed (src/llama-model.cpp, src/llama-graph.cpp of mid-2025)."""

    def __init__(self, s: Shape) -> None:
        self.shape = s
        self.order: list[Tensor] = []
        first = self.add(1 if s.host else s.hidden)
        self.places, self.mask, self.outputs = self.add(1), self.add(s.cells), self.add(1)
        hidden = self.add(s.hidden, first) if s.host else first
        self.half: Tensor | None = None
        for number in range(LAYERS):
            hidden = self.layer(hidden, last=number == LAYERS - 1)
        self.add(s.vocab, self.norm(hidden))

    def add(self, elements: int, *uses: Tensor, over: tuple[Tensor, ...] = ()) -> Tensor:
        """A result of so many elements a token, in 32 bits."""
        self.order.append(Tensor(elements * self.shape.tokens * 4, uses, over))
        return self.order[-1]

    def norm(self, x: Tensor, *, viewed: bool = False) -> Tensor:
        """Norm and weight; over ``x`` where nothing else reads it and it is not seen through a view."""
        elements = x.bytes // (self.shape.tokens * 4)
        first = self.add(elements, x, over=() if viewed else (x,))
        return self.add(elements, first, over=(first,))

    def layer(self, before: Tensor, *, last: bool) -> Tensor:
        """One layer; the last one keeps the rows that have an output, which are all."""
        s = self.shape
        mixed = self.add(s.hidden, self.attention(self.norm(before)))
        if last:
            mixed, before = self.add(s.hidden, mixed, self.outputs), self.add(s.hidden, before, self.outputs)
        between = self.add(s.hidden, mixed, before, over=(mixed, before))
        out = self.add(s.hidden, self.mlp(self.norm(between)))
        return self.add(s.hidden, out, between, over=(out, between))

    def attention(self, x: Tensor) -> Tensor:
        """Queries, keys and values; keys and values go into the cache; the answer of flash attention."""
        s = self.shape
        queries = self.rotated(self.add(s.queries, x))
        keys = self.rotated(self.add(s.keys, x))
        values = self.add(s.keys, x)
        self.add(0, keys)
        self.add(0, values)
        if self.half is None:
            self.half = Tensor(self.mask.bytes // 2, (self.mask,))
            self.order.append(self.half)
        return self.add(s.queries, queries, self.half)

    def rotated(self, x: Tensor) -> Tensor:
        """The rotary embedding of heads, which are a view of the product unless a norm comes between."""
        elements = x.bytes // (self.shape.tokens * 4)
        if not self.shape.head_norms:
            return self.add(elements, x, self.places)
        normed = self.norm(x, viewed=True)
        return self.add(elements, normed, self.places, over=(normed,))

    def mlp(self, x: Tensor) -> Tensor:
        """The inner row of the MLP once it is gated."""
        inner = self.shape.inner
        source = self.add(2 * inner, x) if self.shape.fused_up else x
        if self.shape.fused_gate:
            sides = (source,) if self.shape.fused_up else (self.add(inner, x), self.add(inner, x))
            return self.add(inner, *sides)
        gate = self.add(inner, source)
        active = self.add(inner, gate, over=(gate,))
        up = self.add(inner, source)
        return self.add(inner, active, up, over=(active, up))
