"""What `predict` and `recommend` say."""

from __future__ import annotations

from typing import Literal

from toolkit.types.common import Basis, Certainty, Document, Frozen, Money


class Band(Frozen):
    """A figure with its 80 % interval."""

    p10: float
    p50: float
    p90: float


class Prediction(Document):
    """The document of `predict`: what one configuration should deliver. Rates are tokens per second."""

    kind: Literal["prediction"] = "prediction"
    id: str | int | float | None = None
    """As the row has it."""
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
    basis: Basis | Literal["projected"]
    """``computed`` from the data sheet; ``projected`` from a bench of this model and engine; ``measured`` by it."""
    how: str
    max_context: int | None = None
    """Tokens of the model's longest request; None where that is not known. A longer one is answered all the same."""
    uncorrected_output_tok_s: float | None = None
    """What was expected before a bench corrected it; None where none did."""


class DeclinedPrediction(Document):
    """A row that cannot be predicted, and why."""

    kind: Literal["prediction"] = "prediction"
    id: str | int | float | None = None
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
    here: bool = False
    """Whether it is this machine's own."""
    why: str
    quality: str | None = None
    """What the weight format loses in quality, as published, with model and source; None where that is not known."""


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
