"""How a user's devices are shared out, and whether the weights have a place at all."""

from __future__ import annotations

from toolkit.errors import DeclinedError, InputError
from toolkit.predict import physics
from toolkit.predict.facts import ModelFacts
from toolkit.predict.formats import Format
from toolkit.predict.hardware import DeviceFacts, EngineFacts
from toolkit.predict.physics import Question
from toolkit.types import GIB

WEIGHTS_SHARE = 0.97
"""Of the devices' memory: with more than this in weights no engine starts."""


def check_weights(model: ModelFacts, fmt: Format, device: DeviceFacts, devices: int, share: float) -> None:
    """Weights of more than that share of the devices' memory are not answered.

    Raises:
        DeclinedError: they are; says both sizes.
    """
    weights, room = model.all_bytes(fmt), devices * device.memory_bytes
    if weights > share * room:
        raise DeclinedError(
            f"{model.name} in {fmt.name} has {weights / GIB:.1f} GiB of weights, and {devices} × {device.name}"
            f" hold {room / GIB:.1f} GiB",
            "take more devices, a smaller weight format, or `selfhost recommend`.",
        )


def question(
    model: ModelFacts,
    fmt: Format,
    device: DeviceFacts,
    engine: EngineFacts,
    count: int,
    *,
    tp: int | None = None,
    input_len: int,
    output_len: int,
    concurrency: int | None,
) -> Question:
    """The question for ``count`` devices: llama.cpp deals out layers, servers share each of them.

    With fewer ``tp`` ranks than devices the rest serve copies of the model.

    Raises:
        InputError: ranks that do not divide the devices.
        DeclinedError: the weights alone do not fit, or one request does not.
    """
    layered = engine.family in ("llama.cpp", "exllama")
    ranks = tp or (1 if layered else count)
    if ranks < 1 or count % ranks:
        raise InputError(f"{count} devices cannot be shared by {ranks} tensor-parallel ranks")
    stages = count // ranks if layered else 1
    copies = count // (ranks * stages)
    check_weights(model, fmt, device, ranks * stages, WEIGHTS_SHARE)
    asked = Question(model, fmt, device, engine, ranks, stages, copies, input_len, output_len, concurrency)
    one, left = physics.cache_bytes(asked, output_len), physics.room(asked, WEIGHTS_SHARE)
    if one > left:
        raise DeclinedError(
            f"one request of {input_len + output_len:,} tokens needs {one / GIB:.1f} GiB of cache, and {left / GIB:.1f}"
            f" GiB are left beside the weights on {ranks * stages} × {device.name}",
            "take more devices, a smaller weight format, or shorter requests.",
        )
    return asked
