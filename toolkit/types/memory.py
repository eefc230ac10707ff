"""What `size` computes: a model as tensors and layers, and the memory it takes per device."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from toolkit.types.common import Basis, Certainty, Document, Frozen


class LayerAttention(Frozen):
    """What one layer keeps per token: its KV heads and head sizes, a window if it slides, a latent if MLA."""

    kind: Literal["full", "sliding", "chunked", "mla", "none"] = "full"
    kv_heads: int = 0
    head_dim_k: int = 0
    head_dim_v: int = 0
    window: int | None = None
    """Tokens a sliding layer looks back."""
    latent_dim: int = 0
    """MLA: kv_lora_rank + qk_rope_head_dim, elements per token."""
    absorbed_elements: int = 0
    """MLA: elements of W_UK and W_UV, which engines hold a second time to decode in latent space."""
    index_dim: int = 0
    """Sparse-attention indexer (DeepSeek V3.2, GLM 5): elements per token in a cache of its own."""


class RecurrentState(Frozen):
    """What a linear-attention or Mamba layer keeps per sequence, in elements; all zero for attention layers."""

    kind: Literal["none", "delta", "mamba1", "mamba2", "conv"] = "none"
    conv_elements: int = 0
    conv_rows: int = 3
    """Tokens the convolution window remembers: its kernel less one."""
    state_elements: int = 0
    state_bytes: int = 0
    """Bytes per state element that the model asks for; 0 = those of the cache."""
    inner: int = 0
    """Elements of the mixer's answer for one token."""


Role = Literal[
    "embedding",
    "head",
    "norm",
    "attention",
    "latent",
    "mlp",
    "experts",
    "router",
    "recurrent",
    "vision",
    "mtp",
    "other",
]
"""What a weight tensor is for. Placement, tensor parallelism and quantization all go by role; ``latent`` are MLA's
projections down to its latents and the index of sparse attention, which every rank holds whole."""


class WeightGroup(Frozen):
    """All tensors of one role in one layer (``layer`` is None outside the layers)."""

    role: Role
    layer: int | None
    params: int
    bytes: int


class AdapterSite(Frozen):
    """Where adapters attach, per layer: elements of a rank-1 adapter, those each rank holds whole and those divided."""

    layer: int | None
    whole: int
    split: int


class StoredTensor(Frozen):
    """One tensor as a GGUF file names and stores it."""

    name: str
    dtype: str
    bytes: int


class Adapter(Frozen):
    """A LoRA adapter: its tensors are named after the ones they change, with ``.lora_a`` and ``.lora_b`` behind."""

    name: str
    path: str
    architecture: str
    tensors: tuple[StoredTensor, ...] = Field(repr=False)


class ModelSpec(Frozen):
    """Facts of one model, wherever they came from. Counts are whole numbers; sizes are bytes."""

    name: str
    source: Literal["gguf", "folder", "profile", "hub"]
    path: str | None = None
    """Local file or folder to launch from; None when only facts are known."""
    revision: str | None = None
    architecture: str
    quant: str
    """`bf16`, `fp8`, `awq`, … or a GGUF file type such as `Q4_1`."""
    layers: int = Field(ge=1)
    hidden: int = Field(ge=1)
    heads: int = Field(ge=1)
    intermediate: int = Field(ge=0)
    vocab: int = Field(ge=1)
    max_context: int = Field(ge=1)
    tied_embeddings: bool = False
    experts: int = 0
    experts_per_token: int = 0
    moe_intermediate: int = 0
    attention: tuple[LayerAttention, ...]
    """One entry a layer."""
    recurrent: tuple[RecurrentState, ...] = ()
    """One entry a layer; empty when no layer keeps a state."""
    mtp_attention: tuple[LayerAttention, ...] = ()
    """What the prediction layers keep per token; empty when there are none."""
    adapters: tuple[AdapterSite, ...] = Field(default=(), repr=False)
    """Linear layers as vLLM's adapter buffers see them; empty when they are not known one by one."""
    rope_cache_elements: int = 0
    """Elements of vLLM's precomputed rotary tables."""
    weights: tuple[WeightGroup, ...] = Field(repr=False)
    tensors: tuple[StoredTensor, ...] = Field(default=(), repr=False)
    """The same tensor by tensor, where a GGUF file names them."""
    weights_basis: Basis = "computed"
    """`engine` when the sizes were read from the file's own header, `computed` from `config.json`."""
    notes: tuple[str, ...] = ()
    """What a reader of these facts should know, in words; `size` shows them as warnings."""

    @property
    def weights_bytes(self) -> int:
        """Bytes of all weights as stored."""
        return sum(g.bytes for g in self.weights)

    @property
    def params(self) -> int:
        """Parameters (weights with their biases; scales of quantized blocks not counted)."""
        return sum(g.params for g in self.weights)


class Line(Frozen):
    """One bar of a device's memory: what it is, how many bytes, where the figure comes from."""

    what: Literal["weights", "kv_cache", "activations", "cuda_graphs", "runtime", "state", "vision", "draft", "lora"]
    bytes: int
    basis: Basis
    how: str
    """The arithmetic or the source, in words a reader can check."""


class DevicePlan(Frozen):
    """Memory of one device. ``usable_bytes`` is what the engine sees before its utilisation limit."""

    name: str
    usable_bytes: int
    lines: tuple[Line, ...]
    total_bytes: int
    free_bytes: int
    error_bytes: int
    """Half width of the error band around ``total_bytes``."""


class Setting(Frozen):
    """One resolved input and who chose it."""

    value: str | int | float | bool | list[str] | None
    origin: Literal["user", "engine_default", "profile"] = Field(alias="from")


class Advice(Frozen):
    """One change, tested by the same model: what it saves and whether the plan fits then."""

    change: str
    saves_bytes: int
    fits_then: bool


class GridRow(Frozen):
    """How many sequences fit at one context; 0 = none."""

    context: int
    max_concurrency: int


class MinimumGpus(Frozen):
    """The fewest devices of one kind that hold the plan; None = not even eight of them."""

    gpu: str
    count: int | None
    certainty: Certainty
    max_concurrency: int


class MemoryPlan(Document):
    """Does it fit, and where do the bytes go. The document of `size`."""

    kind: Literal["memory_plan"] = "memory_plan"
    model: str
    engine: Literal["vllm", "llama.cpp"]
    engine_version: str | None
    quant: str
    context: int
    concurrency: int
    tp: int = 1
    pp: int = 1
    inputs: dict[str, Setting]
    devices: tuple[DevicePlan, ...]
    kv_bytes_per_token: int
    kv_pool_bytes: int
    reserved_bytes: int
    kv_pool_tokens: int
    max_context: int
    max_concurrency: int
    fits: bool
    certainty: Certainty
    advice: tuple[Advice, ...] = ()
    warnings: tuple[str, ...] = ()
    grid: tuple[GridRow, ...] = ()
    """Users and context at once: the edge of what fits."""
    minimum_gpus: tuple[MinimumGpus, ...] = ()
    """Filled when every known GPU was asked for."""
    versus: MemoryPlan | None = None
    """A second model under the same conditions, when asked for."""
