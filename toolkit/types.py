"""The nouns of the pipeline, as frozen pydantic models.

`ModelSpec + Workload + Gpu → MemoryPlan → LaunchPlan → Deployment → BenchResult → CostReport`. Everything that
crosses a stage, and everything `--json` prints, is one of these. Units are in the names: ``_bytes`` (int),
``_gib`` (2^30 bytes), ``_s`` (seconds), ``usd_`` (Decimal dollars), ``_tok_s`` (tokens per second).
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

SCHEMA_VERSION = 1
GIB = 2**30
MIB = 2**20

Basis = Literal["measured", "engine", "computed", "priced", "assumed"]
"""Where a number comes from: our own measurement, the engine's log, arithmetic, a dated price list, a guess."""

Certainty = Literal["sure", "likely", "close", "no"]


def _no_float(value: object) -> object:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return Decimal(str(value)) if number else value


Money = Annotated[
    Decimal,
    BeforeValidator(_no_float),
    PlainSerializer(float, return_type=float, when_used="json"),
]
"""Dollars as Decimal; a JSON number when printed. A float is read through its shortest decimal text."""


class Frozen(BaseModel):
    """Base of every record: immutable, no unknown keys, no NaN or infinity.

    Validators are built on first use: most commands touch a few of these types.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, defer_build=True)


class Document(Frozen):
    """A stage's JSON document; ``kind`` says which."""

    schema_version: int = SCHEMA_VERSION


class Sourced(Frozen):
    """A fact with its origin: who says so (a URL, a file, a log) and the day it was read."""

    source: str = Field(min_length=3)
    checked: date


# --- profiles: what we know ---------------------------------------------------------------------------------


class Gpu(Sourced):
    """One accelerator, or one CPU machine seen as one. Rates are per device, dense (no sparsity).

    ``name`` is the canonical id. ``fp16_basis`` says how the FP16 rate was obtained; GeForce figures are the
    FP32-accumulate rate.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9+.\-]+$")
    aliases: tuple[str, ...] = ()
    vendor: str
    arch: str
    device_class: Literal["datacenter", "workstation", "consumer", "apple", "cpu"]
    vram_gib: float | None = Field(default=None, gt=0)
    """Memory on the label, as if it were GiB. None for a CPU: that is a property of the machine."""
    visible_gib: float | None = Field(default=None, gt=0)
    """Physical memory an engine is shown on this device, GiB, read from logs; a little below the label."""
    visible_source: str | None = None
    mem_bw_gbs: float | None = Field(default=None, gt=0)
    """GB/s (10^9). None where no source states it."""
    fp16_tflops: float | None = Field(default=None, gt=0)
    fp16_basis: str | None = None
    fp8_tflops: float | None = Field(default=None, gt=0)
    int8_tops: float | None = Field(default=None, gt=0)
    fp4_tflops: float | None = Field(default=None, gt=0)
    tdp_w: float | None = Field(default=None, gt=0)
    interconnect: str | None = None
    interconnect_gbs_bidir: float | None = Field(default=None, gt=0)
    pcie: str | None = None
    compute_capability: str | None = None
    purchase_usd: Money | None = None
    purchase_source: str | None = None
    notes: str | None = None


class GpuPrice(Sourced):
    """A rental price, dollars per GPU-hour. ``basis`` is always a dated list price."""

    provider: str
    gpu: str
    """Canonical GPU id."""
    usd_per_hour: Money = Field(gt=0, lt=100)
    kind: Literal["on_demand", "spot"]
    gpus_per_instance: int = Field(default=1, ge=1)
    instance_type: str | None = None
    note: str | None = None


class ApiModel(Sourced):
    """A hosted model by a short name: with its own dated price, or as `genai-prices` prices ``provider:model``.

    Prices are dollars per million tokens; both or neither are given.
    """

    name: str
    aliases: tuple[str, ...] = ()
    provider: str
    model: str
    usd_per_mtok_input: Money | None = Field(default=None, gt=0, lt=10_000)
    usd_per_mtok_output: Money | None = Field(default=None, gt=0, lt=10_000)
    note: str | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> ApiModel:
        if (self.usd_per_mtok_input is None) != (self.usd_per_mtok_output is None):
            raise ValueError("give both the input and the output price, or neither")
        return self


class VcpuPrice(Sourced):
    """What a general-purpose cloud machine without a GPU costs per virtual CPU and hour."""

    name: str
    usd_per_vcpu_hour: Money = Field(gt=0, lt=10)
    basis: Basis
    note: str | None = None


class Licence(Sourced):
    """What a model family's licence allows. ``name`` and ``aliases`` begin the names of the models it covers.

    Not legal advice: a summary of clauses that have decided cases, with where to read the text.
    """

    name: str
    aliases: tuple[str, ...] = ()
    licence: str
    """SPDX id where there is one, else the hub's name for it."""
    osi: bool
    """Approved by the Open Source Initiative."""
    commercial: Literal["yes", "conditional", "no"]
    mau_limit: int | None = Field(default=None, gt=0)
    """Monthly active users above which another licence must be asked for."""
    mau_counted: str | None = None
    attribution: str | None = None
    name_prefix: str | None = None
    """What the name of a model made from it must begin with."""
    output_training: Literal["allowed", "with_name_prefix", "with_attribution", "same_terms", "not_allowed"] | None = (
        None
    )
    """Whether outputs may train other models; None where the licence is silent."""
    region_exclusion: tuple[str, ...] = ()
    """Where those domiciled get no rights."""
    note: str | None = None


