"""Getting to know the target before the load: model, engine, tokens per word; then the prompts."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

from toolkit.errors import EnvironmentFailedError, InputError
from toolkit.load.lengths import MAX_TOKENS
from toolkit.load.material import Planned, prompts_of, typical_tokens
from toolkit.load.probe import Answer, Probe
from toolkit.load.prompts import GAP, Calibration, Material, Prompt, body, calibrate, nonce
from toolkit.load.silence import Answered, silence_s
from toolkit.load.spec import PATHS, BenchSpec
from toolkit.paths import data_root
from toolkit.types import EndpointKind

CALIBRATE_S = 4.0
"""Time spent on correcting single prompts; the first two probes come on top."""
PROBE_S = 30.0
ENGINES = {"vllm": "vllm", "llamacpp": "llama.cpp", "sglang": "sglang"}
"""What `owned_by` of `/v1/models` says → engine. These take ``ignore_eos`` in a request."""


@dataclass(frozen=True)
class Prepared:
    """Everything a run needs to know about its target."""

    model: str
    engine: dict[str, Any]
    prompts: list[Prompt]
    extra: dict[str, Any]
    """What this engine takes beyond OpenAI's fields."""
    calibration: Calibration
    known_models: tuple[str, ...]
    trace: list[Planned]
    """What a replay sends; empty for every other load."""
    silence_s: float
    """How long a request is waited for while none of the run has had a token."""


def prepare(spec: BenchSpec, key: str | None) -> Prepared:
    """Ask the target. It must answer, but may answer badly: the load then counts how.

    Raises:
        EnvironmentFailedError: nothing answers.
        InputError: no model was named and the target names none.
        UnknownNameError: no such prompt material.
    """
    material = Material(spec.workload.material, data_root() / "bench" / "prompts")
    probe = Probe(spec.endpoint, key, min(PROBE_S, spec.limits.request_s))
    try:
        listing = probe.get("/models")
        models = _models(listing)
        model = spec.model or _first(models, listing, spec)
        engine = _engine(models, model, listing)
        extra = _extra(spec, engine.get("name"))
        counter = _Counter(probe, model, spec.seed, spec.kind)
        calibration = calibrate(counter, material, typical_tokens(spec))
        until = time.monotonic() + CALIBRATE_S
        prompts, trace = prompts_of(spec, material, calibration, counter, lambda: time.monotonic() < until)
    finally:
        probe.close()
    patience_s = silence_s(spec, prompts, counter.answered)
    return Prepared(model, engine, prompts, extra, calibration, tuple(models), trace, patience_s)


class _Counter:
    """Prompt tokens of a text, by the usage of a one-token answer. Gives up for good when the target does not say."""

    def __init__(self, probe: Probe, model: str, seed: int, kind: EndpointKind) -> None:
        self._probe = probe
        self._kind = kind
        self._model = model
        self._draw = random.Random(f"{seed}-probe")
        self._gave_up = False
        self.answered: Answered | None = None
        """The last reply of any kind; None when none came."""

    def __call__(self, text: str) -> int | None:
        if self._gave_up:
            return None
        words = text.replace(GAP, nonce(self._draw))
        extra = {} if self._kind == "embeddings" else {"stream": False}
        question = body(words, self._model, 1, extra, self._kind)
        question.pop("stream_options", None)
        try:
            began = time.monotonic()
            answer = self._probe.post(PATHS[self._kind], question)
            self.answered = Answered(time.monotonic() - began, len(text))
            counted = answer.document["usage"]["prompt_tokens"]
            if type(counted) is int and 0 < counted < MAX_TOKENS:
                return counted
        except (EnvironmentFailedError, KeyError, TypeError):
            pass
        self._gave_up = True
        return None


def _models(listing: Answer) -> dict[str, dict[str, Any]]:
    data = listing.document.get("data") if isinstance(listing.document, dict) else None
    found = [m for m in data if isinstance(m, dict) and isinstance(m.get("id"), str)] if isinstance(data, list) else []
    return {m["id"]: m for m in found[:1000]}


def _first(models: dict[str, dict[str, Any]], listing: Answer, spec: BenchSpec) -> str:
    if models:
        return next(iter(models))
    if listing.status in (401, 403):
        raise InputError(
            f"{spec.endpoint.url} asks for an API key ({listing.status}): {listing.message}",
            "Name the environment variable that holds it.",
        )
    if 300 <= listing.status < 400:
        where = listing.headers.get("location", "nowhere")[:150]
        raise InputError(
            f"{spec.endpoint.url}/models redirects to {where} ({listing.status})",
            "A redirect is not followed, for the load would go elsewhere: give that address if you mean it.",
        )
    raise InputError(
        f"{spec.endpoint.url}/models names no model (status {listing.status})",
        "Name the model, or check that this is an OpenAI-compatible server.",
    )


def _engine(models: dict[str, dict[str, Any]], model: str, listing: Answer) -> dict[str, Any]:
    record = models.get(model, {})
    owner = str(record.get("owned_by") or "")[:100]
    engine: dict[str, Any] = {"owned_by": owner} if owner else {}
    if owner.lower() in ENGINES:
        engine["name"] = ENGINES[owner.lower()]
    if listing.headers.get("server"):
        engine["server"] = listing.headers["server"][:100]
    meta = record.get("meta")
    if isinstance(meta, dict):
        engine["model"] = {k: meta[k] for k in ("n_params", "size", "n_ctx_train", "n_vocab") if k in meta}
    if isinstance(record.get("max_model_len"), int):
        engine["max_model_len"] = record["max_model_len"]
    return engine


def _extra(spec: BenchSpec, engine: str | None) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if spec.kind == "embeddings":
        return extra
    if spec.ignore_eos if spec.ignore_eos is not None else engine is not None:
        extra["ignore_eos"] = True
    if spec.prompt_cache is not None:
        extra["cache_prompt"] = spec.prompt_cache
    return extra
