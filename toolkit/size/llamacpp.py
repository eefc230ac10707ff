"""llama.cpp's memory: buffers per device, as its own log prints them.

    total = weights + KV cells + compute buffer + output buffer + context of the device

Cells: each of ``parallel`` streams gets ``pad256(context)`` cells. Compute buffers are those of builds since mid-2026,
which reserve one output row per sequence; `engine_exact` asks the engine itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.errors import InputError
from toolkit.models import ggml
from toolkit.size import kv
from toolkit.size.ask import Ask, Device, Estimate, setting
from toolkit.types import MIB, Basis, DevicePlan, LayerAttention, Line, ModelSpec

UBATCH = 512
"""Default ``--ubatch-size`` (common.h)."""

PAD = 256
"""Cells per stream are padded to this (llama-context.cpp ``GGML_PAD(n_ctx_seq, 256)``)."""

CUDA_CONTEXT = 300 * MIB
"""CUDA context per device, outside the logged buffers: 153 MiB (8 GB card) to 298 MiB (A40)."""

HOST_PROCESS = 32 * MIB
"""Program, libraries and vocabulary of the server process: 25 MiB of RSS beside the logged buffers on a CPU build."""

ERROR_SHARE = 0.15
"""Error of the compute estimate; weights and KV cells are exact."""


@dataclass(frozen=True)
class Resolved:
    """Every setting of one llama-server start, defaults filled in."""

    context: int
    parallel: int
    ubatch: int
    kv_type: str
    flash_attn: bool
    gpu_layers: int
    """Layers on GPUs, counted with the output layer: 0 … layers + 1."""


def resolve(ask: Ask) -> Resolved:
    """Fill in the engine's defaults.

    Raises:
        InputError: a quantized V cache without flash attention, or more layers than the model has.
    """
    gpus = [d for d in ask.devices if d.kind == "gpu"]
    most = ask.model.layers + 1
    kv_type = kv.llamacpp_type(ask.kv_dtype or "f16")
    flash = ask.flash_attn != "off"
    if not flash and kv_type not in ("F32", "F16", "BF16"):
        raise InputError(f"a {kv_type.lower()} KV cache needs flash attention, which is off")
    _check_blocks(ask.model, kv_type)
    if ask.gpu_layers and not gpus:
        raise InputError(f"{ask.gpu_layers} layers cannot go to a GPU: none was given or found")
    return Resolved(
        context=ask.context or ask.model.max_context,
        parallel=ask.parallel or ask.concurrency,
        ubatch=ask.ubatch or UBATCH,
        kv_type=kv_type,
        flash_attn=flash,
        gpu_layers=min(ask.gpu_layers if ask.gpu_layers is not None else most, most) if gpus else 0,
    )


@dataclass(frozen=True)
class Share:
    """What one device holds, in bytes."""

    weights: int
    kv: int
    state: int
    compute: int
    runtime: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.state + self.compute + self.runtime


def shares(model: ModelSpec, devices: tuple[Device, ...], r: Resolved) -> list[Share]:
    """Bytes per device, in the order given. Layers go to the GPUs from the last one down, the rest to the CPU."""
    places = placement(model, devices, r)
    cells = cells_per_stream(r)
    compute = compute_bytes(model, r, cells)
    output_at = places[model.layers]
    result = []
    for index, device in enumerate(devices):
        layers = {i for i in range(model.layers) if places[i] == index}
        weights = layer_bytes(model, layers) + outer_bytes(model, device, has_output=index == output_at)
        result.append(
            Share(
                weights=weights,
                kv=sum(layer_cache(model.attention[i], r, cells) for i in layers),
                state=sum(state_bytes(model, i) for i in layers) * r.parallel,
                compute=compute if layers or index == output_at else 0,
                runtime=runtime_bytes(model, device, r, has_output=index == output_at),
            )
        )
    return result


def placement(model: ModelSpec, devices: tuple[Device, ...], r: Resolved) -> list[int]:
    """Device index of every layer and, last, of the output layer.

    The last ``gpu_layers`` go to GPUs, dealt by free memory (llama.cpp's default split); others to the CPU, which
    is the last device when there is one.
    """
    cpu = next((i for i, d in enumerate(devices) if d.kind == "cpu"), 0)
    gpus = [i for i, d in enumerate(devices) if d.kind == "gpu"]
    count = model.layers + 1
    on_cpu = count - r.gpu_layers if gpus else count
    places = [cpu] * on_cpu
    if gpus:
        total = sum(devices[i].usable_bytes for i in gpus)
        dealt = 0.0
        for i in gpus:
            dealt += devices[i].usable_bytes / total
            places += [i] * (min(count, on_cpu + round(r.gpu_layers * dealt)) - len(places))
        places += [gpus[-1]] * (count - len(places))
    return places


def layer_bytes(model: ModelSpec, layers: set[int]) -> int:
    """Weights of some layers."""
    return sum(g.bytes for g in model.weights if g.layer is not None and g.layer in layers)


def outer_bytes(model: ModelSpec, device: Device, *, has_output: bool) -> int:
    """Weights outside the layers on one device.

    The input embedding stays in host memory; with tied embeddings an output device that is a GPU keeps a copy.
    """
    outer = [g for g in model.weights if g.layer is None]
    embedding = sum(g.bytes for g in outer if g.role == "embedding")
    total = embedding if device.kind == "cpu" else 0
    if has_output:
        total += sum(g.bytes for g in outer if g.role != "embedding")
        total += embedding if model.tied_embeddings and device.kind == "gpu" else 0
    return total


def cells_per_stream(r: Resolved) -> int:
    """KV cells of one stream."""
    return -(-r.context // PAD) * PAD


def layer_cache(layer: LayerAttention, r: Resolved, cells: int) -> int:
    """Bytes of one layer's cache over all streams."""
    return kv.row_bytes(layer, r.kv_type) * _cells_of(layer, r, cells) * r.parallel


def state_bytes(model: ModelSpec, layer: int) -> int:
    """Recurrent state of one layer and sequence: convolution window and state matrix, both F32."""
    if not model.recurrent:
        return 0
    kept = model.recurrent[layer]
    return (kept.conv_elements + kept.state_elements) * 4


def compute_bytes(model: ModelSpec, r: Resolved, cells: int) -> int:
    """Compute buffer of a device that runs layers: the widest moment of the graph, and the attention masks.

    The graph allocator's peak is the MLP (three inner rows live at once, beside the residual, its norm and the
    input) or the attention (queries, keys, values and, without flash attention, the score matrix). The coefficients
    were fitted on the engine's own planner over 240 synthetic models of 6 architectures; the mean error there is
    about 4 %, and the error band covers the rest.
    """
    tokens = min(r.ubatch, cells * r.parallel)
    seen = {_cells_of(layer, r, cells) for layer in model.attention if layer.kind != "none"} or {cells}
    attends = max(_attention_row(model, layer) for layer in model.attention)
    scores = 0 if r.flash_attn else max(seen) * model.heads
    peak = max(_mlp_row(model), attends + scores)
    masks = (cells if cells in seen else 0) + (min(seen) if min(seen) != cells else 0)
    return tokens * (peak * 4 + masks * (2 if r.flash_attn else 4))


def _attention_row(model: ModelSpec, layer: LayerAttention) -> int:
    """Elements a token holds while its layer attends: 3 × hidden + 2 × queries + 2 × keys."""
    queries = model.heads * (layer.head_dim_k or layer.latent_dim)
    return 3 * model.hidden + 2 * queries + 2 * layer.kv_heads * layer.head_dim_k


def _mlp_row(model: ModelSpec) -> int:
    """Elements a token holds inside the widest MLP; of experts, every active one counts."""
    layer = model.attention[0]
    beside = 3 * model.hidden + model.heads * layer.head_dim_k
    inner = model.experts_per_token * model.moe_intermediate
    routed = max(3 * inner, 2 * inner + model.experts_per_token * model.hidden)
    return beside + (routed if inner else 3 * model.intermediate)


def _cells_of(layer: LayerAttention, r: Resolved, cells: int) -> int:
    """Cells of one stream in one layer. A sliding layer keeps its window and one ubatch."""
    if layer.window is None:
        return cells
    return min(cells, -(-(layer.window + r.ubatch) // PAD) * PAD)


def runtime_bytes(model: ModelSpec, device: Device, r: Resolved, *, has_output: bool) -> int:
    """Output rows (one per stream), and the device's own context or the host process."""
    output = model.vocab * 4 * r.parallel if has_output else 0
    return output + (CUDA_CONTEXT if device.kind == "gpu" else HOST_PROCESS)


def error_bytes(share: Share, device: Device) -> int:
    """Half width of the error band: the compute estimate, and 32 MiB (CPU) or 160 MiB (GPU context) besides."""
    return int(share.compute * ERROR_SHARE) + (160 * MIB if device.kind == "gpu" else 32 * MIB)


def token_bytes(model: ModelSpec, r: Resolved) -> int:
    """KV bytes one token adds, all devices, while no window is full."""
    return sum(kv.row_bytes(layer, r.kv_type) for layer in model.attention)


def _check_blocks(model: ModelSpec, kv_type: str) -> None:
    """Refuse a cache type whose blocks do not divide a head's row."""
    block = ggml.BLOCKS[kv_type][0]
    for layer in model.attention:
        if layer.head_dim_k % block or layer.head_dim_v % block:
            raise InputError(
                f"a {kv_type.lower()} KV cache stores blocks of {block}; heads of {layer.head_dim_k} do not divide"
            )


def estimate(ask: Ask) -> Estimate:
    """The whole picture: lines per device, what is reserved, the tightest device's margin."""
    r = resolve(ask)
    held = shares(ask.model, ask.devices, r)
    plans = tuple(_device_plan(d, s, r, ask.model.weights_basis) for d, s in zip(ask.devices, held, strict=True))
    tightest = min(plans, key=lambda p: p.free_bytes)
    cells = cells_per_stream(r)
    return Estimate(
        devices=plans,
        kv_bytes_per_token=token_bytes(ask.model, r),
        kv_pool_bytes=max(s.kv for s in held),
        reserved_bytes=max(s.total for s in held),
        kv_pool_tokens=cells * r.parallel,
        margin_bytes=tightest.free_bytes,
        error_bytes=tightest.error_bytes,
        inputs={
            "ubatch": setting(ask.ubatch, r.ubatch),
            "parallel": setting(ask.parallel, r.parallel),
            "kv_dtype": setting(ask.kv_dtype, r.kv_type.lower()),
            "flash_attn": setting(ask.flash_attn, "auto"),
            "gpu_layers": setting(ask.gpu_layers, r.gpu_layers),
        },
    )


def margin(ask: Ask) -> int:
    """Free bytes of the tightest device; negative when it does not fit."""
    held = shares(ask.model, ask.devices, resolve(ask))
    return min(d.usable_bytes - s.total for d, s in zip(ask.devices, held, strict=True))


def _device_plan(device: Device, share: Share, r: Resolved, basis: Basis) -> DevicePlan:
    flash = "with" if r.flash_attn else "without"
    table = "tensor table of the file" if basis == "engine" else "the quantizer's rules for every tensor"
    lines = [
        Line(what="weights", bytes=share.weights, basis=basis, how=f"{table}, placed by layer"),
        Line(
            what="kv_cache",
            bytes=share.kv,
            basis="computed",
            how=f"{r.parallel} streams × {cells_per_stream(r):,} cells, {r.kv_type.lower()}",
        ),
        Line(
            what="activations",
            bytes=share.compute,
            basis="computed",
            how=f"compute buffer at ubatch {r.ubatch}, {flash} flash attention (±{ERROR_SHARE:.0%})",
        ),
        Line(
            what="runtime",
            bytes=share.runtime,
            basis="assumed",
            how="output rows + " + ("CUDA context" if device.kind == "gpu" else "the server process"),
        ),
    ]
    if share.state:
        how = f"{r.parallel} sequences, F32; does not grow with context"
        lines.append(Line(what="state", bytes=share.state, basis="computed", how=how))
    return DevicePlan(
        name=device.name,
        usable_bytes=device.usable_bytes,
        lines=tuple(lines),
        total_bytes=share.total,
        free_bytes=device.usable_bytes - share.total,
        error_bytes=error_bytes(share, device),
    )
