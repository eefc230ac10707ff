"""llama.cpp's compute buffers: the widest moment of the graph on each device.

The graph allocator's peak is the MLP (three inner rows live at once, beside the residual and its norm) or the attention
(queries, keys, values and, without flash attention, the score matrix), over one ubatch, with the attention masks. The
coefficients are those of the allocator's own answers: the engine's planner over 216 synthetic models on a CPU, and over
246 placements on one to three GPUs (`tests/accuracy/llamacpp_planned.jsonl`).

Builds before June 2026 reserve logits for every token of a batch; where their masks leave holes and the graph is known,
`llamacpp_allocator` answers. Where matrices lie in host memory, the first GPU
still multiplies large batches with them and needs room for a copy of the largest (``op_offload``); it attends for those
layers too, with a copy of the layer's cache.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.size import llamacpp_allocator
from toolkit.size.llamacpp_build import Build
from toolkit.size.llamacpp_placement import Placement
from toolkit.types import LayerAttention, ModelSpec, RecurrentState

COPIES = 4
"""Copies of every input when devices work in a pipeline (``GGML_SCHED_MAX_COPIES``)."""

COPY_SHARE = 0.75
"""Of a copied matrix of a dense layer: how much of it does not fit into holes that the allocator has anyway (0.5-1.0
on the planner's answers)."""


SINKS = ("gpt-oss", "GptOssForCausalLM")
"""Architectures whose softmax has a further input, a weight of the layer."""


@dataclass(frozen=True)
class Graph:
    """What the graph of one ubatch depends on."""

    model: ModelSpec
    tokens: int
    """Tokens of the ubatch."""
    cells: tuple[int, ...]
    """Cells of a stream, once for full layers and once for sliding ones: each kind has a mask of its own."""
    flash_attn: bool
    build: Build
    slots: int = 1
    streams: int = 1
    """Caches side by side: one for each slot, or one for all."""

    @property
    def played(self) -> bool:
        """Whether the allocator's own answer is had: builds that keep the mask twice, and a graph that is known."""
        return self.flash_attn and not self.build.half_masks and llamacpp_allocator.plays(self.model)

    def shape(self, *, host: bool) -> llamacpp_allocator.Shape:
        """What the allocator is played over, on a machine without GPU (``host``) or on the GPU."""
        return llamacpp_allocator.shape(self.model, self.tokens, self.cells[0], self.build, host=host)

    @property
    def row(self) -> int:
        """Bytes of one hidden row for every token."""
        return self.model.hidden * self.tokens * 4

    @property
    def masks(self) -> int:
        """Attention masks on a device that attends; without flash attention also the places of the values."""
        width = (2 if self.build.half_masks else 6) if self.flash_attn else 4
        return sum(self.cells) * self.tokens * width + self._places

    @property
    def host_masks(self) -> int:
        """The same where they are filled in."""
        width = 2 if self.flash_attn and self.build.half_masks else 4
        return sum(self.cells) * self.tokens * width + self._places

    @property
    def _places(self) -> int:
        """Row numbers of transposed values, 8 bytes each (``v_idxs``); of full and of sliding layers."""
        if self.flash_attn or not self.build.row_numbers:
            return 0
        return len(self.cells) * max(a.kv_heads * a.head_dim_v for a in self.model.attention) * self.tokens * 8

    @property
    def layer(self) -> int:
        """The widest moment of a layer, bytes, without masks."""
        return max(_mlp_row(self.model, self.build) * self.tokens * 4, self.attention, self.recurrent)

    @property
    def recurrent(self) -> int:
        """The moment of a recurrent mixer: its rows, and the states of all slots as they were and as they become."""
        return max((self._recurrent(s) for s in self.model.recurrent if s.state_elements), default=0)

    def _recurrent(self, s: RecurrentState) -> int:
        row = 2 * (s.conv_elements // max(1, s.conv_rows) + s.inner + self.model.hidden)
        return (row * self.tokens + 2 * self.slots * (s.conv_elements + s.state_elements)) * 4

    @property
    def attention(self) -> int:
        """The moment of the attention."""
        rows = max(_attention_row(self.model, layer) for layer in self.model.attention) * self.tokens * 4
        return rows + self.scores + self.latent_values

    @property
    def latent_values(self) -> int:
        """MLA without flash attention: a transposed copy, in 16 bits, of the latents of every cell.

        Nothing where it fits into the place of the queries, which are done with by then.
        """
        latent = next((a for a in self.model.attention if a.kind == "mla"), None)
        if self.flash_attn or latent is None:
            return 0
        copy = max(self.cells) * self.streams * (latent.head_dim_v or latent.latent_dim) * 2
        return copy if copy > self.model.heads * latent.latent_dim * self.tokens * 4 else 0

    @property
    def scores(self) -> int:
        """The score matrix, which flash attention does without."""
        return 0 if self.flash_attn else max(self.cells) * self.model.heads * self.tokens * 4

    @property
    def queries(self) -> int:
        """Bytes of the widest layer's queries."""
        return max(self.model.heads * (a.head_dim_k or a.latent_dim) for a in self.model.attention) * self.tokens * 4

    @property
    def post_norms(self) -> int:
        """Rows that norms behind attention and MLP keep while a matrix or a cache is copied."""
        return 2 * self.row if self.model.architecture.lower().startswith("gemma") else 0

    @property
    def logits(self) -> int:
        """The moment of the output, where every token has one."""
        return 0 if self.build.few_outputs else (self.model.vocab + self.model.hidden) * self.tokens * 4


def _whole(where: Placement, gpu: int) -> bool:
    """Whether one GPU holds all layers and every tensor of them."""
    return set(where.layers) == {gpu} and not (where.pipelined or where.rules or where.cpu_experts)


def alone(graph: Graph) -> int:
    """The one buffer of a machine without GPU."""
    spare = graph.row if graph.build.two_inputs else 0
    if graph.played:
        return llamacpp_allocator.buffer(graph.shape(host=True)) + spare
    return max(graph.layer - graph.row + graph.masks, graph.logits) + spare


def buffers(graph: Graph, where: Placement, host_cache: int = 0) -> list[int]:
    """Compute buffer of every device, bytes; ``host_cache`` is the largest layer's cache in host memory."""
    gpus = where.gpus
    if not gpus:
        return [alone(graph)] * len(where.devices)
    used = set(where.layers)
    result = [0] * len(where.devices)
    copied, expert = where.in_host
    for n, i in enumerate(gpus):
        first = n == 0
        result[i] = _on_gpu(graph, first=first, pipelined=where.pipelined, output=i == where.output) if i in used else 0
        if graph.played and _whole(where, i):
            result[i] = llamacpp_allocator.buffer(graph.shape(host=False))
        if first and copied:
            result[i] = max(result[i], _with_copy(graph, copied, expert, host_cache))
        if first and host_cache:
            result[i] = max(result[i], _attending_for_host(graph, copied, host_cache, some=i in used))
        if first and where.output not in gpus and graph.logits:
            result[i] = max(result[i], _head(graph.model) + graph.logits)
    if where.cpu is not None:
        times = COPIES if where.pipelined else 1
        result[where.cpu] = times * (graph.host_masks + graph.row) + (graph.row if graph.build.two_inputs else 0)
    return result


def _on_gpu(graph: Graph, *, first: bool, pipelined: bool, output: bool) -> int:
    """A GPU that runs layers; its input is one row less than on a CPU. Later ones of a pipeline get two inputs."""
    layers = graph.layer - graph.row + graph.masks
    logits = graph.logits if output else 0
    if not pipelined:
        later = 0 if first else min(graph.queries, graph.layer - graph.attention)
        return max(layers - max(0, later), logits)
    more = (COPIES - 1) * (graph.masks + graph.row) + graph.row + (0 if first else COPIES * graph.row)
    return max(layers, logits + graph.masks) + more


def _attending_for_host(graph: Graph, copied: int, cache: int, *, some: bool) -> int:
    """The moment at which the first GPU attends for a layer in host memory, whose cache is copied to it.

    The scores of a model with sinks are held twice where ``some`` layers are the GPU's own.
    """
    if not graph.flash_attn:
        twice = graph.scores if some and graph.model.architecture in SINKS else 0
        return graph.attention - graph.row + graph.masks + cache + twice
    if graph.model.experts:
        return 0
    return cache + copied + graph.masks + 2 * (graph.queries + graph.row) + graph.post_norms


def _head(model: ModelSpec) -> int:
    """Bytes of the output matrix."""
    role = "embedding" if model.tied_embeddings else "head"
    return sum(g.bytes for g in model.weights if g.role == role)


def _with_copy(graph: Graph, copied: int, expert: bool, cache: int) -> int:
    """The moment at which a matrix from host memory is multiplied; of experts, beside the layer's copied cache."""
    model = graph.model
    if expert:
        inner = model.experts_per_token * model.moe_intermediate
        routed = 2 * inner + (model.experts_per_token + 1) * model.hidden
        return copied + routed * graph.tokens * 4 + graph.masks + cache
    return int(copied * COPY_SHARE) + graph.layer - graph.row + graph.masks + graph.post_norms


def _attention_row(model: ModelSpec, layer: LayerAttention) -> int:
    """Elements a token holds while its layer attends: 3 × hidden + 2 × queries + 2 × keys.

    MLA: 4 × hidden, and of every head the query as projected and in the latents, the answer there and as projected.
    """
    if layer.kind == "mla":
        return 4 * model.hidden + 2 * model.heads * layer.latent_dim + model.heads * sum(_latent_heads(model, layer))
    queries = model.heads * (layer.head_dim_k or layer.latent_dim)
    return 3 * model.hidden + 2 * queries + 2 * layer.kv_heads * layer.head_dim_k


def _latent_heads(model: ModelSpec, layer: LayerAttention) -> tuple[int, int]:
    """Sizes of a head outside the latents, without the rotary part: of queries, and of values (taken for equal)."""
    rank = layer.head_dim_v or layer.latent_dim
    each = layer.absorbed_elements // (model.heads * rank) // 2
    return each, each


def _mlp_row(model: ModelSpec, build: Build) -> int:
    """Elements a token holds inside the widest MLP; of experts, every active one counts."""
    layer = model.attention[0]
    head = layer.head_dim_k
    if layer.kind == "mla":
        head = _latent_heads(model, layer)[0] + layer.latent_dim - (layer.head_dim_v or layer.latent_dim)
    beside = 3 * model.hidden + model.heads * head
    inner, outer = model.experts_per_token * model.moe_intermediate, model.experts_per_token * model.hidden
    routed = max(3 * inner, 2 * inner + outer, 2 * outer + model.hidden)
    return beside + (routed if inner else (3 if build.fused_gate else 2) * model.intermediate)
