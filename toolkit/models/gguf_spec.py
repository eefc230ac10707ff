"""GGUF headers → `ModelSpec`: which metadata key means what, per llama.cpp architecture.

Key names: llama.cpp `src/llama-arch.cpp`. Window patterns that are code there and not metadata come from
`src/llama-model.cpp` (`set_swa_pattern`): the last layer of every period is a full one unless noted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from math import prod
from pathlib import Path
from typing import Any

from toolkit.errors import DeclinedError, ModelFileError
from toolkit.models import ggml, gguf
from toolkit.types import Adapter, LayerAttention, ModelSpec, RecurrentState, Role, StoredTensor, WeightGroup

SWA_PERIOD: dict[str, int] = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "cohere2": 4,
    "olmo2": 4,
    "exaone4": 4,
    "llama4": 4,
    "phi3": 1,
}
"""Architecture → every n-th layer is full, where the file does not list the pattern. 1 = all layers slide."""

NOT_MODELLED = {
    "mamba": "a pure state-space model",
    "mamba2": "a pure state-space model",
    "rwkv6": "a recurrent model",
    "rwkv7": "a recurrent model",
    "t5": "an encoder-decoder",
    "clip": "a vision projector, not a language model",
}
LAYER = re.compile(r"^blk\.(\d+)\.(.+)$")


def read(path: Path) -> ModelSpec:
    """Facts of a GGUF file, all parts if it is split.

    Raises:
        ModelFileError: not a readable, complete GGUF language model.
        DeclinedError: an architecture whose memory is not modelled.
    """
    headers = [gguf.read_header(p) for p in gguf.split_files(path)]
    return spec_from_headers(headers, path)


def spec_from_headers(headers: list[gguf.Header], path: Path) -> ModelSpec:
    """`ModelSpec` from the headers of all parts; metadata is the first part's."""
    head, facts = headers[0], _Facts(headers[0])
    entries = [t for h in headers for t in h.tensors]
    shapes = {t.name: t.shape for t in entries}
    layers = facts.layers(len(entries))
    hidden = facts.count("embedding_length")
    heads = max(facts.per_layer("attention.head_count", layers))
    if not heads:
        raise ModelFileError(f"{path}: metadata {facts.arch}.attention.head_count is 0 in every layer")
    return ModelSpec(
        name=_name(head.metadata.get("general.name")) or path.stem,
        source="gguf",
        path=str(path),
        architecture=facts.arch,
        quant=quant_name(head.metadata, entries),
        layers=layers,
        hidden=hidden,
        heads=heads,
        intermediate=max(facts.per_layer("feed_forward_length", layers, 0)),
        vocab=_vocab(facts, shapes),
        max_context=facts.count("context_length"),
        tied_embeddings="output.weight" not in shapes,
        experts=facts.count("expert_count", 0),
        experts_per_token=facts.count("expert_used_count", 0),
        moe_intermediate=facts.count("expert_feed_forward_length", 0),
        attention=_without(_attention(facts, layers, hidden, heads), _recurrent_layers(entries, attend=False)),
        recurrent=_states(facts, layers, _recurrent_layers(entries, attend=True)),
        weights=_groups(entries),
        tensors=tuple(StoredTensor(name=t.name, dtype=t.dtype, bytes=t.bytes) for t in entries),
        weights_basis="engine",
    )


def read_adapter(path: Path) -> Adapter:
    """A LoRA adapter in a GGUF file.

    Raises:
        ModelFileError: not a readable GGUF file, or not an adapter.
    """
    head = gguf.read_header(path)
    kind = head.metadata.get("general.type")
    if kind != "adapter" or head.metadata.get("adapter.type", "lora") != "lora":
        raise ModelFileError(f"{path} is no LoRA adapter; its header says {kind or 'nothing about that'}")
    tensors = tuple(StoredTensor(name=t.name, dtype=t.dtype, bytes=t.bytes) for t in head.tensors)
    architecture = str(head.metadata.get("general.architecture"))
    return Adapter(name=path.stem, path=str(path.resolve()), architecture=architecture, tensors=tensors)


