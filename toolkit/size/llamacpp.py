"""llama.cpp's memory: buffers per device, as its own log prints them.

    total = weights + KV cells + compute buffer + output buffer + context of the device

Cells: each of ``parallel`` streams gets ``pad256(context)`` cells. Where things lie is `llamacpp_placement`'s, compute
buffers are `llamacpp_compute`'s, drafts and adapters `llamacpp_beside`'s; `engine_exact` asks the engine itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from toolkit.errors import InputError
from toolkit.models import ggml
from toolkit.size import kv, llamacpp_beside, llamacpp_compute
from toolkit.size.ask import MTP, Ask, Device, Estimate, setting
from toolkit.size.llamacpp_build import CURRENT, Build, build
from toolkit.size.llamacpp_compute import Graph
from toolkit.size.llamacpp_placement import Placement, place, total_layers
from toolkit.size.search import largest
from toolkit.types import MIB, DevicePlan, LayerAttention, Line, ModelSpec, Setting

UBATCH = 512
"""Default ``--ubatch-size`` (common.h)."""

PAD = 256
"""Cells per stream are padded to this (llama-context.cpp ``GGML_PAD(n_ctx_seq, 256)``)."""

CUDA_CONTEXT = 300 * MIB
"""CUDA context per device, outside the logged buffers: 153 MiB (8 GB card) to 298 MiB (A40)."""

HOST_PROCESS = 32 * MIB
"""Program, libraries and vocabulary of the server process: 25 MiB of RSS beside the logged buffers on a CPU build."""

REPACKED = ("Q4_0", "Q4_K", "IQ4_NL", "MXFP4")
"""Types whose matrices a CPU with AVX2 holds a second time, in another order (ggml-cpu/repack.cpp). With a GPU they
are in its host buffers instead and stay as they are."""

ERROR_SHARE = 0.15
"""Error of the compute estimate; weights and KV cells are exact."""


@dataclass(frozen=True)
class Resolved:
    """Every setting of one llama-server start, defaults filled in."""

    context: int
    parallel: int
    ubatch: int
    kv_types: tuple[str, str]
    """GGML types of keys and values."""
    flash_attn: bool
    gpu_layers: int
    """Layers on GPUs, counted with the output layer: 0 … layers + 1."""
    build: Build = CURRENT
    unified: bool = False
    """One cache for all slots."""
    swa_full: bool = False

    @property
    def streams(self) -> int:
        """Caches beside one another."""
        return 1 if self.unified else self.parallel

    @property
    def kv_dtype(self) -> str:
        """As a user writes the types."""
        keys, values = (t.lower() for t in self.kv_types)
        return keys if keys == values else f"{keys}/{values}"


def resolve(ask: Ask) -> Resolved:
    """Fill in the engine's defaults.

    Raises:
        InputError: a quantized V cache without flash attention, or more layers than the model has.
    """
    gpus = [d for d in ask.devices if d.kind == "gpu"]
    most = total_layers(ask.model) + 1
    kv_types = kv.llamacpp_types(ask.kv_dtype or "f16")
    flash = ask.flash_attn != "off"
    if not flash and kv_types[1] not in ("F32", "F16", "BF16"):
        raise InputError(f"a {kv_types[1].lower()} KV cache needs flash attention, which is off")
    _check_blocks(ask.model, kv_types)
    if ask.gpu_layers is not None and ask.gpu_layers < 0:
        raise InputError(f"{ask.gpu_layers} layers cannot be on a GPU; 0 keeps all on the CPU")
    if ask.gpu_layers and not gpus:
        raise InputError(f"{ask.gpu_layers} layers cannot go to a GPU: none was given or found")
    return Resolved(
        context=ask.context or ask.model.max_context,
        parallel=ask.parallel or ask.concurrency,
        ubatch=ask.ubatch or UBATCH,
        kv_types=kv_types,
        flash_attn=flash,
        gpu_layers=min(ask.gpu_layers if ask.gpu_layers is not None else most, most) if gpus else 0,
        build=build(ask.engine_version),
        unified=ask.kv_unified,
        swa_full=ask.swa_full,
    )


@dataclass(frozen=True)
class Share:
    """What one device holds, in bytes."""

    weights: int
    kv: int
    state: int
    compute: int
    runtime: int
    draft: int = 0
    lora: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.state + self.compute + self.runtime + self.draft + self.lora


def held(ask: Ask, r: Resolved) -> list[Share]:
    """Bytes per device, with what is held beside the model.

    Raises:
        InputError: a split, a rule, a draft or an adapter that does not fit the model or the devices.
    """
    where = place(ask, r.gpu_layers)
    result = shares(ask.model, where, r)
    lora = llamacpp_beside.lora_bytes(ask, where)
    draft = _draft(ask, r, where)
    states = llamacpp_beside.GUESSED if llamacpp_beside.predicts(ask) else 0
    return [
        replace(share, lora=a, draft=d, state=share.state * (1 + states))
        for share, a, d in zip(result, lora, draft, strict=True)
    ]


def _draft(ask: Ask, r: Resolved, where: Placement) -> list[int]:
    """What guesses ahead, on each device: a second model with its context, or the model's own prediction layers."""
    beside = replace(r, kv_types=("F16", "F16"))
    if llamacpp_beside.predicts(ask):
        return _predicting(ask.model, beside, where)
    if not isinstance(ask.draft, ModelSpec):
        return [0] * len(where.devices)
    llamacpp_beside.check_draft(ask.model, ask.draft)
    own = Ask(ask.draft, ask.devices, ask.engine)
    settings = replace(beside, gpu_layers=resolve(own).gpu_layers)
    found = shares(ask.draft, place(own, settings.gpu_layers), settings)
    return [s.weights + s.kv + s.state + s.compute for s in found]


