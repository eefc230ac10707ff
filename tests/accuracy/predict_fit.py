"""The regression behind the speed model: published figures, named effects, whole GPUs or models held out.

Used by `tests.accuracy.calibrate_predict`. Needs numpy; nothing here is used at run time.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from toolkit import profiles
from toolkit.errors import SelfhostError, fold
from toolkit.predict import coefficients, facts, physics, rows
from toolkit.predict.coefficients import QUANTITIES, SHARES

START = {
    "bandwidth": 0.7, "cache": 0.6, "compute": 0.4, "prefill": 0.4, "layer_s": 15e-6, "sequence_s": 5e-6,
    "reduce_s": 10e-6, "link": 0.5, "start_s": 5e-3, "admit_s": 1e-3, "queue": 0.1, "traffic": 20.0, "stage_s": 1e-3,
}  # fmt: skip
"""Where the fit starts and what its priors pull to, loosely: a usual server on a usual device."""
PRIOR_BASE, PRIOR_EFFECT = 0.6, 0.2
"""Standard deviations, in logarithms, of a base and of an effect."""
NOISE = 0.1
"""Spread of one configuration measured twice with other builds (6–16 %): residuals below it are not chased, those
beyond count by their size, not its square."""
CROWD = -0.25
"""A figure of a source counts by this power of how many figures that source has, so that no large one rules alone."""
ALONE, FOLDS = 12, 6
"""Figures that a GPU or model must have to be held out by itself, and folds of whole GPUs or models for the rest."""
ROUNDS = 20
"""Steps of the regression, at most; it settles in about fifteen."""
SPEC_CACHE: dict[str, facts.ModelFacts | None] = {}


@dataclass(frozen=True)
class Observation:
    """One measured figure of one row; ``what`` is decode, output, prefill or ttft."""

    row: int
    what: str
    value: float
    weight: float


def known_model(name: str) -> facts.ModelFacts | None:
    """The facts of a profile by any spelling the command line takes too."""
    from toolkit.cli.speed import model_facts

    if name not in SPEC_CACHE:
        SPEC_CACHE[name] = model_facts(name)
    return SPEC_CACHE[name]


def load(folder: Path):
    """Rows that can be answered with their questions, and why the others cannot."""
    kept, questions, declined = [], [], []
    for line in (folder / "throughput.jsonl").read_text().splitlines():
        row = json.loads(line)
        try:
            questions.append(rows.question(row, profiles.gpu, known_model))
            kept.append(row)
        except SelfhostError as error:
            declined.append((row, error.message))
    return kept, questions, declined


def observe(kept) -> list[Observation]:
    """What each row measured, of what the model predicts."""
    found = []
    for i, r in enumerate(kept):
        single = r["regime"] == "single"
        if r["decode_tok_s"] and (single or "decode-phase only" in (r["notes"] or "")):
            found.append((i, "decode", r["decode_tok_s"]))
        elif r["output_tok_s_total"]:
            found.append((i, "output", r["output_tok_s_total"]))
        if single and r["prefill_tok_s"] and r["input_len"]:
            found.append((i, "prefill", r["prefill_tok_s"]))
        if r["regime"] == "batched" and r["ttft_ms"] and not isinstance(r["concurrency"], str):
            found.append((i, "ttft", r["ttft_ms"] / 1e3))
    size = Counter((kept[i]["group"], what) for i, what, _ in found)
    result = []
    for i, what, value in found:
        sure = 1.0 if kept[i]["confidence"] == "high" else 0.8
        result.append(Observation(i, what, float(value), 4 * sure * size[kept[i]["group"], what] ** CROWD))
    return result


class Fit:
    """The regression: named effects, one column each, and the measured logarithms."""

    def __init__(self, questions, observations):
        """Columns for every effect of every question; those that a training set lacks stay at zero."""
        self.observations = observations
        used = [questions[o.row] for o in observations]
        all_terms = [physics.terms(q) for q in questions]
        self.terms = physics.Terms(
            **{
                f.name: np.array([getattr(all_terms[o.row], f.name) for o in observations])
                for f in fields(physics.Terms)
            }
        )
        names = dict.fromkeys(QUANTITIES)
        tagged = [coefficients.tags(q) for q in used]
        for t in tagged:
            names |= dict.fromkeys(f"{quantity}|{tag}" for quantity, tags in t.items() for tag in tags)
        self.names = list(names)
        column = {name: i for i, name in enumerate(self.names)}
        self.x = {q: np.zeros((len(used), len(self.names))) for q in QUANTITIES}
        for i, t in enumerate(tagged):
            for quantity, tags in t.items():
                self.x[quantity][i, column[quantity]] = 1
                for tag in tags:
                    self.x[quantity][i, column[f"{quantity}|{tag}"]] = 1
        self.what = np.array([o.what for o in observations])
        self.y = np.log([o.value for o in observations])
        self.weight = np.array([o.weight for o in observations])
        self.center = np.log([START.get(n, 1.0) for n in self.names])
        self.spread = np.array([PRIOR_BASE if n in START else PRIOR_EFFECT for n in self.names])

    def _log(self, logs, pick):
        levels = {q: np.exp(v) for q, v in logs.items()}
        return self.figures({q: coefficients.share(v) if q in SHARES else v for q, v in levels.items()}, pick)

    def figures(self, constants, pick):
        """Logarithms of the picked figures under these constants."""
        t = physics.Terms(**{f.name: getattr(self.terms, f.name)[pick] for f in fields(physics.Terms)})
        found = physics.times(t, physics.Constants(**constants))
        what = self.what[pick]
        result = np.where(what == "decode", 1 / found.step, found.output_tok_s)
        result = np.where(what == "prefill", t.prompt / found.lone_prompt, result)
        return np.log(np.where(what == "ttft", found.first_token, result))

    def predict(self, effects, pick):
        """Logarithms of the predicted figures."""
        return self._log({q: self.x[q][pick] @ effects for q in QUANTITIES}, pick)

    def fit(self, pick, start=None):
        """Effects from the picked observations: pseudo-Huber beyond the noise, quadratic priors; damped steps.

        ``start`` is where the steps begin; effects that no picked observation has stay at their prior.
        """
        x = {q: self.x[q][pick] for q in QUANTITIES}
        used = np.flatnonzero(sum(v.any(axis=0) for v in x.values()))
        x = {q: v[:, used] for q, v in x.items()}
        center, spread = self.center[used], self.spread[used]
        effects, damping = (center if start is None else start[used]).copy(), 1e-2
        scale, prior, weight = 1 / NOISE, spread**-2.0, self.weight[pick]

        def cost_of(e):
            raw = (self._log({q: x[q] @ e for q in QUANTITIES}, pick) - self.y[pick]) * scale
            return float(weight @ (np.sqrt(1 + raw**2) - 1) + 0.5 * np.sum(((e - center) / spread) ** 2))

        cost = cost_of(effects)
        for _ in range(ROUNDS):
            logs = {q: x[q] @ effects for q in QUANTITIES}
            base = self._log(logs, pick)
            raw = (base - self.y[pick]) * scale
            slopes = {q: scale * (self._log(logs | {q: logs[q] + 1e-5}, pick) - base) / 1e-5 for q in QUANTITIES}
            jacobian = sum(slopes[q][:, None] * x[q] for q in QUANTITIES).astype(np.float32)
            robust = weight / np.sqrt(1 + raw**2)
            gradient = jacobian.T @ (robust * raw) + (effects - center) * prior
            curvature = (jacobian.T @ (jacobian * robust[:, None].astype(np.float32))).astype(float) + np.diag(prior)
            move = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), gradient)
            found = cost_of(effects - move)
            if found < cost:
                effects, damping, gain, cost = effects - move, damping / 5, cost - found, found
                if gain < 1e-4 * cost:
                    break
            else:
                damping *= 10
        result = self.center.copy()
        result[used] = effects
        return result

    def held_out(self, keys, start):
        """Log errors of every observation, each predicted without any observation that shares its key.

        A key of `ALONE` observations or more is held out alone; the others are dealt to `FOLDS` folds by a hash of
        their name, so the split does not depend on what was measured. Each fit begins at ``start``, the fit to all, to
        save time: what it ends at is its own optimum.
        """
        errors = np.full(len(self.y), np.nan)
        size = Counter(keys)
        folds = np.array([k if size[k] >= ALONE else f"fold {zlib.crc32(k.encode()) % FOLDS}" for k in keys])
        for fold_name in sorted(set(folds)):
            test = folds == fold_name
            errors[test] = self.predict(self.fit(np.flatnonzero(~test), start), np.flatnonzero(test)) - self.y[test]
        return errors


def model_key(row) -> str:
    """Models of one size and family are one model here: a finetune of a known model is not unseen."""
    name = re.sub(
        r"instruct|reasoning|hf|nvfp4|fp8|awq|2507|dynamic|coder|[-_ .]?v0\.\d|0528", "", row["model"].lower()
    )
    name = re.sub(r"llama-?3\.[13]-", "llama-3-", name)
    return fold(name)
