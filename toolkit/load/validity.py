"""Is a level's result true? Pure rules over its rows and figures; every verdict says why in one sentence.

A level is invalid when its figures do not mean what they say: the client was the limit, the asked load was not
made, the answers were not as long as asked, the server restarted, the load had not settled. What merely limits a
reading (few requests for p99, stamps without the kernel) is a note.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.load.metrics import Window, measured, on_schedule, tpot
from toolkit.load.rows import CUT, Row
from toolkit.load.slo import Slo, percentile
from toolkit.load.spec import LoadLevel

BUSY_KERNEL = 0.9
BUSY_USER = 0.7
"""CPU share of one core beyond which a load process distorts: later with kernel stamps, which do not move."""
LAG_S = 0.05
"""Client lag (p99) beyond which, and beyond twice the typical gap, reads run together and gaps blur."""
RATE_SHARE = 0.95
LENGTH_SHARE = 0.10
INPUT_SHARE = 0.05
CUT_SHARE = 0.05
HALF_CHANGE = 0.25
HALF_FLOOR_S = 0.005
HALF_Z = 3.3
"""Two halves differ when their medians do by a quarter and 5 ms, and the rank sum by 3.3 sigma (one in 1,000)."""
HALF_ROWS = 10


@dataclass(frozen=True)
class Verdict:
    """``why_invalid`` None means valid; ``broken`` names the rules that say so."""

    why_invalid: str | None
    notes: tuple[str, ...]
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What the rules look at: the level's rows, its figures (fields of `types.Level`), and what was asked."""

    rows: Sequence[Row]
    figures: Mapping[str, Any]
    load: LoadLevel
    window: Window
    slo: Slo | None
    asked_input: Mapping[int, int]
    """Prompt id → asked input tokens."""

    @property
    def done(self) -> list[Row]:
        """Completed, measured requests."""
        return [row for row in measured(self.rows) if row.ok]


def judge(evidence: Evidence) -> Verdict:
    """Apply every rule."""
    why = {rule.__name__.strip("_"): found for rule in _INVALID if (found := rule(evidence))}
    notes = [found for rule in _NOTES if (found := rule(evidence))]
    return Verdict("; ".join(why.values()) or None, tuple(notes), tuple(why))


# --- what makes a level invalid ---


def _nothing(e: Evidence) -> str | None:
    return None if e.figures["completed"] else "no request completed"


def _restarted(e: Evidence) -> str | None:
    return "the server restarted during the level" if e.window.restarted else None


def _ended_early(e: Evidence) -> str | None:
    return f"ended early: {e.window.ended_early}" if e.window.ended_early else None


def _worker_lost(e: Evidence) -> str | None:
    return f"a load worker was lost: {', '.join(e.window.lost)}" if e.window.lost else None


def _client_busy(e: Evidence) -> str | None:
    limit = BUSY_KERNEL if all(row.stamps == "kernel" for row in e.done) else BUSY_USER
    busy = e.window.busy
    if busy is None or busy < limit:
        return None
    return f"client-bound: a load process used {busy:.0%} of a core; use more processes"


def _client_late(e: Evidence) -> str | None:
    lag, gaps = e.figures["client_lag_s"], e.figures["itl_s"]
    if lag is None or gaps is None or lag.p99 <= max(LAG_S, 2 * gaps.p50):
        return None
    return f"client-bound: it read up to {lag.p99 * 1e3:.0f} ms late (p99), several tokens at once"


def _rate(e: Evidence) -> str | None:
    if e.load.rate is None:
        return None
    share = on_schedule(measured(e.rows), e.load.rate, e.window.unsent)
    if share >= RATE_SHARE:
        return None
    return f"rate not reached: {share * e.load.rate:.3g} of {e.load.rate:g} requests/s were sent on time"


def _output_length(e: Evidence) -> str | None:
    asked = sum(row.asked_output_tokens for row in e.done)
    made = sum(row.output_tokens for row in e.done)
    if not asked or abs(made / asked - 1) <= LENGTH_SHARE:
        return None
    n = len(e.done)
    return f"output lengths not as asked: {made / n:.0f} tokens on average instead of {asked / n:.0f}"


def _few_for_slo(e: Evidence) -> str | None:
    few = _too_few(e, at_least=99)
    return f"too few for the service level: {few}" if few else None


def _left_running(e: Evidence) -> str | None:
    if e.window.ended_early:
        return None
    cut = sum(1 for row in e.rows if row.error == CUT and not row.warmup)
    everyone = e.figures["requests"] + cut
    if not everyone or cut / everyone <= CUT_SHARE:
        return None
    return f"{cut} of {everyone} requests were still running at the end and are left out"


def _rising(e: Evidence) -> str | None:
    found = _trend(e)
    if found is None or found[1] < 0:
        return None
    rate = " (requests come faster than they are served)" if e.load.rate is not None else ""
    return f"not steady: {found[0]} changed by {found[1]:+.0%} between the first and the second half{rate}"


def _falling(e: Evidence) -> str | None:
    found = _trend(e)
    if found is None or found[1] > 0:
        return None
    return (
        f"not steady: {found[0]} changed by {found[1]:+.0%} between the first and the second half; "
        "the warm-up was too short"
    )


