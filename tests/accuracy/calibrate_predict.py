"""Calibrate the speed model and cross-validate it: `python -m tests.accuracy.calibrate_predict [--write]`.

Reads ``throughput.jsonl`` (one published measurement a row) from ``--data``, by default ``../shared/data``. Fits the
effects of `toolkit.predict.coefficients` by robust regression on logarithms, each source weighted by the root of its
size, and holds out one whole GPU, then one whole model, at a time. ``--write`` writes ``toolkit/predict/constants.py``
and the accuracy tables of ``docs/predict.md``. Needs numpy; nothing here is used at run time.
"""

from __future__ import annotations

import argparse
import json
import re
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from toolkit import profiles
from toolkit.errors import SelfhostError, fold
from toolkit.predict import coefficients, facts, physics, rows
from toolkit.predict.coefficients import QUANTITIES, SHARES

ROOT = Path(__file__).parents[2]
START = {
    "bandwidth": 0.7, "cache": 0.6, "compute": 0.4, "prefill": 0.4, "layer_s": 15e-6, "sequence_s": 5e-6,
    "reduce_s": 10e-6, "link": 0.5, "start_s": 5e-3, "queue": 0.1, "traffic": 20.0, "stage_s": 1e-3,
}  # fmt: skip
"""Where the fit starts and what its priors pull to, loosely: a usual server on a usual device."""
PRIOR_BASE, PRIOR_EFFECT = 0.6, 0.3
"""Standard deviations, in logarithms, of a base and of an effect. Chosen before the first fit, not tuned per source."""
NOISE = 0.12
"""Spread of one configuration measured twice with other builds (6–16 %): residuals below it are not chased."""
ALONE, FOLDS = 12, 6
"""Figures that a GPU or model must have to be held out by itself, and folds of whole GPUs or models for the rest."""
SPLITS = 10
"""Ways in which the interval is checked on one half of the GPUs or models and taken from the other."""
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
        weight = size[kept[i]["group"], what] ** -0.35 * (0.4 if what in ("ttft", "prefill") else 1.0)
        weight *= 0.7 if kept[i]["confidence"] != "high" else 1.0
        result.append(Observation(i, what, float(value), 3 * weight))
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
        scale, prior = self.weight[pick] / NOISE, spread**-2.0

        def cost_of(e):
            raw = (self._log({q: x[q] @ e for q in QUANTITIES}, pick) - self.y[pick]) * scale
            return float(np.sum(np.sqrt(1 + raw**2) - 1) + 0.5 * np.sum(((e - center) / spread) ** 2))

        cost = cost_of(effects)
        for _ in range(ROUNDS):
            logs = {q: x[q] @ effects for q in QUANTITIES}
            base = self._log(logs, pick)
            raw = (base - self.y[pick]) * scale
            slopes = {q: scale * (self._log(logs | {q: logs[q] + 1e-5}, pick) - base) / 1e-5 for q in QUANTITIES}
            jacobian = sum(slopes[q][:, None] * x[q] for q in QUANTITIES).astype(np.float32)
            robust = 1 / np.sqrt(1 + raw**2)
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


def summary(errors) -> dict[str, float]:
    """Median and 90th percentile of |predicted / measured − 1|, percent."""
    relative = np.abs(np.exp(errors) - 1) * 100
    return {"n": len(errors), "median": float(np.median(relative)), "p90": float(np.percentile(relative, 90))}


def baselines(fit: Fit):
    """Plain roofline (every rate at its peak) and one constant: 60 % of the bandwidth."""
    rates = ("bandwidth", "cache", "compute", "prefill", "link")
    peak = {q: 1.0 if q in rates else 0.0 for q in QUANTITIES}
    one = peak | {"bandwidth": 0.6, "cache": 0.6, "compute": 1e12, "prefill": 1e12, "link": 1e12}
    everything = np.arange(len(fit.y))
    result = {}
    for name, constants in (("roofline", peak), ("one constant", one)):
        result[name] = fit.figures(constants, everything) - fit.y
    return result


def part(kept, o: Observation) -> str:
    """Which bar judges an observation."""
    if o.what in ("ttft", "prefill"):
        return o.what
    return "single" if kept[o.row]["regime"] == "single" else "loaded"


