"""From a question to a `Prediction`: the expected figures, their 80 % interval, the ceiling and what binds."""

from __future__ import annotations

import math
from typing import Literal

from toolkit.predict import constants, physics
from toolkit.predict.coefficients import constants as constants_of
from toolkit.predict.physics import Question, Times
from toolkit.types import Band, Prediction

Regime = Literal["single", "batched", "saturated"]
Bound = Literal["bandwidth", "compute", "overhead", "interconnect"]


def predict(q: Question) -> Prediction:
    """What this configuration should deliver.

    Times to the first token are for requests that follow one another (closed loop) at the asked concurrency; they
    are None when the load is not stated, for then they are queueing and nothing else.
    """
    terms = physics.terms(q)
    found = physics.times(terms, constants_of(q, constants.EFFECTS))
    regime: Regime = "saturated" if q.concurrency is None else "single" if q.concurrency == 1 else "batched"
    speed = constants.BANDS[regime]
    token_s = found.step if regime == "single" else found.token
    most, per_user = ceiling(q), 1 / max(terms.step_mem, terms.step_flop)
    return Prediction(
        model=q.model.name,
        gpu=q.device.name,
        count=q.tp * q.pp * q.copies,
        tp=q.tp,
        pp=q.pp,
        quant=q.fmt.name,
        engine=q.engine.family,
        regime=regime,
        concurrency=q.concurrency,
        running=min(terms.batch * q.copies, float(q.concurrency or terms.batch * q.copies)),
        input_len=round(q.prompt),
        output_len=round(q.answer),
        output_tok_s=_band(found.output_tok_s, speed, most),
        decode_tok_s_per_user=_band(1 / token_s, speed, per_user),
        prefill_tok_s=_band(terms.prompt / found.lone_prompt, constants.BANDS["prefill"]),
        ttft_s=_band(found.first_token, constants.BANDS["ttft"]) if regime != "saturated" else None,
        tpot_s=_inverse(_band(1 / token_s, speed, per_user)),
        ceiling_output_tok_s=most,
        bound_by=_bound(found),
        model_basis=q.model.basis,
        max_context=q.model.max_context,
        basis="computed",
        how=constants.FITTED,
    )


def ceiling(q: Question) -> float:
    """Output tokens/s that the data sheet allows at that batch: decode alone, every rate at its peak."""
    t = physics.terms(q)
    return t.micro * t.parallel / max(t.step_mem, t.step_flop)


def _band(value: float, log_error: tuple[float, float], most: float = math.inf) -> Band:
    """The interval around an expected value; nothing is quicker than its ceiling."""
    low, high = log_error
    return Band(p10=value * math.exp(low), p50=value, p90=max(value, min(most, value * math.exp(high))))


def _inverse(band: Band) -> Band:
    return Band(p10=1 / band.p90, p50=1 / band.p50, p90=1 / band.p10)


def _bound(t: Times) -> Bound:
    parts: tuple[tuple[float, Bound], ...] = (
        (t.step_mem, "bandwidth"),
        (t.step_flop + t.prompt_work, "compute"),
        (t.step_overhead, "overhead"),
        (t.step_link + t.prompt_link, "interconnect"),
    )
    return max(parts)[1]
