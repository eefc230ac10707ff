"""Calibrate the speed model and cross-validate it: `python -m tests.accuracy.calibrate_predict [--write]`.

Reads ``throughput.jsonl`` (one published measurement a row) from ``--data``, by default ``../shared/data``. Fits the
effects of `toolkit.predict.coefficients` by robust regression on logarithms (`predict_fit`), and holds out one whole
GPU, then one whole model, at a time. ``--write`` writes ``toolkit/predict/constants.py`` and the accuracy tables of
``docs/predict.md`` (`predict_report`). Needs numpy; nothing here is used at run time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tests.accuracy import predict_report
from tests.accuracy.predict_fit import Fit, load, model_key, observe
from toolkit.predict.coefficients import QUANTITIES

ROOT = Path(__file__).parents[2]
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
    sets |= {"fitted (no hold-out)": fit.predict(effects, everything) - fit.y} | predict_report.baselines(fit)
    parts = np.array([predict_report.part(kept, o) for o in observations])
    regimes = np.array([predict_report.regime(kept, o) for o in observations])
    carried = predict_report.carry(kept, observations, parts, sets["unseen GPU"])
    text = predict_report.report(kept, declined, observations, parts, regimes, sets, keys, len(fit.names), carried)
    print(text)
    if chosen.write:
        bands = {}
        for name in predict_report.REGIMES:
            mine = regimes == name
            both = np.concatenate([-sets[k][mine] for k in keys])
            low, high = predict_report.quantiles(
                both, [k for key in keys.values() for k, of in zip(key, mine, strict=True) if of]
            )
            bands[name] = (min(low, 0.0), max(high, 0.0))
        (ROOT / "toolkit/predict/constants.py").write_text(
            constants_file(fit.names, effects, bands, carried, len(kept))
        )
        page = ROOT / "docs/predict.md"
        head = page.read_text().partition(MARK)[0] if page.exists() else "# Predicted speed\n\n"
        page.write_text(head + MARK + "\n\n" + text)


if __name__ == "__main__":
    main()
