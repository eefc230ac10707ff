"""What the profiles hold: devices, prices, licences, models, workloads."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field, model_validator

from toolkit.types.common import Basis, Document, Frozen, Money, Sourced


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
    usd_per_mtok_cached: Money | None = Field(default=None, gt=0, lt=10_000)
    """Of input tokens read from the provider's cache."""
    usd_per_mtok_cache_write: Money | None = Field(default=None, gt=0, lt=10_000)
    """Of input tokens written to it; as others where it is not given."""
    usd_per_mtok_input_batch: Money | None = Field(default=None, gt=0, lt=10_000)
    usd_per_mtok_output_batch: Money | None = Field(default=None, gt=0, lt=10_000)
    retires: date | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> ApiModel:
        own = (self.usd_per_mtok_input, self.usd_per_mtok_output)
        batch = (self.usd_per_mtok_input_batch, self.usd_per_mtok_output_batch)
        if None in own and own != (None, None):
            raise ValueError("give both the input and the output price, or neither")
        if None in batch and batch != (None, None):
            raise ValueError("give both batch prices, or neither")
        if own[0] is None and (batch[0] or self.usd_per_mtok_cached or self.usd_per_mtok_cache_write):
            raise ValueError("a cached or batch price needs the standard prices beside it")
        if own[0] is not None and self.usd_per_mtok_cached is not None and self.usd_per_mtok_cached > own[0]:
            raise ValueError("a cached token is dearer than a new one")
        return self


class ApiRetirement(Sourced):
    """The day a provider switches a model off. ``name`` is its ``provider:model``."""

    name: str = Field(pattern=r"^[^:\s]+:\S+$")
    retires: date
    replacement: str | None = None
    """What the provider recommends instead."""


class VcpuPrice(Sourced):
    """What a general-purpose cloud machine without a GPU costs per virtual CPU and hour."""

    name: str
    usd_per_vcpu_hour: Money = Field(gt=0, lt=10)
    basis: Basis
    note: str | None = None


class QuantQuality(Sourced):
    """What a weight format loses in quality on one model, as published; other models lose more or less."""

    name: str
    aliases: tuple[str, ...] = ()
    loss: str
    """In words, with the metric."""
    measured_on: str
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
    checked_how: Literal["text", "maker", "quoted", "notes", "recalled"] | None = None
    """What was done on the day of ``checked``: the licence's own text was read in a public copy; the maker's own page
    that names a usual licence (Apache-2.0, MIT) was; a page of others that quotes the clause was; the clause stood in
    this project's notes; or it was written from memory. Only the first two are proof."""


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
    """A distribution of token counts. ``fixed`` uses mean only; every draw is clamped to [min, max].

    ``listed`` describes lengths that came from a file or a trace; nothing can be drawn from it.
    """

    shape: Literal["fixed", "uniform", "normal", "lognormal", "listed"] = "fixed"
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
