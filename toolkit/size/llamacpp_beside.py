"""What llama.cpp holds beside the model: a draft model, prediction layers, LoRA adapters.

A draft is a second model with a context of its own, as long as the model's, in F16 unless told otherwise. Prediction
layers (MTP) are loaded only when they are asked for; they get a cache of their own, and the model then keeps its
recurrent state once more for every token guessed (``n_rs_seq``). An adapter's tensors lie where the tensors lie that
they change.
"""

from __future__ import annotations

from toolkit.errors import InputError
from toolkit.models.gguf_spec import role_of
from toolkit.size.ask import MTP, Ask
from toolkit.size.llamacpp_placement import Placement
from toolkit.types import Adapter, ModelSpec

GUESSED = 3
"""Tokens guessed in one step by default (``--spec-draft-n-max``)."""

VOCABULARY_GAP = 128
"""Most entries by which a draft's vocabulary may differ (common/speculative.cpp)."""


def lora_bytes(ask: Ask, where: Placement) -> tuple[int, ...]:
    """Adapters on each device.

    Raises:
        InputError: an adapter of another architecture, or for tensors that the model does not have.
    """
    held = [0] * len(where.devices)
    names = {t.name for t in ask.model.tensors}
    for adapter in ask.placing.lora:
        if adapter.architecture != ask.model.architecture:
            raise InputError(f"{adapter.name} is an adapter for {adapter.architecture}, not {ask.model.architecture}")
        for tensor in adapter.tensors:
            base = tensor.name.removesuffix(".lora_a").removesuffix(".lora_b")
            if names and base not in names:
                raise InputError(f"{adapter.name} changes {base}, which {ask.model.name} does not have")
            if (device := where.of(base, *role_of(base))) is not None:
                held[device] += tensor.bytes
    return tuple(held)


def check_draft(model: ModelSpec, draft: ModelSpec) -> None:
    """Refuse a draft that guesses other tokens than the model's.

    Raises:
        InputError: the vocabularies differ.
    """
    if abs(model.vocab - draft.vocab) > VOCABULARY_GAP:
        raise InputError(
            f"{draft.name} has {draft.vocab:,} tokens and {model.name} {model.vocab:,}; "
            f"a draft's vocabulary may differ by {VOCABULARY_GAP}"
        )


def predicts(ask: Ask) -> bool:
    """Whether the model's own prediction layers are to guess.

    Raises:
        InputError: they are, and there are none.
    """
    if ask.draft != MTP:
        return False
    if not any(_beyond(ask.model, g.layer) for g in ask.model.weights):
        raise InputError(f"{ask.model.name} has no layers that predict further tokens", "name a draft model instead.")
    return True


def prediction_weights(model: ModelSpec, where: Placement) -> tuple[int, ...]:
    """Weights of the prediction layers on each device."""
    held = [0] * len(where.devices)
    for group in model.weights:
        if _beyond(model, group.layer) and group.layer is not None:
            held[where.beyond[group.layer - model.layers]] += group.bytes
    return tuple(held)


def _beyond(model: ModelSpec, layer: int | None) -> bool:
    return layer is not None and layer >= model.layers


def names(adapters: tuple[Adapter, ...]) -> str:
    """Their names, for a reader."""
    return ", ".join(a.name for a in adapters)
