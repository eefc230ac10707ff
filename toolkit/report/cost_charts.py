"""The plots of cost: dollars per million tokens over the daily volume, and side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

from toolkit.cost.formulas import DAYS_PER_MONTH, MTOK
from toolkit.report import words
from toolkit.report.charts import NARROW, WIDE
from toolkit.report.svg import Plot, Scale, logarithmic
from toolkit.types import Alternative, CostReport


@dataclass(frozen=True)
class Bar:
    """One price: what it is, dollars per million tokens, a CSS class and a remark under the name."""

    name: str
    usd_per_mtok: Decimal
    kind: str
    remark: str = ""


def bars(cost: CostReport) -> list[Bar]:
    """Self-hosting busy all the time, at the stated volume, and each API, dearest last."""
    own = [Bar("Self-hosted, busy all day", cost.usage_usd_per_mtok, "own", "usage price")]
    if cost.allocation_usd_per_mtok is not None:
        remark = f"everything paid, at {words.tokens(cost.tokens_per_day)} a day"
        own.append(Bar("Self-hosted, your volume", cost.allocation_usd_per_mtok, "own", remark))
    apis = [Bar(a.name, a.usd_per_mtok, "api", f"{a.provider}, {a.price_date}") for a in cost.alternatives]
    return own + sorted(apis, key=lambda b: b.usd_per_mtok)


def bar_list(items: Sequence[Bar]) -> str:
    """Horizontal bars as an HTML list: text stays text, so it wraps and scales on a phone."""
    top = max((b.usd_per_mtok for b in items), default=Decimal(1)) or Decimal(1)
    return "".join(
        f'<li class="{b.kind}"><span class="bar-name">{escape(b.name)}<small>{escape(b.remark)}</small></span>'
        f'<span class="bar-track"><span class="bar" style="width:{float(b.usd_per_mtok / top) * 100:.2f}%"></span>'
        f"</span><b>{words.usd(b.usd_per_mtok)}</b></li>"
        for b in items
    )


def price_over_volume(cost: CostReport) -> tuple[str, str] | None:
    """(wide, narrow): self-hosting's price per million falls with the volume, each API's stays flat.

    None when the report lacks what the curve needs.
    """
    if cost.capacity_tokens_per_day is None or cost.usd_per_replica_month is None or not cost.alternatives:
        return None
    if cost.capacity_tokens_per_day < 1 or not cost.searched_up_to_tokens_per_day:
        return None
    lo, hi = _volumes(cost)
    curve = _staircase(cost, lo, hi)
    return _price_plot(cost, curve, lo, hi, WIDE), _price_plot(cost, curve, lo, hi, NARROW)


def _volumes(cost: CostReport) -> tuple[float, float]:
    """From a hundredth of one replica's capacity to ten times it, widened to show crossings and the user's volume."""
    capacity = float(cost.capacity_tokens_per_day or 1)
    seen = [capacity / 100, capacity * 10]
    seen += [start for a in cost.alternatives for start, _ in a.self_host_wins_tokens_per_day[:1]]
    if cost.tokens_per_day:
        seen.append(cost.tokens_per_day)
    hi = min(max(seen) * 1.5, float(cost.searched_up_to_tokens_per_day or max(seen)))
    return max(1.0, min(seen) / 1.5), max(hi, capacity)


def _staircase(cost: CostReport, lo: float, hi: float) -> list[tuple[float, float]]:
    """(tokens per day, $ per million) on a log grid, with both sides of every step that a screen can show."""
    capacity = float(cost.capacity_tokens_per_day or 1)
    grid = [lo * (hi / lo) ** (i / 200) for i in range(201)]
    steps = [k * capacity for k in range(1, 25) if lo < k * capacity < hi]
    volumes = sorted(grid + steps + [s * (1 + 1e-9) + 1 for s in steps])
    return [(v, _price_at(cost, v)) for v in volumes if v <= hi]


def _price_at(cost: CostReport, tokens_per_day: float) -> float:
    n = max(1, math.ceil(tokens_per_day / float(cost.capacity_tokens_per_day or 1) - 1e-12)) + cost.spare
    usd = n * float(cost.usd_per_replica_month or 0) + float(cost.fixed_usd_per_month)
    return usd / (tokens_per_day * float(DAYS_PER_MONTH / MTOK)) + float(cost.other_usd_per_mtok)


def _price_plot(cost: CostReport, curve: Sequence[tuple[float, float]], lo: float, hi: float, width: int) -> str:
    wide = width == WIDE
    prices = [float(a.usd_per_mtok) for a in cost.alternatives if a.usd_per_mtok > 0]
    shown = [p for _, p in curve if p <= 20 * max(prices, default=1.0)]
    y = logarithmic([*shown, *prices])
    x = Scale(lo, hi, log=True)
    plot = Plot(
        title="Dollars per million tokens over the daily volume",
        description="; ".join(
            f"{a.name} {words.usd(a.usd_per_mtok)}: self-hosting is cheaper "
            f"{words.wins(a.self_host_wins_tokens_per_day, cost.searched_up_to_tokens_per_day)}"
            for a in cost.alternatives
        ),
        x=x,
        y=y,
        width=width,
        height=360 if wide else 320,
        left=54,
        right=190 if wide else 104,
        x_title="tokens a day, input + output",
        y_title="$ per million tokens",
    )
    plot.axes({t: words.tokens(t) for t in x.ticks(7 if wide else 3)}, {t: _tick(t) for t in y.ticks(6)})
    for price in prices:
        plot.line([(lo, price), (hi, price)], "api")
    most = 20 if wide else 14
    plot.beside([(float(a.usd_per_mtok), _short(a, most)) for a in cost.alternatives if a.usd_per_mtok > 0], "api")
    plot.line([p for p in curve if p[1] <= y.hi], "own")
    for v, p in curve[::5]:
        if p <= y.hi:
            plot.point_at((v, p), f"{words.tokens(v)} a day: {words.usd(p)} per million self-hosted")
    _crossings(plot, cost)
    if cost.tokens_per_day and lo <= cost.tokens_per_day <= hi:
        plot.upright(cost.tokens_per_day, f"your {words.tokens(cost.tokens_per_day)}", "mine", at_top=True)
    return plot.render(f"price-{'w' if wide else 'n'}", "wide" if wide else "narrow")


def _tick(usd: float) -> str:
    return f"${words.significant(usd)}" if usd >= 1 else words.usd(usd)


def _short(alternative: Alternative, most: int) -> str:
    """The model's own name, cut to fit a margin, with its price where there is room."""
    name = alternative.name.rpartition("/")[2] if "/" in alternative.name else alternative.name
    cut = name if len(name) <= most else name[: most - 1] + "…"
    return f"{cut} {words.usd(alternative.usd_per_mtok)}" if most > 14 else cut


def _crossings(plot: Plot, cost: CostReport) -> None:
    """A mark where self-hosting first becomes cheaper than each API."""
    for a in cost.alternatives:
        for start, _ in a.self_host_wins_tokens_per_day[:1]:
            if plot.x.lo <= start <= plot.x.hi:
                at = (float(start), float(a.usd_per_mtok))
                plot.dot(at, "own", 4.5)
                plot.point_at(at, f"cheaper than {a.name} from {words.tokens(start)} a day")