NAME_MAX = 200


def _name(value: object) -> str:
    """A name fit for a terminal: no control characters, and no page of it."""
    return "".join(c for c in value if c.isprintable())[:NAME_MAX].strip() if isinstance(value, str) else ""


def quant_name(metadata: dict[str, Any], entries: list[gguf.TensorEntry]) -> str:
    """The file type's name; for files without one, the type that holds most bytes."""
    named = ggml.FILE_TYPES.get(metadata.get("general.file_type", -1))
    if named:
        return named
    by_type: dict[str, int] = defaultdict(int)
    for t in entries:
        by_type[t.dtype] += t.bytes
    return max(by_type, key=by_type.__getitem__) if by_type else "unknown"


class _Facts:
    """Typed access to ``<arch>.<key>`` metadata."""

    def __init__(self, header: gguf.Header) -> None:
        self.path, self.metadata = header.path, header.metadata
        arch = header.metadata.get("general.architecture")
        if not isinstance(arch, str) or not arch:
            raise ModelFileError(f"{header.path} does not say its architecture; it is no language model file")
        if arch in NOT_MODELLED:
            raise DeclinedError(f"{header.path} is {NOT_MODELLED[arch]} ({arch}); its memory is not modelled")
        self.arch = arch

    def get(self, key: str) -> Any:
        return self.metadata.get(f"{self.arch}.{key}")

    def count(self, key: str, default: int | None = None) -> int:
        """A whole number 0…2^31; the first of a per-layer list."""
        value = self.get(key)
        if isinstance(value, list) and value:
            value = value[0]
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
            raise ModelFileError(f"{self.path}: metadata {self.arch}.{key} is {value!r}, not a count")
        return value

    def layers(self, tensors: int) -> int:
        """Layers that attend, without those that predict further tokens; each has at least one tensor."""
        blocks, predicting = self.count("block_count"), self.count("nextn_predict_layers", 0)
        if not 0 <= predicting < blocks <= tensors:
            raise ModelFileError(
                f"{self.path}: metadata {self.arch}.block_count is {blocks:,}, {predicting:,} of them for prediction, "
                f"and the file has {tensors:,} tensors"
            )
        return blocks - predicting

    def per_layer(self, key: str, layers: int, default: int | None = None) -> list[int]:
        """The same number for every layer, or a list with one number a layer."""
        value = self.get(key)
        if not isinstance(value, list):
            return [self.count(key, default)] * layers
        if len(value) < layers or not all(isinstance(v, int) and 0 <= v < 2**31 for v in value):
            raise ModelFileError(f"{self.path}: metadata {self.arch}.{key} has {len(value)} entries, needs {layers}")
        return value[:layers]


def _vocab(facts: _Facts, shapes: dict[str, tuple[int, ...]]) -> int:
    embedding = shapes.get("token_embd.weight")
    if embedding and len(embedding) == 2:
        return embedding[1]
    return facts.count("vocab_size")