class PackagedFile(Frozen):
    """A model file shipped inside a Python distribution."""

    package: str
    file: str
    distribution: str
    """What `pip install` calls it."""


class ModelProfile(Sourced):
    """A model known by name: where its files are and its `config.json` facts."""

    name: str
    aliases: tuple[str, ...] = ()
    hub_id: str | None = None
    packaged: PackagedFile | None = None
    licence: str | None = None
    params_b: float | None = Field(default=None, gt=0)
    """Billions of parameters (10^9), as published."""
    active_params_b: float | None = Field(default=None, gt=0)
    config: dict[str, Any] = {}
    """`config.json` values, Hugging Face names."""
    notes: str | None = None


class Lengths(Frozen):
    """A distribution of token counts. ``fixed`` uses mean only; every draw is clamped to [min, max]."""

    shape: Literal["fixed", "uniform", "normal", "lognormal"] = "fixed"
    mean: float = Field(gt=0)
    stdev: float = Field(default=0, ge=0)
    min: int = Field(default=1, ge=1)
    max: int | None = None


class Workload(Sourced):
    """What users send: prompt and answer lengths in tokens, and the service level they expect."""

    name: str
    description: str
    input_tokens: Lengths
    output_tokens: Lengths
    shared_prefix_share: float = Field(default=0, ge=0, le=1)
    """Share of each prompt that is the same for every request (a system prompt)."""
    slo: str | None = None
    """Default service level, e.g. ``ttft_p95<1s,itl_p95<100ms``."""
    material: str = "prose"
    """Which text of `bench/prompts/` the prompts are cut from."""


class GpuList(Document):
    """The document of `gpus`."""

    kind: Literal["gpu_list"] = "gpu_list"
    gpus: tuple[Gpu, ...]


class ModelList(Document):
    """The document of `models`. ``installed`` has each packaged model: where its file is here, or None."""

    kind: Literal["model_list"] = "model_list"
    models: tuple[ModelProfile, ...]
    installed: dict[str, str | None] = {}


class WorkloadList(Document):
    """The document of `workloads`."""

    kind: Literal["workload_list"] = "workload_list"
    workloads: tuple[Workload, ...]


# --- size ---------------------------------------------------------------------------------------------------


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

    conv_elements: int = 0
    state_elements: int = 0