def _predicting(model: ModelSpec, r: Resolved, where: Placement) -> list[int]:
    """Prediction layers: their weights, a cache like the last attending layer's, and a compute buffer."""
    layer = next(a for a in reversed(model.attention) if a.kind != "none")
    cache = layer_cache(layer, r, cells_per_stream(r))
    compute = llamacpp_compute.alone(graph(model, r))
    weights = llamacpp_beside.prediction_weights(model, where)
    counts = [where.beyond.count(i) for i in range(len(where.devices))]
    return [w + n * cache + (compute if n else 0) for w, n in zip(weights, counts, strict=True)]


def shares(model: ModelSpec, where: Placement, r: Resolved) -> list[Share]:
    """Bytes per device, in the order given. A layer's cache lies where the layer does, whatever tensors moved."""
    cells = cells_per_stream(r)
    in_host = [layer_cache(model.attention[i], r, cells) for i in range(model.layers) if where.layers[i] == where.cpu]
    compute = llamacpp_compute.buffers(graph(model, r), where, max(in_host, default=0))
    result = []
    for index, device in enumerate(where.devices):
        layers = [i for i in range(model.layers) if where.layers[i] == index]
        result.append(
            Share(
                weights=where.weights[index],
                kv=sum(layer_cache(model.attention[i], r, cells) for i in layers),
                state=sum(state_bytes(model, i) for i in layers) * r.parallel,
                compute=compute[index],
                runtime=0
                if index in where.unused
                else runtime_bytes(model, device, r, has_output=index == where.output) + repacked_bytes(model, where),
            )
        )
    return result


def graph(model: ModelSpec, r: Resolved) -> Graph:
    """The graph of one ubatch under these settings."""
    cells = cells_per_stream(r)
    kinds = {layer.window: _cells_of(layer, r, cells) for layer in model.attention if layer.kind != "none"}
    seen = tuple(sorted(kinds.values())) or (cells,)
    return Graph(model, min(r.ubatch, cells * r.streams), seen, r.flash_attn, r.build, r.parallel, r.streams)


