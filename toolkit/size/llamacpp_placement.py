"""Which device holds what under llama.cpp: layers by split, single tensors by rule.

Layers are dealt as `llama_model::load_tensors` does it: the last ``gpu_layers`` go to the GPUs, layer *n* of them to
the first device whose cumulated share exceeds *n* / ``gpu_layers``; the rest, and the input embedding, stay in host
memory. The output counts as the last layer; up to the end of 2025 it went to a GPU only after all of them. Rules move
single tensors and nothing else: a layer's cache stays on its device. The first rule that matches a tensor's name
decides.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

from toolkit.errors import InputError
from toolkit.models.gguf_spec import role_of
from toolkit.size.ask import Ask, Device, Placing, Same
from toolkit.size.llamacpp_build import build
from toolkit.types import ModelSpec, Role

DEVICE = re.compile(r"^[A-Za-z]+(\d+)$")
"""A GPU as the engine names it, e.g. ``CUDA0``, ``ROCm1``, ``Vulkan0``."""


@dataclass(frozen=True)
class Rule:
    """Tensors whose name the pattern is found in go to one device (an index into the devices)."""

    pattern: str
    device: int

    def holds(self, name: str) -> bool:
        """Whether it decides about that tensor."""
        return re.search(self.pattern, name) is not None


@dataclass(frozen=True)
class Placement:
    """Where everything is: the device of each layer and, last, of the output; exceptions by name and by expert."""

    devices: tuple[Device, ...]
    layers: tuple[int, ...]
    rules: tuple[Rule, ...] = ()
    cpu_experts: int = 0
    """Experts of the first so many layers are in host memory."""
    beyond: tuple[int, ...] = ()
    """Devices of the layers that predict further tokens."""
    weights: tuple[int, ...] = ()
    """Bytes of weights on each device."""
    in_host: tuple[int, bool] = (0, False)
    """The largest matrix of a layer in host memory, bytes; and whether it is an expert's."""
    unused: tuple[int, ...] = ()
    """GPUs that the engine does not open, because nothing is split."""

    @property
    def cpu(self) -> int | None:
        """Index of the host's memory; None when the devices are GPUs only."""
        return next((i for i, d in enumerate(self.devices) if d.kind == "cpu"), None)

    @property
    def gpus(self) -> list[int]:
        """Indices of the GPUs."""
        return [i for i, d in enumerate(self.devices) if d.kind == "gpu"]

    @property
    def output(self) -> int:
        """Device of the output layer."""
        return self.layers[-1]

    @property
    def pipelined(self) -> bool:
        """Whether the scheduler keeps four copies of every input (`llama_context`, ``pipeline_parallel``).

        It does with several GPUs that hold all layers, and no exception for any tensor.
        """
        return len(self.gpus) > 1 and set(self.layers) <= set(self.gpus) and not self.rules and not self.cpu_experts

    def of(self, name: str, role: Role, layer: int | None) -> int | None:
        """Device of a tensor; None for one in host memory where the host is no device of the plan."""
        for rule in self.rules:
            if rule.holds(name):
                return rule.device
        if role == "experts" and layer is not None and layer < self.cpu_experts:
            return self.cpu
        if layer is not None:
            return self.layers[layer]
        return self.cpu if role == "embedding" else self.output


def place(ask: Ask, gpu_layers: int) -> Placement:
    """Deal out the layers and read the rules.

    Raises:
        InputError: a split, a rule or a main device that does not fit the devices.
    """
    first = build(ask.engine_version).output_first
    return _place(Same(ask.model), ask.devices, replace(ask.placing, lora=()), gpu_layers, output_first=first)


@lru_cache(maxsize=256)
def _place(
    key: Same, devices: tuple[Device, ...], placing: Placing, gpu_layers: int, *, output_first: bool
) -> Placement:
    """Kept, because the searches for users and contexts ask the same hundreds of times."""
    model = key.model
    gpus = [i for i, d in enumerate(devices) if d.kind == "gpu"]
    cpu = next((i for i, d in enumerate(devices) if d.kind == "cpu"), None)
    if not gpus and (placing.tensor_split or placing.split_mode or placing.main_gpu is not None):
        raise InputError("there is no GPU to split the model over", "name GPUs, or leave the split out.")
    count = total_layers(model) + 1
    start = max(0, count - gpu_layers - (not output_first)) if gpus else count
    host = cpu if cpu is not None else 0
    layers = [host] * count
    if gpus:
        parts = _parts(placing, [devices[i].usable_bytes for i in gpus])
        ends = [end / sum(parts) for end in accumulate(parts)]
        for n in range(min(gpu_layers, count - start)):
            layers[start + n] = gpus[bisect_right(ends, n / gpu_layers)]
    where = Placement(
        devices=devices,
        layers=(*layers[: model.layers], layers[-1]),
        beyond=tuple(layers[model.layers : -1]),
        rules=tuple(_rules(model, placing, cpu, gpus)),
        cpu_experts=_cpu_experts(model, placing),
        unused=tuple(g for g in gpus if g != gpus[placing.main_gpu or 0]) if placing.split_mode == "none" else (),
    )
    return replace(where, weights=weights(model, where), in_host=largest_in_host(model, where))