def _attention(facts: _Facts, layers: int, hidden: int, heads: int) -> tuple[LayerAttention, ...]:
    kv_heads = facts.per_layer("attention.head_count_kv", layers, heads)
    if (rank := facts.count("attention.kv_lora_rank", 0)) and facts.get("attention.key_length_mla"):
        rope = facts.count("rope.dimension_count")
        key, value = facts.count("attention.key_length_mla"), facts.count("attention.value_length_mla", 0)
        absorbed = heads * max(0, key - rope + value) * rank
        layer = LayerAttention(kind="mla", latent_dim=rank + rope, head_dim_v=rank, absorbed_elements=absorbed)
        return (layer,) * layers
    dim_k = facts.count("attention.key_length", hidden // heads)
    dim_v = facts.count("attention.value_length", hidden // heads)
    window = facts.count("attention.sliding_window", 0)
    chunk = facts.count("attention.chunk_size", 8192) if facts.arch == "llama4" else 0
    slides = _slides(facts, layers) if window or chunk else [False] * layers
    return tuple(
        LayerAttention(
            kind=("chunked" if chunk else "sliding") if slide else ("full" if n else "none"),
            kv_heads=n,
            head_dim_k=dim_k,
            head_dim_v=dim_v,
            window=(chunk or window) if slide else None,
        )
        for n, slide in zip(kv_heads, slides, strict=True)
    )


def _recurrent_layers(entries: list[gguf.TensorEntry], *, attend: bool) -> set[int]:
    """Layers that hold state-space tensors; without ``attend`` only those that have no keys of their own."""
    parts: dict[int, set[str]] = defaultdict(set)
    for t in entries:
        if match := LAYER.match(t.name):
            parts[int(match[1])].add(match[2].split(".")[0])
    states = {i for i, names in parts.items() if any(n.startswith("ssm_") for n in names)}
    return states if attend else {i for i in states if "attn_k" not in parts[i]}


def _without(attention: tuple[LayerAttention, ...], layers: set[int]) -> tuple[LayerAttention, ...]:
    """The same with no cache in those layers."""
    return tuple(LayerAttention(kind="none") if i in layers else a for i, a in enumerate(attention))


def _states(facts: _Facts, layers: int, recurrent: set[int]) -> tuple[RecurrentState, ...]:
    """What each layer keeps per sequence (llama.cpp ``n_embd_r`` and ``n_embd_s`` of its Mamba-2 layout)."""
    if not recurrent:
        return ()
    inner, state = facts.count("ssm.inner_size"), facts.count("ssm.state_size")
    conv = facts.count("ssm.conv_kernel") - 1
    each = RecurrentState(
        conv_elements=conv * (inner + 2 * facts.count("ssm.group_count", 0) * state),
        conv_rows=max(1, conv),
        state_elements=state * inner,
        inner=inner,
    )
    return tuple(each if i in recurrent else RecurrentState() for i in range(layers))


def _slides(facts: _Facts, layers: int) -> list[bool]:
    """Which layers slide: the file's own list or period, else the architecture's."""
    pattern = facts.get("attention.sliding_window_pattern")
    if isinstance(pattern, list) and len(pattern) >= layers:
        return [bool(p) for p in pattern[:layers]]
    period = pattern if isinstance(pattern, int) and pattern > 0 else SWA_PERIOD.get(facts.arch, 0)
    if period == 1:
        return [True] * layers
    return [bool(period) and (i + 1) % period != 0 for i in range(layers)]


def _groups(entries: list[gguf.TensorEntry]) -> tuple[WeightGroup, ...]:
    params: dict[tuple[Role, int | None], int] = defaultdict(int)
    sizes: dict[tuple[Role, int | None], int] = defaultdict(int)
    for t in entries:
        key = role_of(t.name)
        params[key] += prod(t.shape)
        sizes[key] += t.bytes
    return tuple(
        WeightGroup(role=role, layer=layer, params=params[role, layer], bytes=sizes[role, layer])
        for role, layer in params
    )


def role_of(name: str) -> tuple[Role, int | None]:
    """Role and layer of a GGUF tensor by its name (llama.cpp `LLM_TENSOR_NAMES`)."""
    match = LAYER.match(name)
    if not match:
        top: dict[str, Role] = {"token_embd": "embedding", "output_norm": "norm", "output": "head"}
        stem = name.rsplit(".", 1)[0]
        return ("vision" if stem.startswith(("v.", "mm.")) else top.get(stem, "other")), None
    part = match[2]
    return _layer_role(part), int(match[1])


LAYER_ROLES: tuple[tuple[str, Role], ...] = (
    (r"^nextn\.", "mtp"),
    (r"_(ch)?exps\b", "experts"),
    (r"^(ffn_gate_inp|exp_probs_b)", "router"),
    (r"^ssm_", "recurrent"),
    (r"norm", "norm"),
    (r"^attn", "attention"),
)
"""First match wins; what is left of a layer is its MLP."""


def _layer_role(part: str) -> Role:
    return next((role for pattern, role in LAYER_ROLES if re.search(pattern, part)), "mlp")
