"""What `predict` and `recommend` share: from names to the facts that speed is predicted from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from toolkit.errors import InputError, SelfhostError

if TYPE_CHECKING:
    from toolkit.predict.facts import ModelFacts
    from toolkit.types import Gpu

SUFFIX = re.compile(r"-(instruct|hf|nvfp4|fp8|awq|dynamic|base|chat|2507|0528|v0\.\d)\b", re.IGNORECASE)
"""What published names add to a model's own: its tuning or its weight format."""


def model_facts(name: str) -> ModelFacts | None:
    """The facts of the profile a published name means; None where no profile has that model.

    A name that fits no profile, or fits several, is looked up once more without what publishers append to it.
    """
    from toolkit.models.resolve import resolve
    from toolkit.predict import facts

    for spelling in dict.fromkeys((name, SUFFIX.sub("", name))):
        if spelling.endswith((".gguf", ".part")) or spelling.startswith((".", "/", "~")):
            return None
        try:
            return facts.of_spec(resolve(spelling))
        except SelfhostError:
            continue
    return None


def facts_and_quant(target: str, quant: str | None) -> tuple[ModelFacts, str]:
    """Facts and weight format of a model the user names, as `size` reads it; ``quant`` imagines another format.

    Raises:
        InputError: not a model, or a format that a file does not have.
    """
    from toolkit.models.resolve import resolve
    from toolkit.predict import facts

    spec = resolve(target)
    if quant and spec.source == "gguf" and quant.lower() != spec.quant.lower():
        raise InputError(f"{target} is {spec.quant}; a GGUF file has one format, not {quant}")
    return facts.of_spec(spec), quant or spec.quant


def device(
    gpu: str | None,
    bandwidth_gbs: float | None,
    fp16_tflops: float | None,
    vram_gib: float | None,
    link_gbs: float | None,
) -> tuple[Gpu, int]:
    """A device on record, or one described by four numbers, and how many.

    Raises:
        InputError: no device, an unknown one, some numbers missing or making no sense.
    """
    numbers = (bandwidth_gbs, fp16_tflops, vram_gib, link_gbs)
    from toolkit.cli.devices import split

    name, count = split(gpu) if gpu else ("described", 1)
    if all(number is None for number in numbers):
        if not gpu:
            raise InputError("no device is named", f"name one, e.g. --gpu L4, or {FOUR_NUMBERS}")
        return _on_record(name), count
    if bandwidth_gbs is None or fp16_tflops is None or vram_gib is None:
        raise InputError("a described device needs its bandwidth, FP16 rate and memory", FOUR_NUMBERS)
    for number in numbers:
        if number is not None and not 0 < number < 1e6:
            raise InputError(f"{number:g} makes no sense as a property of a device")
    return _described(name, bandwidth_gbs, fp16_tflops, vram_gib, link_gbs), count


def this_machine(*other: object) -> tuple[Gpu, int]:
    """This machine's GPUs of one kind, as many as there are, or its processor.

    Raises:
        InputError: another device is named as well, or this one's speed cannot be judged.
    """
    from toolkit.predict import here

    if any(value is not None for value in other):
        raise InputError("two devices are named: this machine, and another", "leave one out.")
    found = next((f for f in here.gpus() if f.gpu is not None), None) or here.processor()
    if found.gpu is None:
        raise InputError(f"the speed of {found.name} cannot be judged: {found.why_not}", FOUR_NUMBERS)
    return found.gpu, found.count


FOUR_NUMBERS = "describe it: --bandwidth-gbs, --fp16-tflops, --vram-gib, and --link-gbs when there are several."


def _on_record(name: str) -> Gpu:
    from toolkit import profiles
    from toolkit.errors import UnknownNameError

    try:
        return profiles.gpu(name)
    except UnknownNameError as error:
        error.hint = " ".join(part for part in (error.hint, f"Or {FOUR_NUMBERS}") if part)
        raise


def _described(name: str, bandwidth: float, fp16: float, vram: float, link: float | None) -> Gpu:
    from datetime import date

    from toolkit.types import Gpu

    kind = "datacenter" if bandwidth > 1300 else "consumer"
    return Gpu.model_validate(
        {
            "name": "".join(c for c in name if c.isalnum() or c in "+.-") or "described",
            "vendor": "",
            "arch": "described",
            "device_class": kind,
            "vram_gib": vram,
            "mem_bw_gbs": bandwidth,
            "fp16_tflops": fp16,
            "interconnect": "NVLink (as given)" if (link or 0) >= 300 else None,
            "interconnect_gbs_bidir": link,
            "source": "four numbers given by the user",
            "checked": date.today(),
        }
    )
