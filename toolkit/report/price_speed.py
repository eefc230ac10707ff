"""Price against speed of a ranking: every option a point, with the spread of prices and the interval of speeds.

Right and low is slow and cheap, high is fast; what nothing beats in both (`frontier`) is drawn full and named.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Literal

from toolkit.errors import EnvironmentFailedError, InputError
from toolkit.report import words
from toolkit.report.export import standalone
from toolkit.report.html import POLICY, table
from toolkit.report.svg import Plot, Scale, logarithmic, spread
from toolkit.report.tables import Table
from toolkit.types import HardwareOption, Recommendation

Against = Literal["usd_per_mtok", "usd_per_hour"]
NAME = "price-speed"
COLUMNS, ROWS = 64, 16
"""Size of the plot in a terminal, in characters."""


def write_price_speed(file: Path, result: Recommendation) -> None:
    """Write the plot as an SVG picture or an HTML page, by the file's ending.

    Raises:
        InputError: another ending.
        EnvironmentFailedError: the file cannot be written.
    """
    kind = file.suffix.lower()
    if kind not in (".svg", ".html"):
        raise InputError(f"{file} is neither .svg nor .html", "name the file so; - draws in the terminal.")
    svg = plot(result).render(NAME)
    text = standalone(svg, 1)[NAME] if kind == ".svg" else _page(result, svg)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailedError(f"cannot write {file}: {error.strerror or error}") from error


def against(result: Recommendation) -> Against:
    """What is drawn as price: per million tokens; per hour where some options cost nothing per token."""
    return "usd_per_mtok" if all(o.usd_per_mtok.p50 > 0 for o in result.options) else "usd_per_hour"


def speed(option: HardwareOption) -> float:
    """Tokens per second that each user sees."""
    return 1 / option.tpot_s.p50


def name(option: HardwareOption) -> str:
    """The hardware of an option in few characters."""
    return f"{option.replicas} × {option.count} {option.gpu} {option.quant}"


def frontier(result: Recommendation) -> list[HardwareOption]:
    """The options that no other beats in both price and speed, cheapest first."""
    kept: list[HardwareOption] = []
    for option in sorted(result.options, key=lambda o: (price(result, o), -speed(o))):
        if not kept or speed(option) > speed(kept[-1]):
            kept.append(option)
    return kept


def price(result: Recommendation, option: HardwareOption) -> float:
    """Dollars, as drawn."""
    return float(getattr(option, against(result)).p50)


def plot(result: Recommendation) -> Plot:
    """The drawing; both axes logarithmic where values span far."""
    best = frontier(result)
    unit = "$ per million tokens" if against(result) == "usd_per_mtok" else "$ per hour"
    x = _scale([float(v) for o in result.options for v in _spread(result, o)])
    drawn = Plot(
        title=f"Price against speed: {result.model}",
        description=f"{len(result.options)} ways to serve the load; {len(best)} are beaten by none in both.",
        x=x,
        y=_scale([v for o in result.options for v in (1 / o.tpot_s.p90, 1 / o.tpot_s.p10)]),
        width=760,
        height=440,
        right=190,
        x_title=f"{unit}, quartiles of list prices",
        y_title="tokens/s each user sees, 80 % interval",
    )
    drawn.axes({v: words.significant(v) for v in drawn.x.ticks()}, {v: words.significant(v) for v in drawn.y.ticks()})
    for option in result.options:
        chosen = option in best
        low, high = _spread(result, option)
        at = (price(result, option), speed(option))
        if chosen:
            drawn.line([(low, at[1]), (high, at[1])], "through")
            drawn.line([(at[0], 1 / option.tpot_s.p90), (at[0], 1 / option.tpot_s.p10)], "through")
        drawn.dot(at, "s0" if chosen else "s0 missed", 4.5 if chosen else 2.5)
        drawn.point_at(at, f"{name(option)}: {words.significant(at[1])} tokens/s, ${words.significant(at[0])}")
    _names(drawn, [(price(result, o), speed(o), name(o)) for o in best])
    return drawn


def _names(drawn: Plot, marks: Sequence[tuple[float, float, str]]) -> None:
    """Names in the right margin, each led to its point."""
    placed = sorted(((drawn.py(y), drawn.px(x), text) for x, y, text in marks), key=lambda m: m[0])
    edge = drawn.width - drawn.right
    places = spread([y for y, _, _ in placed], 15, drawn.top, drawn.height - drawn.bottom)
    for (y, x, text), place in zip(placed, places, strict=True):
        drawn.marks.append(f'<path class="grid" d="M{x:.1f} {y:.1f}L{edge + 6} {place:.1f}"/>')
        drawn.text(edge + 10, place + 4, text, "label")


def _spread(result: Recommendation, option: HardwareOption) -> tuple[float, float]:
    money = getattr(option, against(result))
    return float(money.p25), float(money.p75)


def _scale(values: Sequence[float]) -> Scale:
    positive = [v for v in values if v > 0]
    return logarithmic(positive or [1.0, 10.0])


def _page(result: Recommendation, svg: str) -> str:
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    load = f"{result.users} users" if result.users is not None else f"{result.tokens_per_day:,} tokens a day"
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(result.model)}: price against speed</title><style>{css}</style></head><body><main>"
        f"<h1>{escape(result.model)}: price against speed</h1>"
        f"<p>{result.context:,} tokens a request, {load}{escape(f', {result.slo}' if result.slo else '')}. Full points"
        " are beaten by none in both; hollow ones are.</p>"
        f'<figure>{svg}</figure>{table(options_table(result))}<ul class="notes">{notes}</ul></main></body></html>\n'
    )


def options_table(result: Recommendation) -> Table:
    """The ranking as plain cells."""
    rows = [
        (
            name(o),
            f"{o.output_tok_s.p50:,.0f} ({o.output_tok_s.p10:,.0f}–{o.output_tok_s.p90:,.0f})",
            words.significant(speed(o)),
            f"{o.usd_per_hour.p50:.2f} ({o.usd_per_hour.p25:.2f}–{o.usd_per_hour.p75:.2f})",
            f"{o.usd_per_mtok.p50:.2f} ({o.usd_per_mtok.p25:.2f}–{o.usd_per_mtok.p75:.2f})",
            o.quality or words.UNKNOWN,
        )
        for o in result.options
    ]
    heads = ("Hardware", "Output tokens/s", "Each user", "$ per hour", "$ per M tokens", "Quality of the format")
    return Table("Ranked by dollars per million tokens, cheapest first.", heads, tuple(rows), {}, {}, 5)


def in_terminal(result: Recommendation) -> str:
    """The plot in characters: a letter for each option that nothing beats in both, a dot for the others."""
    best = frontier(result)
    x = _scale([price(result, o) for o in result.options])
    y = _scale([speed(o) for o in result.options])
    grid = [[" "] * COLUMNS for _ in range(ROWS)]
    letters = {id(o): chr(ord("A") + i) if i < 26 else "+" for i, o in enumerate(best)}
    for option in sorted(result.options, key=lambda o: id(o) in letters):
        column = round(x.share(price(result, option)) * (COLUMNS - 1))
        row = round((1 - y.share(speed(option))) * (ROWS - 1))
        grid[row][column] = letters.get(id(option), "·")
    top, bottom = words.significant(y.hi), words.significant(y.lo)
    wide = max(len(top), len(bottom))
    edges = {0: top, ROWS - 1: bottom}
    lines = [f"{edges.get(i, ''):>{wide}} │{''.join(row).rstrip()}" for i, row in enumerate(grid)]
    unit = "$/M tokens" if against(result) == "usd_per_mtok" else "$/h"
    ends = f"{words.significant(x.lo)}{words.significant(x.hi):>{COLUMNS - len(words.significant(x.lo))}}"
    legend = [f"{letters[id(o)]}  {name(o)}" for o in best]
    return "\n".join(
        ["tokens/s each user sees", *lines, f"{'':>{wide}} └{'─' * COLUMNS}", f"{'':>{wide}}  {ends} {unit}", *legend]
    )
