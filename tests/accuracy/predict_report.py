"""The accuracy page of the speed model: held-out errors, bars, intervals, decisions, and what nobody could know.

Written into ``docs/predict.md`` by `tests.accuracy.calibrate_predict`. Needs numpy; nothing here is used at run time.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict

import numpy as np

from tests.accuracy.predict_fit import Fit, Observation
from toolkit import profiles
from toolkit.predict.coefficients import QUANTITIES

SPLITS = 10
"""Ways in which the interval is checked on one half of the GPUs or models and taken from the other."""
PARTS = ("loaded", "single", "ttft", "prefill")
REGIMES = ("single", "batched", "saturated", "ttft", "prefill")
BARS = (
    ("batched/saturated output", "loaded", 15, 35),
    ("single-stream decode", "single", 12, 35),
    ("TTFT at a stated load", "ttft", 25, None),
)
"""What is judged: name, part, median and P90 of the error in percent, at most."""


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
            told = [f"median {_met(c['median'] <= median)}"] + ([f"P90 {_met(c['p90'] <= p90)}"] if p90 else [])
            cells.append(f"{c['median']:.1f} · {c['p90']:.0f}: {', '.join(told)}")
        bar = f"median ≤ {median} %" + (f", P90 ≤ {p90} %" if p90 else "")
        out.append(f"| {label}: {bar} | " + " | ".join(cells) + " |")
    for p in ("loaded", "single", "ttft"):
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


def _met(bar: bool) -> str:
    return "met" if bar else "**missed**"


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
