"""What of a model matters to speed: parameters by when they are read, cache per token, layers and width."""

from __future__ import annotations

import re
from dataclasses import dataclass

from toolkit.predict.formats import Format
from toolkit.types import LayerAttention, ModelSpec

MTP_AND_VISION = frozenset(("vision", "mtp", "norm", "embedding", "head", "experts"))


@dataclass(frozen=True)
class ModelFacts:
    """Counts are parameters or elements, not bytes. ``experts_per_token`` of ``experts`` are active.

    ``kv_full`` is elements per token of layers that look back at everything; ``kv_windows`` pairs a window with the
    elements per token of the layers that have it; ``attend_…`` are the FLOPs a token spends on each token it looks back
    at, in the same layers. ``state`` is elements per sequence, whatever its length. ``kv_ranks`` is over how many
    tensor-parallel ranks a cache can be split, its KV heads; the one latent of MLA is kept whole by every rank.
    ``max_context`` is the tokens of its longest request.
    """

    name: str
    layers: int
    hidden: int
    body: float
    expert_params: float
    head: float
    experts: int = 0
    experts_per_token: float = 0
    kv_full: float = 0
    kv_windows: tuple[tuple[int, float], ...] = ()
    attend_full: float = 0
    attend_windows: tuple[tuple[int, float], ...] = ()
    state: float = 0
    kv_ranks: float = 8
    max_context: int | None = None
    basis: str = "profile"

    @property
    def active(self) -> float:
        """Parameters that multiply each token, the output matrix included."""
        share = self.experts_per_token / self.experts if self.experts else 0.0
        return self.body + self.head + self.expert_params * share

    def read_bytes(self, sequences: float, fmt: Format, attention: int = 1) -> float:
        """Bytes of weights one step of that many tokens reads: experts by how many of them are touched.

        With ``attention`` copies of everything but the experts each copy is read.
        """
        touched = 1.0 - (1.0 - self.experts_per_token / self.experts) ** sequences if self.experts else 0.0
        body_bits = 16.0 if fmt.experts_only else fmt.bits
        dense = self.body * body_bits + self.head * fmt.head_bits
        return (dense * attention + self.expert_params * touched * fmt.bits) / 8

    def all_bytes(self, fmt: Format, attention: int = 1) -> float:
        """Bytes of all weights that lie in memory, but for the input embedding; see `read_bytes`."""
        body_bits = 16.0 if fmt.experts_only else fmt.bits
        dense = self.body * body_bits + self.head * fmt.head_bits
        return (dense * attention + self.expert_params * fmt.bits) / 8

    def cache_elements(self, context: float) -> float:
        """Elements of cache one sequence reads per step at that context."""
        return self.kv_full * context + sum(e * min(w, context) for w, e in self.kv_windows) + self.state

    def attend_flops(self, context: float) -> float:
        """FLOPs of attention itself for one token that looks back at that context."""
        return self.attend_full * context + sum(f * min(w, context) for w, f in self.attend_windows)


def of_spec(spec: ModelSpec) -> ModelFacts:
    """The facts of a model whose tensors are known."""
    by_role: dict[str, float] = {}
    for group in spec.weights:
        by_role[group.role] = by_role.get(group.role, 0.0) + group.params
    embedding = by_role.get("embedding", 0.0)
    windows: dict[int, float] = {}
    looks: dict[int, float] = {}
    full = look = 0.0
    for layer in spec.attention:
        if layer.kind in ("sliding", "chunked") and layer.window:
            windows[layer.window] = windows.get(layer.window, 0.0) + _elements(layer)
            looks[layer.window] = looks.get(layer.window, 0.0) + _look(layer, spec.heads)
        else:
            full += _elements(layer)
            look += _look(layer, spec.heads)
    return ModelFacts(
        name=spec.name,
        layers=spec.layers,
        hidden=spec.hidden,
        body=sum(n for role, n in by_role.items() if role not in MTP_AND_VISION),
        expert_params=by_role.get("experts", 0.0),
        head=by_role.get("head", 0.0) or embedding,
        experts=spec.experts,
        experts_per_token=spec.experts_per_token,
        kv_full=full,
        kv_windows=tuple(sorted(windows.items())),
        attend_full=look,
        attend_windows=tuple(sorted(looks.items())),
        state=float(sum(r.conv_elements + 2 * r.state_elements for r in spec.recurrent)),
        max_context=spec.max_context,
        kv_ranks=float(
            min((1 if a.kind == "mla" else a.kv_heads for a in spec.attention if a.kind != "none"), default=8)
        ),
    )