def regime(kept, o: Observation) -> str:
    """Which interval an observation has: its bar's, the loaded ones by regime."""
    found = part(kept, o)
    return str(kept[o.row]["regime"]) if found == "loaded" else found


def quantiles(errors, keys) -> tuple[float, float]:
    """10th and 90th percentile; a GPU or model of many figures counts less each time, by their fourth root."""
    size = Counter(keys)
    weights = np.array([size[key] ** -0.25 for key in keys])
    order = np.argsort(errors)
    reached = np.cumsum(weights[order]) / weights.sum()
    low, high = (float(errors[order][min(np.searchsorted(reached, q), len(errors) - 1)]) for q in (0.1, 0.9))
    return low, high


def covered(errors, parts, regimes, keys, what) -> float:
    """Share of held-out figures inside the interval whose quantiles come from the other half of the keys, percent.

    The mean of `SPLITS` ways to halve the keys.
    """
    inside = []
    for split in range(SPLITS):
        half = np.array([zlib.crc32(f"half {split} {key}".encode()) % 2 for key in keys])
        for name in sorted(set(regimes[parts == what])):
            for side in (0, 1):
                mine = (regimes == name) & (half == side)
                other = (regimes == name) & (half != side)
                if mine.any() and other.any():
                    low, high = quantiles(errors[other], [k for k, of in zip(keys, other, strict=True) if of])
                    inside += [(errors[mine] >= low) & (errors[mine] <= high)]
    return float(100 * np.concatenate(inside).mean())


def carry(kept, observations, parts, errors) -> dict[str, tuple[float, float, float]]:
    """How much of one load's deviation another load of the same engine, model and format has, and what is left.

    On the same devices, and on another number of the same device. The share is the slope of least absolute errors,
    every configuration counted by the root of its pairs; then the 10th and 90th percentile of what it leaves.
    """
    found = {}
    for name, part_of in (("", ("loaded", "single")), (", ttft", ("ttft",))):
        groups = defaultdict(list)
        for i, o in enumerate(observations):
            if parts[i] in part_of:
                row = kept[o.row]
                groups[row["engine"], row["model"], row["quantization"], row["gpu_canonical"]].append(i)
        for place, same in (("same devices", True), ("other count", False)):
            pairs = [
                (-errors[i], -errors[j], group)
                for group, members in groups.items()
                for i in members
                for j in members
                if i != j and (kept[observations[i].row]["n_gpus"] == kept[observations[j].row]["n_gpus"]) == same
            ]
            first, second = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
            size = Counter(p[2] for p in pairs)
            weight = np.array([size[p[2]] ** -0.5 for p in pairs])
            share = min(np.arange(0, 1.01, 0.05), key=lambda s: float(np.sum(weight * np.abs(second - s * first))))
            left = second - share * first
            order = np.argsort(left)
            reached = np.cumsum(weight[order]) / weight.sum()
            low, high = (float(left[order][np.searchsorted(reached, q)]) for q in (0.1, 0.9))
            found[place + name] = (float(share), low, high)
    return found


def decisions(kept, observations, errors) -> tuple[int, int]:
    """Choices between priced GPUs for one model, engine, lengths and load: how many, and how many within 10 %."""
    choices = defaultdict(dict)
    for i, o in enumerate(observations):
        row = kept[o.row]
        if o.what != "output" or row["regime"] == "single":
            continue
        gpu = profiles.gpu(row["gpu_canonical"]).name
        prices = [float(p.usd_per_hour) for p in profiles.gpu_prices_for(gpu) if p.kind == "on_demand"]
        if prices:
            load = tuple(row[k] for k in ("group", "engine", "model", "input_len", "output_len", "concurrency"))
            cost = float(np.median(prices)) * (row["n_gpus"] or 1) / o.value
            cheapest = choices[load].get(gpu)
            if cheapest is None or cost < cheapest[0]:
                choices[load][gpu] = (cost, cost / float(np.exp(errors[i])))
    real = [list(by_gpu.values()) for by_gpu in choices.values() if len(by_gpu) > 1]
    good = sum(min(c, key=lambda x: x[1])[0] <= 1.1 * min(x[0] for x in c) for c in real)
    return len(real), good