Role = Literal[
    "embedding",
    "head",
    "norm",
    "attention",
    "mlp",
    "experts",
    "router",
    "recurrent",
    "vision",
    "mtp",
    "other",
]
"""What a weight tensor is for. Placement, tensor parallelism and quantization all go by role."""


class WeightGroup(Frozen):
    """All tensors of one role in one layer (``layer`` is None outside the layers)."""

    role: Role
    layer: int | None
    params: int
    bytes: int


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
    rope_cache_elements: int = 0
    """Elements of vLLM's precomputed rotary tables."""
    weights: tuple[WeightGroup, ...] = Field(repr=False)
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


# --- plan, serve --------------------------------------------------------------------------------------------


class Rejection(Frozen):
    """A backend that was considered and why it was not chosen."""

    backend: str
    reason: str


class LaunchPlan(Document):
    """How to start the server. ``argv`` and ``env`` may hold ``{host} {port} {uds} {model}``, filled at launch.

    No secret is ever in ``argv`` or ``env``: the supervisor passes the key by ``key_env`` at launch.
    """

    kind: Literal["launch_plan"] = "launch_plan"
    backend: str
    argv: tuple[str, ...]
    env: dict[str, str] = {}
    model_path: str | None = None
    served_name: str
    health_path: str | None = "/health"
    max_in_flight: int | None = None
    """Requests the engine takes at once; the proxy queues the rest. None = no limit known."""
    engine_version: str | None = None
    reasons: tuple[str, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    memory: MemoryPlan | None = None


State = Literal[
    "stopped",
    "preflight",
    "starting",
    "loading",
    "warming",
    "ready",
    "degraded",
    "draining",
    "stopping",
    "backoff",
    "crash_loop",
    "fatal",
]


class LastExit(Frozen):
    """How the engine last ended: ``reason`` in words, exit code or signal number, ISO time."""

    reason: str
    code: int | None = None
    signal: int | None = None
    at: str


class Event(Frozen):
    """One line of a server's event log."""

    at: str
    what: str
    detail: str = ""


class Deployment(Document):
    """A served name, as `status` shows it. ``ready_s`` is the last load time, ``uptime_s`` since ready."""

    kind: Literal["status"] = "status"
    name: str
    state: State
    pid: int | None
    supervisor_pid: int | None
    backend: str
    base_url: str
    restarts: int
    last_exit: LastExit | None = None
    ready_s: float | None = None
    uptime_s: float | None = None
    in_flight: int = 0
    queued: int = 0
    output_tok_s: float | None = None
    """Tokens per second over the last look at the engine's own counter; None where it has none."""
    served_name: str = ""
    reason: str | None = None
    """Why it is in this state, where that needs words."""
    effective_config: dict[str, Any] = {}
    events: tuple[Event, ...] = ()


class StatusList(Document):
    """`status` without a name."""

    kind: Literal["status_list"] = "status_list"
    servers: tuple[Deployment, ...]


# --- bench --------------------------------------------------------------------------------------------------


class Stat(Frozen):
    """Exact percentiles (nearest rank) of one flat list of seconds; ``n`` values."""

    n: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    min: float
    max: float


class Level(Frozen):
    """One load level of a bench. Latencies count completed requests only; failures stand beside them.

    Tokens per second divide by the window first send → last end of the level.
    """

    concurrency: int | None = None
    rate: float | None = None
    duration_s: float
    requests: int
    completed: int
    failed: int
    errors: dict[str, int] = {}
    ttft_s: Stat | None
    itl_s: Stat | None
    tpot_s: Stat | None
    e2e_s: Stat | None
    ttfat_s: Stat | None = None
    """To the first answer token; later than TTFT where a model reasons first."""
    output_tokens: int
    input_tokens: int
    output_tok_s: float
    input_tok_s: float
    total_tok_s: float
    request_s: float
    decode_tok_s_per_user: float | None = None
    """Median over requests of (N−1)/(E2E−TTFT)."""
    goodput_request_s: float
    goodput_output_tok_s: float
    goodput_total_tok_s: float
    achieved_rate: float
    asked_rate: float | None = None
    queue_delay_s: Stat | None = None
    """Open loop: sent − scheduled."""
    service_ttft_s: Stat | None = None
    """Open loop: first token − sent, beside TTFT, which counts from the schedule."""
    steady_s: float | None = None
    steady_output_tok_s: float | None = None
    """Closed loop: length of, and output tokens/s in, the window in which all users were busy."""
    client_lag_s: Stat | None = None
    """User stamp − kernel stamp, the greatest of each request: the client's own lateness."""
    client_busy: float | None = None
    """CPU share of the busiest load process, 0…1 of one core."""
    slo_met: bool | None = None
    token_source: dict[str, int] = {}
    """How many requests took their counts from `usage`, how many from events."""
    valid: bool
    why_invalid: str | None = None
    notes: tuple[str, ...] = ()


class Environment(Frozen):
    """What a reader needs to trust or repeat a result."""

    at: str
    toolkit_version: str
    command: str
    machine: dict[str, Any]
    engine: dict[str, Any] = {}
    model_file: dict[str, Any] = {}
    client: dict[str, Any] = {}


class BenchResult(Document):
    """The document of `bench`: one entry per level."""

    kind: Literal["bench_result"] = "bench_result"
    target: str
    model: str
    workload: Workload
    slo: str | None = None
    seed: int
    environment: Environment
    levels: tuple[Level, ...]
    best_under_slo: Level | None = None
    interrupted: bool = False
    stopped_early: str | None = None


# --- cost ---------------------------------------------------------------------------------------------------


class MonthlyUsd(Frozen):
    """Dollars per month of 730 hours."""

    compute: Money
    people: Money
    other: Money
    total: Money


class Alternative(Frozen):
    """One API beside self-hosting, priced at the same mix. Empty intervals = never wins up to the limit."""

    name: str
    provider: str
    matched_model: str
    price_date: str
    usd_per_mtok: Money
    usd_per_month: Money | None
    self_host_wins_tokens_per_day: tuple[tuple[int, int | None], ...]
    """Volumes from…to at which self-hosting costs less; ``None`` = and on, up to the volume searched."""
    p_self_host_cheaper: float | None = None
    utilisation_needed: float | None = None
    """Utilisation at the first winning volume, 0…1; None when there is none."""
    usd_per_mtok_input: Money | None = None
    usd_per_mtok_output: Money | None = None
    deprecated: bool = False
    note: str | None = None


class Currency(Frozen):
    """A second currency: how many of it one dollar buys, as given by the user on that day."""

    code: str = Field(pattern=r"^[A-Z]{3}$")
    per_usd: Money = Field(gt=0)
    on: date


class MoneyBand(Frozen):
    """Tenth, fiftieth and ninetieth percentile of dollars."""

    p10: Money
    p50: Money
    p90: Money


class Swing(Frozen):
    """What one uncertain input does alone: the price at its 10th and 90th percentile, the others as stated."""

    what: str
    factor_p10: float
    """The input as a factor of its stated value."""
    factor_p90: float
    usd_per_mtok_at_p10: float
    usd_per_mtok_at_p90: float
    basis: Basis
    how: str


class Uncertainty(Frozen):
    """How sure the monthly cost is: bands from seeded draws, and what matters most, widest first."""

    draws: int
    seed: int
    monthly_usd: MoneyBand
    allocation_usd_per_mtok: MoneyBand
    tornado: tuple[Swing, ...]


class CostReport(Document):
    """What a million tokens costs. Tokens are input + output together."""

    kind: Literal["cost_report"] = "cost_report"
    goodput_tok_s: float
    goodput_basis: Basis
    goodput_how: str
    gpus: int
    usd_per_gpu_hour: Money
    price_basis: Basis
    price_how: str
    usage_usd_per_mtok: Money
    allocation_usd_per_mtok: Money | None
    utilisation: float | None
    replicas: int | None
    tokens_per_day: int | None
    input_share: float
    input_share_basis: Basis
    monthly_usd: MonthlyUsd | None
    usd_per_mtok_input: Money | None = None
    usd_per_mtok_output: Money | None = None
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = ()
    model: str | None = None
    level: str | None = None
    """Which load level the goodput was taken from, in words."""
    peak_ratio: float = 3
    peak_ratio_basis: Basis = "assumed"
    spare: int = 0
    capacity_tokens_per_day: int | None = None
    """What one replica serves per day at that peak ratio."""
    fixed_usd_per_month: Money = Decimal(0)
    """People and whatever else does not grow with the number of replicas."""
    usd_per_replica_month: Money | None = None
    """What each replica adds: machine and power."""
    searched_up_to_tokens_per_day: int | None = None
    """Break-even was searched up to this volume; an empty interval list means never up to it."""
    joules_per_token: float | None = None
    energy_usd_per_mtok: Money | None = None
    currency: Currency | None = None
    uncertainty: Uncertainty | None = None
    """None without a volume."""


ServingOption = Literal["closed", "hosted-open", "dedicated", "rented", "owned", "on-device", "hybrid"]
"""From an API of a closed model to a model on the user's device; hybrid is two of them, by task."""

ClaimVerdict = Literal["holds", "cannot_hold", "depends"]


class AuditedClaim(Frozen):
    """One claim, judged. ``implied`` has the figures that follow from it, units in the names."""

    claim: str
    verdict: ClaimVerdict
    implied: dict[str, float | int | str | bool | tuple[float, ...] | None]
    because: str
    arithmetic: tuple[str, ...] = ()
    """The steps, as a reader can repeat them."""


class Audit(Document):
    """The document of `audit`. ``source`` says whose claims these are."""

    kind: Literal["audit"] = "audit"
    source: str
    claims: tuple[AuditedClaim, ...]


class RejectedOption(Frozen):
    """A way of serving that a gate ruled out."""

    option: ServingOption
    gate: str
    reason: str


class TaskVerdict(Frozen):
    """What one task of several should run on."""

    task: str
    verdict: ServingOption
    reason: str


class ArticleVerdict(Frozen):
    """What the source article's six questions say: the first that triggers decides."""

    verdict: str
    question: int | None
    """Number of the deciding question, 1…6; None when none triggered."""
    answer: str
    agrees: bool
    """Whether the gates come to the same kind of hosting."""
    why: str


class Verdict(Document):
    """The document of `decide`: what to run the workload on, why, and what would change that."""

    kind: Literal["verdict"] = "verdict"
    verdict: ServingOption
    order: Literal["gates", "article"] = "gates"
    reasons: tuple[str, ...]
    survivors: tuple[ServingOption, ...] = ()
    """Every option that no gate ruled out, the chosen one among them."""
    rejected: tuple[RejectedOption, ...]
    flips: tuple[str, ...]
    conflicts: tuple[str, ...]
    review_date: date
    p_cheaper: float | None = None
    """Probability that self-hosting is cheaper than the API it was compared with; None without a cost report."""
    tasks: tuple[TaskVerdict, ...] = ()
    article: ArticleVerdict | None = None
    licence: Licence | None = None
    assumed: dict[str, str] = {}
    """Answers nobody gave, and what was taken for them."""


class ApiPrice(Frozen):
    """An API's list price in dollars per million tokens, with its date."""

    name: str
    provider: str
    model: str
    usd_per_mtok_input: Money
    usd_per_mtok_output: Money
    price_date: str
    source: str
    age_days: int | None = None
    deprecated: bool = False
    note: str | None = None


class GpuPriceAge(GpuPrice):
    """A rental price with the days since it was read."""

    age_days: int


class PriceList(Document):
    """The document of `prices`: rentals and API list prices."""

    kind: Literal["price_list"] = "price_list"
    gpus: tuple[GpuPriceAge, ...]
    apis: tuple[ApiPrice, ...]


# --- predict, recommend -------------------------------------------------------------------------------------


class Band(Frozen):
    """A figure with its 80 % interval."""

    p10: float
    p50: float
    p90: float


class Prediction(Document):
    """The document of `predict`: what one configuration should deliver. Rates are tokens per second."""

    kind: Literal["prediction"] = "prediction"
    id: str | None = None
    declined: None = None
    model: str
    gpu: str
    count: int
    tp: int
    pp: int
    quant: str
    engine: str
    regime: Literal["single", "batched", "saturated"]
    concurrency: int | None
    """As asked; None for the most it can carry."""
    running: float
    """Sequences in flight: what was asked, or what cache and engine allow where that is less."""
    input_len: int
    output_len: int
    output_tok_s: Band
    decode_tok_s_per_user: Band
    prefill_tok_s: Band
    """Of one prompt alone."""
    ttft_s: Band | None
    tpot_s: Band
    ceiling_output_tok_s: float
    """What bandwidth and arithmetic of the data sheet allow at this batch."""
    bound_by: Literal["bandwidth", "compute", "overhead", "interconnect"]
    model_basis: str
    """Where the model's facts come from: its profile, or its parameter counts alone."""
    basis: Basis
    how: str


class DeclinedPrediction(Document):
    """A row that cannot be predicted, and why."""

    kind: Literal["prediction"] = "prediction"
    id: str | None = None
    declined: str


class UsdSpread(Frozen):
    """Quartiles of dated list prices."""

    p25: Money
    p50: Money
    p75: Money


class HardwareOption(Frozen):
    """One way to serve the load: ``replicas`` × ``count`` devices. Dollars per hour are for all of them."""

    gpu: str
    count: int
    quant: str
    engine: str
    certainty: Certainty
    replicas: int
    users_per_replica: int
    output_tok_s: Band
    """Of all replicas together."""
    ttft_s: Band | None
    tpot_s: Band
    memory_bytes_per_device: int
    usd_per_hour: UsdSpread
    usd_per_mtok: UsdSpread
    """Per million tokens, input and output together."""
    price_basis: Basis
    why: str


class NotJudged(Frozen):
    """Hardware left out of a ranking, and why."""

    gpu: str
    reason: str


class Recommendation(Document):
    """The document of `recommend`, best first."""

    kind: Literal["recommendation"] = "recommendation"
    model: str
    context: int
    users: int | None
    tokens_per_day: int | None
    slo: str | None
    options: tuple[HardwareOption, ...]
    not_judged: tuple[NotJudged, ...]
    notes: tuple[str, ...] = ()


# --- doctor, quickstart -------------------------------------------------------------------------------------


class EngineFound(Frozen):
    """One backend as `doctor` sees it; ``mend`` is the command that installs a missing one."""

    backend: str
    found: bool
    version: str | None
    where: str | None
    gpu: bool
    mend: str | None


class Doctor(Document):
    """What this machine has. ``models`` maps packaged models to their files, None when not installed."""

    kind: Literal["doctor"] = "doctor"
    machine: dict[str, Any]
    engines: tuple[EngineFound, ...]
    models: dict[str, str | None]


class QuickstartResult(Document):
    """What `quickstart` did, in figures. The documents of every stage lie in ``folder``."""

    kind: Literal["quickstart"] = "quickstart"
    model: str
    backend: str
    fits: bool
    users: int
    """Concurrency of the headline level."""
    ttft_p95_s: float | None
    output_tok_s: float
    usd_per_mtok: Money
    usd_per_hour: Money
    price_how: str
    folder: str
    report: str
    seconds: float