def _elements(layer: LayerAttention) -> float:
    if layer.kind == "mla":
        return float(layer.latent_dim + layer.index_dim)
    return float(layer.kv_heads * (layer.head_dim_k + layer.head_dim_v)) if layer.kind != "none" else 0.0


def _look(layer: LayerAttention, heads: int) -> float:
    """FLOPs of one token per token looked at: a score and a weighted sum per head; MLA does both in latent space."""
    if layer.kind == "mla":
        return 4.0 * heads * layer.latent_dim
    return 2.0 * heads * (layer.head_dim_k + layer.head_dim_v) if layer.kind != "none" else 0.0


def sizes_in_name(name: str) -> tuple[float, float | None] | None:
    """Billions of parameters, and of active ones, as a name states them: `Yi-34B`, `Qwen3-30B-A3B`, `Mixtral-8x7B`.

    Of N experts of one size a quarter is taken as shared by all, two act on a token (Mixtral: 46.7 B and 12.9 B).
    """
    text = name.lower()
    if re.search(r"\d{1,3}e(?![a-z\d])", text):  # Llama 4 names its active size and how many experts, not the whole
        return None
    mixture = re.search(r"(?<![\d.])(\d{1,3})x(\d{1,3}(?:\.\d+)?)b(?![a-z])", text)
    if mixture:
        experts, each = float(mixture[1]), float(mixture[2])
        return each * (0.25 + 0.75 * experts), each * (0.25 + 0.75 * min(2.0, experts))
    whole = re.search(r"(?<![\d.a-z])(\d{1,4}(?:\.\d+)?)b(?![a-z])", text)
    active = re.search(r"(?<![a-z])a(\d{1,3}(?:\.\d+)?)b(?![a-z])", text)
    if not whole or not float(whole[1]):
        return None
    return float(whole[1]), float(active[1]) if active and 0 < float(active[1]) < float(whole[1]) else None


def of_params(name: str, params_b: float, active_params_b: float | None = None) -> ModelFacts:
    """Facts of a usual decoder of that size, where only its parameter counts are known.

    Width and depth follow published Llama and Qwen models (0.5B: 24 × 896; 7B: 32 × 4096; 70B: 80 × 8192); the cache
    is that of grouped attention with 8 KV heads of 128. In a mixture a third of the active weights is outside the
    experts, and 8 experts act on a token.
    """
    total, active = params_b * 1e9, (active_params_b or params_b) * 1e9
    shape = active if active_params_b is None else (active * total) ** 0.5
    hidden = min(16384, max(512, 128 * round(4096 * (shape / 7e9) ** 0.36 / 128)))
    layers = min(128, max(12, round(32 * (shape / 7e9) ** 0.36)))
    head = min(0.3 * active, 128_000 * hidden)
    mixture = active_params_b is not None and active_params_b < 0.95 * params_b
    body = 0.33 * active if mixture else total - 2 * head if total > 3e9 else total - head
    share = (active - body - head) / (total - body - head) if mixture else 0.0
    return ModelFacts(
        name=name,
        layers=layers,
        hidden=hidden,
        body=max(body, 0.3 * active),
        expert_params=total - body - head if mixture else 0.0,
        head=head,
        experts=max(8, round(8 / share)) if mixture and share > 0 else 0,
        experts_per_token=8.0 if mixture else 0.0,
        kv_full=2.0 * layers * 8 * 128,
        attend_full=4.0 * layers * hidden,
        basis="parameter counts",
    )