def _trend(e: Evidence) -> tuple[str, float] | None:
    if e.load.shape is not None:  # a load that changes by itself
        return None
    rows = sorted((row for row in e.done if row.turn == 0), key=lambda row: row.scheduled_s)
    half = len(rows) // 2
    for name, value in _TRENDS.items() if half >= HALF_ROWS else ():
        first = [v for row in rows[:half] if (v := value(row)) is not None]
        second = [v for row in rows[half:] if (v := value(row)) is not None]
        change = _shift(first, second)
        if change is not None:
            return name, change
    return None


def _first_token(row: Row) -> float | None:
    return row.token_s[0] - row.scheduled_s if row.token_s else None


def _whole_answer(row: Row) -> float | None:
    """For embeddings alone: where tokens come, answers of several lengths differ by themselves."""
    return None if row.token_s else row.end_s - row.scheduled_s


_TRENDS: dict[str, Callable[[Row], float | None]] = {
    "time to first token": _first_token,
    "time per token": tpot,
    "latency": _whole_answer,
}


def _shift(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Relative change of the median from first to second, when it is large and no accident; else None."""
    if min(len(first), len(second)) < HALF_ROWS:
        return None
    a, b = percentile(sorted(first), 50), percentile(sorted(second), 50)
    if abs(b - a) < HALF_FLOOR_S or abs(b - a) / max(a, 1e-9) < HALF_CHANGE or abs(rank_z(first, second)) < HALF_Z:
        return None
    return b / max(a, 1e-9) - 1


def rank_z(first: Sequence[float], second: Sequence[float]) -> float:
    """Mann–Whitney U as a z value (normal approximation, ties at mid rank): positive when ``second`` is greater."""
    n, m = len(first), len(second)
    ordered = sorted([(v, 0) for v in first] + [(v, 1) for v in second])
    rank_sum = 0.0
    i = 0
    while i < len(ordered):
        j = i
        while j < len(ordered) and ordered[j][0] == ordered[i][0]:
            j += 1
        rank_sum += (i + j + 1) / 2 * sum(group for _, group in ordered[i:j])
        i = j
    u = rank_sum - m * (m + 1) / 2
    return (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


# --- what a careful reader should know ---


def _few(e: Evidence) -> str | None:
    few = _too_few(e, at_least=0)
    if few and not _few_for_slo(e):
        return few
    n = e.figures["completed"]
    return f"p99 of {n} requests is their greatest" if 0 < n < 100 and not few else None


def _user_stamps(e: Evidence) -> str | None:
    n = sum(1 for row in e.done if row.stamps == "user")
    return f"{n} requests have our own time stamps, not the kernel's" if n else None


def _events(e: Evidence) -> str | None:
    rows = [row for row in e.done if row.input_tokens is not None]
    tokens, events = sum(row.output_tokens for row in rows), sum(row.events for row in rows)
    if not events or abs(tokens / events - 1) < 0.05:
        return None
    return f"{tokens / events:.2f} tokens per event on average; gaps are between events"


def _counted(e: Evidence) -> str | None:
    n = sum(1 for row in e.done if row.input_tokens is None)
    return f"{n} replies had no usable usage: their tokens are counted events, their input is unknown" if n else None


def _input_length(e: Evidence) -> str | None:
    rows = [row for row in e.done if row.input_tokens is not None and row.turn == 0 and row.prompt_id in e.asked_input]
    asked = sum(e.asked_input[row.prompt_id] for row in rows)
    given = sum(row.input_tokens or 0 for row in rows)
    if not asked or abs(given / asked - 1) <= INPUT_SHARE:
        return None
    return f"prompts were {given / len(rows):.0f} tokens long on average, {asked / len(rows):.0f} were asked"


def _clock(e: Evidence) -> str | None:
    return "the wall clock was set during the level; stamps follow it" if e.window.clock_steps else None


def _cut(e: Evidence) -> str | None:
    cut = sum(1 for row in e.rows if row.error == CUT and not row.warmup)
    return f"{cut} requests still running at the end are left out" if cut and not _left_running(e) else None


def _unsent(e: Evidence) -> str | None:
    return f"{e.window.unsent} requests were due and never sent" if e.window.unsent else None


def _asked_to_wait(e: Evidence) -> str | None:
    waits = [row.retry_after_s for row in e.rows if row.retry_after_s is not None]
    if not waits:
        return None
    heeded = "users did" if e.load.concurrency is not None else "the schedule went on"
    return f"{len(waits)} refusals asked us to wait (Retry-After, up to {max(waits):g} s); {heeded}"


def _too_few(e: Evidence, at_least: float) -> str | None:
    """Whether a percentile of the service level, that high or higher, rests on fewer values than it needs."""
    for bound in e.slo.bounds if e.slo else ():
        if isinstance(bound.quantile, float) and bound.quantile >= at_least:
            found = e.figures[f"{bound.metric}_s"]
            needed = math.ceil(round(100 / (100 - bound.quantile), 6))
            if found is not None and found.n < needed:
                return f"{bound.metric}_p{bound.quantile:g} of {found.n} values, {needed} are needed"
    return None


_INVALID = (
    _nothing, _restarted, _ended_early, _worker_lost, _client_busy, _client_late, _rate, _output_length, _few_for_slo,
    _left_running, _rising, _falling,
)  # fmt: skip
_NOTES = (_few, _user_stamps, _events, _counted, _input_length, _clock, _cut, _unsent, _asked_to_wait)