def main() -> None:
    """Fit, cross-validate, print; write with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--write", action="store_true", help="Write the constants file and the report.")
    chosen = parser.parse_args()
    kept, questions, declined = load(chosen.data)
    observations = observe(kept)
    fit = Fit(questions, observations)
    everything = np.arange(len(fit.y))
    effects = fit.fit(everything)
    print(f"{len(fit.y)} figures of {len(kept)} rows, {len(fit.names)} effects", flush=True)
    keys = {
        "unseen GPU": [kept[o.row]["gpu_canonical"] for o in observations],
        "unseen model": [model_key(kept[o.row]) for o in observations],
    }
    sets = {name: fit.held_out(key, effects) for name, key in keys.items()}
    sets |= {"fitted (no hold-out)": fit.predict(effects, everything) - fit.y} | baselines(fit)
    parts = np.array([part(kept, o) for o in observations])
    regimes = np.array([regime(kept, o) for o in observations])
    carried = carry(kept, observations, parts, sets["unseen GPU"])
    text = report(kept, declined, observations, parts, regimes, sets, keys, len(fit.names), carried)
    print(text)
    if chosen.write:
        bands = {}
        for name in REGIMES:
            mine = regimes == name
            both = np.concatenate([-sets[k][mine] for k in keys])
            low, high = quantiles(both, [k for key in keys.values() for k, of in zip(key, mine, strict=True) if of])
            bands[name] = (min(low, 0.0), max(high, 0.0))
        (ROOT / "toolkit/predict/constants.py").write_text(
            constants_file(fit.names, effects, bands, carried, len(kept))
        )
        page = ROOT / "docs/predict.md"
        head = page.read_text().partition(MARK)[0] if page.exists() else "# Predicted speed\n\n"
        page.write_text(head + MARK + "\n\n" + text)


PARTS = ("loaded", "single", "ttft", "prefill")
REGIMES = ("single", "batched", "saturated", "ttft", "prefill")
BARS = (
    ("batched/saturated output", "loaded", 15, 35),
    ("single-stream decode", "single", 12, 35),
    ("TTFT at a stated load", "ttft", 25, None),
)
"""What is judged: name, part, median and P90 of the error in percent, at most."""
MARK = "<!-- below: written by tests/accuracy/calibrate_predict.py -->"


def constants_file(names, effects, bands, carried, rows_used: int) -> str:
    """The module of constants."""
    lines = [
        '"""Constants of the speed model: written by `tests/accuracy/calibrate_predict.py`, not by hand.',
        "",
        "``EFFECTS``: natural logarithms, ``quantity`` or ``quantity|tag``; see `coefficients`. ``BANDS``: the 10th",
        "and 90th percentile of log(measured / predicted) on held-out GPUs and models. ``CARRY``: of one measured",
        "load's deviation, the share that another load has, and the same percentiles of what is left. Source:",
        "published measurements, read 2026-11-23; the report is docs/predict.md.",
        '"""',
        "",
        f'FITTED = "physical model, constants fitted to {rows_used:,} published measurements (read 2026-11-23)"',
        "",
        "BANDS: dict[str, tuple[float, float]] = {",
        *(f'    "{k}": ({a:.3f}, {b:.3f}),' for k, (a, b) in bands.items()),
        "}",
        "",
        "CARRY: dict[str, tuple[float, float, float]] = {",
        *(f'    "{k}": ({s:.2f}, {a:.3f}, {b:.3f}),' for k, (s, a, b) in carried.items()),
        "}",
        "",
        "EFFECTS: dict[str, float] = {",
        *(f'    "{n}": {v:.3f},' for n, v in zip(names, effects, strict=True) if n in QUANTITIES or abs(v) >= 0.005),
        "}",
        "",
    ]
    return "\n".join(lines)