def total_layers(model: ModelSpec) -> int:
    """Layers as llama.cpp counts them when it deals them out: with the ones that predict further tokens."""
    return max([model.layers, *(g.layer + 1 for g in model.weights if g.layer is not None)])


def _parts(placing: Placing, memory: list[int]) -> list[float]:
    """What part of the layers each GPU gets: as given, the main one only, or by memory.

    Raises:
        InputError: a main GPU or a number of shares that does not fit the GPUs, or the one contradicts the other.
    """
    count, main, given = len(memory), placing.main_gpu, placing.tensor_split
    if main is not None and not 0 <= main < count:
        raise InputError(f"the main GPU is number {main}; there are {count}, counted from 0")
    if placing.split_mode == "none":
        if given is not None:
            raise InputError("nothing is to be split, and shares of a split were given", "leave one of them out.")
        return [float(n == (main or 0)) for n in range(count)]
    if main:
        raise InputError("a main GPU counts only when nothing is split", "ask for the split mode none.")
    if given is None:
        return [float(size) for size in memory]
    if len(given) != count:
        raise InputError(
            f"a split in {len(given)} parts for {count} GPUs", "give one number a GPU, in the order of the GPUs."
        )
    if any(not 0 <= part < 1e9 for part in given) or sum(given) == 0:
        raise InputError("the parts of a split are shares, such as 3 and 1; none is negative, and not all are 0")
    return list(given)


def _cpu_experts(model: ModelSpec, placing: Placing) -> int:
    wanted = placing.n_cpu_moe or 0
    if wanted < 0:
        raise InputError(f"experts of {wanted} layers cannot be on the CPU")
    if wanted and not any(g.role == "experts" for g in model.weights):
        raise InputError(f"{model.name} has no experts to keep on the CPU; it is a dense model")
    return min(wanted, model.layers)


def _rules(model: ModelSpec, placing: Placing, cpu: int | None, gpus: list[int]) -> Iterator[Rule]:
    """Rules of ``pattern=device``, several in one text when parted by commas, as the engine reads them."""
    for text in (part for given in placing.override_tensor for part in given.split(",")):
        pattern, equals, name = text.rpartition("=")
        if not equals or not pattern:
            raise InputError(f"{text!r} does not say where tensors go", "write PATTERN=DEVICE, e.g. ffn_.*_exps=CPU.")
        if not model.tensors:
            raise InputError(
                "a rule for tensors needs their names, which a GGUF file has", "give the file, or its place on the hub."
            )
        try:
            found = re.compile(pattern)
        except re.error as error:
            raise InputError(f"{pattern!r} is no regular expression: {error}") from None
        if not any(found.search(t.name) for t in model.tensors):
            raise InputError(
                f"no tensor of {model.name} has {pattern!r} in its name", f"one is called {model.tensors[-1].name}."
            )
        yield Rule(pattern, _device(name, cpu, gpus))


def _device(name: str, cpu: int | None, gpus: list[int]) -> int:
    match = DEVICE.match(name)
    if name == "CPU" and cpu is not None:
        return cpu
    if match and int(match[1]) < len(gpus):
        return gpus[int(match[1])]
    known = [*(f"CUDA{n}" for n in range(len(gpus))), *(["CPU"] if cpu is not None else [])]
    others = " (or ROCm0, Vulkan0, … likewise)" if gpus else ""
    raise InputError(f"{name!r} is no device of this plan", f"it has {', '.join(known)}{others}.")


@dataclass(frozen=True)
class Piece:
    """Some weights that are placed together."""

    name: str
    role: Role
    layer: int | None
    bytes: int
    parts: int = 1
    """Tensors in it, about equal."""


PARTS: dict[str, int] = {"experts": 3, "mlp": 3, "attention": 4}
"""Matrices of one role in one layer: gate, up and down; queries, keys, values and output."""


def pieces(model: ModelSpec, *, by_name: bool) -> Iterator[Piece]:
    """The weights that are loaded: tensor by tensor where names decide. Not those that predict further tokens."""
    if model.tensors and by_name:
        for t in model.tensors:
            role, layer = role_of(t.name)
            if layer is None or layer < model.layers:
                yield Piece(t.name, role, layer, t.bytes)
        return
    for g in model.weights:
        if g.layer is None or g.layer < model.layers:
            yield Piece("", g.role, g.layer, g.bytes, PARTS.get(g.role, 1))


def weights(model: ModelSpec, where: Placement) -> tuple[int, ...]:
    """Bytes of weights on each device. With tied embeddings, an output on a GPU keeps a copy of its own."""
    held = [0] * len(where.devices)
    for piece in pieces(model, by_name=bool(where.rules)):
        device = where.of(piece.name, piece.role, piece.layer)
        if device is not None:
            held[device] += piece.bytes
        if piece.role == "embedding" and model.tied_embeddings and where.output != device:
            held[where.output] += piece.bytes
    return tuple(held)


def largest_in_host(model: ModelSpec, where: Placement) -> tuple[int, bool]:
    """The largest matrix of a layer that host memory holds, bytes; and whether it is an expert's."""
    best, expert = 0, False
    for piece in pieces(model, by_name=bool(where.rules)):
        here = where.of(piece.name, piece.role, piece.layer) in (where.cpu, None)
        if here and piece.layer is not None and piece.bytes // piece.parts > best:
            best, expert = piece.bytes // piece.parts, piece.role == "experts"
    return best, expert