def cells_per_stream(r: Resolved) -> int:
    """KV cells of one stream; of a unified cache, those of all slots."""
    context = r.context * r.parallel if r.unified else r.context
    return -(-context // PAD) * PAD


def layer_cache(layer: LayerAttention, r: Resolved, cells: int) -> int:
    """Bytes of one layer's cache over all streams."""
    return row_bytes(layer, r) * _cells_of(layer, r, cells) * r.streams


def row_bytes(layer: LayerAttention, r: Resolved) -> int:
    """Bytes one token adds to one layer's cache; older builds keep an MLA layer's values too."""
    values = 0 if r.build.latent_only or layer.kind != "mla" else ggml.row_bytes(r.kv_types[1], layer.head_dim_v)
    return kv.row_bytes(layer, r.kv_types) + values


def state_bytes(model: ModelSpec, layer: int) -> int:
    """Recurrent state of one layer and sequence: convolution window and state matrix, both F32."""
    if not model.recurrent:
        return 0
    kept = model.recurrent[layer]
    return (kept.conv_elements + kept.state_elements) * 4


def _cells_of(layer: LayerAttention, r: Resolved, cells: int) -> int:
    """Cells of one stream in one layer. A sliding layer keeps the window of every slot in it, and one ubatch."""
    if layer.window is None or r.swa_full or not r.build.windows:
        return cells
    windows = layer.window * (r.parallel if r.unified else 1)
    return min(cells, -(-(windows + r.ubatch) // PAD) * PAD)


def runtime_bytes(model: ModelSpec, device: Device, r: Resolved, *, has_output: bool) -> int:
    """Output rows (one per stream), and the device's own context or the host process."""
    output = model.vocab * 4 * r.parallel if has_output else 0
    return output + (CUDA_CONTEXT if device.kind == "gpu" else HOST_PROCESS)


def repacked_bytes(model: ModelSpec, where: Placement) -> int:
    """Matrices that a machine without GPU holds a second time; known for files, whose types are."""
    if where.gpus:
        return 0
    return sum(t.bytes for t in model.tensors if t.dtype in REPACKED and t.name.startswith("blk."))


def error_bytes(share: Share, device: Device) -> int:
    """Half width of the error band: the compute estimate, and 32 MiB (CPU) or 160 MiB (GPU context) besides."""
    return int(share.compute * ERROR_SHARE) + (160 * MIB if device.kind == "gpu" else 32 * MIB)


def token_bytes(model: ModelSpec, r: Resolved) -> int:
    """KV bytes one token adds, all devices, while no window is full."""
    return sum(row_bytes(layer, r) for layer in model.attention)


def _check_blocks(model: ModelSpec, kv_types: tuple[str, str]) -> None:
    """Refuse a cache type whose blocks do not divide a head's row."""
    for layer in model.attention:
        for name, size in zip(kv_types, (layer.head_dim_k, layer.head_dim_v), strict=True):
            if size % (block := ggml.BLOCKS[name][0]):
                raise InputError(f"a {name.lower()} KV cache stores blocks of {block}; heads of {size} do not divide")


def estimate(ask: Ask) -> Estimate:
    """The whole picture: lines per device, what is reserved, the tightest device's margin."""
    r = resolve(ask)
    found = held(ask, r)
    plans = tuple(_device_plan(d, s, r, ask) for d, s in zip(ask.devices, found, strict=True))
    tightest = min(plans, key=lambda p: p.free_bytes)
    cells = cells_per_stream(r)
    return Estimate(
        devices=plans,
        kv_bytes_per_token=token_bytes(ask.model, r),
        kv_pool_bytes=max(s.kv for s in found),
        reserved_bytes=max(s.total for s in found),
        kv_pool_tokens=cells * r.streams,
        margin_bytes=tightest.free_bytes,
        error_bytes=tightest.error_bytes,
        inputs=_inputs(ask)
        | {
            "ubatch": setting(ask.ubatch, r.ubatch),
            "parallel": setting(ask.parallel, r.parallel),
            "kv_dtype": setting(ask.kv_dtype, r.kv_dtype),
            "flash_attn": setting(ask.flash_attn, "auto"),
            "gpu_layers": setting(ask.gpu_layers, r.gpu_layers),
        },
    )


def margin(ask: Ask) -> int:
    """Free bytes of the tightest device; negative when it does not fit."""
    return min(d.usable_bytes - s.total for d, s in zip(ask.devices, held(ask, resolve(ask)), strict=True))


MOST_SLOTS = 65_536
"""Where the search for users stops."""


def most_sequences(ask: Ask) -> int:
    """As many slots as fit at the asked context; 0 = none."""
    return largest(lambda slots: margin(ask.with_(parallel=slots)) >= 0, MOST_SLOTS)


def release(ask: Ask) -> str | None:
    """The build that is sized, where one is named."""
    return ask.engine_version


def changes(ask: Ask) -> list[tuple[str, Ask]]:
    """The one setting that saves memory: a smaller cache type, where it can be had and the user fixed none."""
    divides = all(a.head_dim_k % ggml.BLOCKS["Q8_0"][0] == 0 for a in ask.model.attention)
    if ask.kv_dtype is not None or ask.flash_attn == "off" or not divides:
        return []
    return [("KV cache in q8_0 (quality to be checked)", ask.with_(kv_dtype="q8_0"))]


def _inputs(ask: Ask) -> dict[str, Setting]:
    """Where things were put and what is loaded beside; only what was asked for."""
    p = ask.placing
    draft = ask.draft.path if isinstance(ask.draft, ModelSpec) else ask.draft
    given = {
        "n_cpu_moe": p.n_cpu_moe,
        "override_tensor": list(p.override_tensor) or None,
        "tensor_split": p.tensor_split and [f"{part:g}" for part in p.tensor_split],
        "split_mode": p.split_mode,
        "main_gpu": p.main_gpu,
        "lora": [a.path for a in p.lora] or None,
        "draft": draft,
        "kv_unified": ask.kv_unified or None,
        "swa_full": ask.swa_full or None,
    }
    return {name: Setting(value=value, origin="user") for name, value in given.items() if value is not None}


def _device_plan(device: Device, share: Share, r: Resolved, ask: Ask) -> DevicePlan:
    lines = [line for line in _lines(device, share, r, ask) if line.bytes or line.what not in BESIDE]
    return DevicePlan(
        name=device.name,
        usable_bytes=device.usable_bytes,
        lines=tuple(lines),
        total_bytes=share.total,
        free_bytes=device.usable_bytes - share.total,
        error_bytes=error_bytes(share, device),
    )


BESIDE = ("state", "draft", "lora")
"""Lines that are left out where they are empty."""


def _lines(device: Device, share: Share, r: Resolved, ask: Ask) -> tuple[Line, ...]:
    flash = "with" if r.flash_attn else "without"
    basis = ask.model.weights_basis
    table = "tensor table of the file" if basis == "engine" else "the quantizer's rules for every tensor"
    moved = " and by rule" if ask.placing.override_tensor or ask.placing.n_cpu_moe else ""
    streams = f"{r.streams} streams × {cells_per_stream(r):,} cells, {r.kv_dtype}"
    buffer = f"compute buffer at ubatch {r.ubatch}, {flash} flash attention (±{ERROR_SHARE:.0%})"
    states = f"{r.parallel} sequences, F32; does not grow with context"
    guesses = "its own prediction layers and their cache" if ask.draft == MTP else "a second model with its own context"
    return (
        Line(what="weights", bytes=share.weights, basis=basis, how=f"{table}, placed by layer{moved}"),
        Line(what="kv_cache", bytes=share.kv, basis="computed", how=streams),
        Line(what="activations", bytes=share.compute, basis="computed", how=buffer),
        Line(what="runtime", bytes=share.runtime, basis="assumed", how=_runtime(device, ask)),
        Line(what="state", bytes=share.state, basis="computed", how=states),
        Line(what="draft", bytes=share.draft, basis="computed", how=guesses),
        Line(what="lora", bytes=share.lora, basis="engine", how=f"adapters {llamacpp_beside.names(ask.placing.lora)}"),
    )


def _runtime(device: Device, ask: Ask) -> str:
    if device.kind == "gpu":
        return "output rows + CUDA context"
    again = sum(t.bytes for t in ask.model.tensors if t.dtype in REPACKED and t.name.startswith("blk."))
    alone = all(d.kind == "cpu" for d in ask.devices)
    return "output rows + the server process" + (" + matrices repacked for the processor" if again and alone else "")