def report(kept, declined, observations, parts, regimes, sets, keys, effects: int, carried) -> str:
    """The accuracy page's tables."""
    named = [r for r, _ in declined if r["gpu_canonical"]]
    answered = 100 * len(kept) / (len(kept) + len(named))
    out = [
        f"{len(observations):,} measured figures of {len(kept):,} rows; {effects} effects, most near zero;",
        f"each whole GPU or whole model predicted from the others. Rows that name a device: {answered:.1f} % answered.",
        "",
        "## Error |predicted / measured − 1|, percent: median · P90",
        "",
        "| | " + " | ".join(f"{p} (n={int((parts == p).sum())})" for p in PARTS) + " |",
        "|---|" + "---|" * len(PARTS),
    ]
    for name, errors in sets.items():
        cells = [summary(errors[parts == p]) for p in PARTS]
        out.append(f"| {name} | " + " | ".join(f"{c['median']:.1f} · {c['p90']:.0f}" for c in cells) + " |")
    out += ["", "## Bars", "", "| bar | unseen GPU | unseen model |", "|---|---|---|"]
    for label, p, median, p90 in BARS:
        cells = []
        for name in keys:
            c = summary(sets[name][parts == p])
            met = c["median"] <= median and (p90 is None or c["p90"] <= p90)
            cells.append(f"{c['median']:.1f} · {c['p90']:.0f}: {'met' if met else '**missed**'}")
        bar = f"median ≤ {median} %" + (f", P90 ≤ {p90} %" if p90 else "")
        out.append(f"| {label}: {bar} | " + " | ".join(cells) + " |")
    for p in ("loaded", "single"):
        found = [covered(sets[name], parts, regimes, key, p) for name, key in keys.items()]
        out.append(
            f"| 80 % interval covers 75–85 %: {p} | "
            + " | ".join(f"{c:.0f} %: {'met' if 75 <= c <= 85 else '**missed**'}" for c in found)
            + " |"
        )
    out.append(f"| answers for ≥ 95 % | {answered:.1f} %: {'met' if answered >= 95 else '**missed**'} | |")
    cells = []
    for name in keys:
        n, good = decisions(kept, observations, sets[name])
        cells.append(f"{good} of {n} = {100 * good / n:.0f} %: {'met' if good >= 0.9 * n else '**missed**'}")
    out.append("| cheapest GPU within 10 % of the truly cheapest in ≥ 90 % | " + " | ".join(cells) + " |")
    out += floor(kept, observations, parts, sets, keys)
    share, low, high = carried["same devices"]
    out += [
        "",
        "## What one measured load says of another",
        "",
        f"Of its deviation from the prediction, another load of the same model and devices has {100 * share:.0f} %,",
        f"and then lies within {100 * (np.exp(low) - 1):+.0f} to {100 * (np.exp(high) - 1):+.0f} % in 80 % of cases;",
        f"on another number of the devices it has {100 * carried['other count'][0]:.0f} %.",
    ]
    for title, key in (("source group", "group"), ("engine", "engine"), ("device", "gpu_canonical")):
        out += [
            "",
            f"## By {title} (five figures or more)",
            "",
            f"| bar | {title} | n | unseen GPU | unseen model |",
            "|---|---|---|---|---|",
        ]
        groups = defaultdict(list)
        for i, o in enumerate(observations):
            groups[PARTS.index(parts[i]), str(kept[o.row][key])].append(i)
        for (p, g), members in sorted(groups.items()):
            if len(members) >= 5:
                cells = [summary(sets[name][members]) for name in keys]
                out.append(
                    f"| {PARTS[p]} | {g} | {len(members)} | "
                    + " | ".join(f"{c['median']:.0f} · {c['p90']:.0f}" for c in cells)
                    + " |"
                )
    return "\n".join(out) + "\n"


def floor(kept, observations, parts, sets, keys) -> list[str]:
    """How well anything could do: the held-out errors once each source's own deviation on a device were known."""
    out = [
        "",
        "## What no predictor could know",
        "",
        "The same errors after the median of each cell is taken out, as if it had been known beforehand:",
        "",
        "| known | bar | unseen GPU | unseen model |",
        "|---|---|---|---|",
    ]
    cells = {"source and engine": ("group", "engine"), "source, engine and GPU": ("group", "engine", "gpu_canonical")}
    for title, cell in cells.items():
        for p in ("loaded", "ttft"):
            texts = []
            for name in keys:
                left = sets[name].copy()
                groups = defaultdict(list)
                for i, o in enumerate(observations):
                    if parts[i] == p:
                        groups[tuple(kept[o.row][c] for c in cell)].append(i)
                for members in groups.values():
                    left[members] -= np.median(left[members])
                s = summary(left[parts == p])
                texts.append(f"{s['median']:.1f} · {s['p90']:.0f}")
            out.append(f"| {title} | {p} | " + " | ".join(texts) + " |")
    return out


if __name__ == "__main__":
    main()
