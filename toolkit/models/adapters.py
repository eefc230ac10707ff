"""Where vLLM puts room for LoRA adapters: both sides of every linear layer, per layer of the model.

An adapter of rank r on a weight (out, in) is A (r, in) and B (out, r). Column-parallel layers divide B over the
tensor-parallel ranks, row-parallel ones A, replicated ones and embeddings neither (vllm `lora/layers/*.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from toolkit.models.tensors import TensorShape
from toolkit.types import AdapterSite, Role

LINEAR = frozenset[Role]({"attention", "latent", "mlp", "experts", "recurrent", "router"})
OUTER = frozenset[Role]({"embedding", "head"})
ROW_PARALLEL = ("o_proj", "out_proj", "down_proj")
REPLICATED = ("q_a_proj", "kv_a_proj_with_mqa", "wq_b", "wk", "weights_proj", "gate", "shared_expert_gate")


def sites(listed: Iterable[TensorShape]) -> tuple[AdapterSite, ...]:
    """Elements of a rank-1 adapter by layer: what every rank holds whole, and what is divided."""
    whole: dict[int | None, int] = defaultdict(int)
    split: dict[int | None, int] = defaultdict(int)
    tied = None
    for t in listed:
        if t.role == "embedding":
            tied = t
        if t.role == "head":
            tied = None
        if len(t.shape) < 2 or not t.name.endswith(".weight") or t.role not in LINEAR | OUTER:
            continue
        each = t.shape[0] if t.role == "experts" else 1
        out, into = t.shape[-2:] if t.role == "experts" else (t.shape[0], t.elements // t.shape[0])
        kept, divided = _sides(t, out, into)
        whole[t.layer] += each * kept
        split[t.layer] += each * divided
    if tied is not None:  # the head is the embedding, and has an adapter of its own
        whole[None] += sum(tied.shape)
    return tuple(AdapterSite(layer=i, whole=whole[i], split=split[i]) for i in whole)


def _sides(tensor: TensorShape, out: int, into: int) -> tuple[int, int]:
    """(whole, divided) elements of one weight's adapter of rank 1."""
    module = tensor.name.split(".")[-2]
    if tensor.role in OUTER or module in REPLICATED:
        return out + into, 0
    return (out, into) if module in ROW_PARALLEL else (into, out)
