"""`selfhost decide`: closed, hosted, rented or owned; why; and what would change that."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from toolkit.cli import options as o

if TYPE_CHECKING:
    from datetime import date

    from toolkit.decide.answers import Answers
    from toolkit.decide.money import Api, Money
    from toolkit.types import CostReport, Licence

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

CLOSED_PROVIDERS = ("openai", "anthropic", "google", "azure", "x-ai")
DEFAULT_CLOSED, DEFAULT_HOSTED = "gpt-4o", "together:llama-3.3-70b"
"""Whose list prices stand for the two kinds of API where no cost report names others."""
ATTEMPTS = 5

QUESTIONS: tuple[tuple[str, str, str], ...] = (
    ("offline", "Must it work without a network? (y/n)", "n"),
    ("data_class", "The data: public, internal, personal, health or may-not-leave", "internal"),
    ("task", "The task: classification, extraction, summarization, rag, chat, instruction, code, reasoning, agentic",
     "chat"),
    ("quality_gap", "Points by which closed models did better on your own examples (empty: not measured)", ""),
    ("narrow_task", "Is the task narrow and specific to your field? (y/n)", "n"),
    ("engineers", "Engineers who could run a server", "0"),
    ("hours_per_month", "Hours a month they have for it", "0"),
    ("tokens_per_day", "Tokens a day, input + output, like 250k or 10M", "1M"),
    ("model", "The open model you think of (empty: none yet)", ""),
)  # fmt: skip
"""Key of the answer, the question, and what Enter means."""
OF_A_MODEL: tuple[tuple[str, str, str], ...] = (
    ("mau", "Monthly active users of all your products (empty: fewer than any licence's limit)", ""),
    ("region", "Country where you are domiciled, like DE (empty: not said)", ""),
)
"""What a licence may depend on; asked once a model is named."""
LONGEST = 1000
"""Characters of an answer that are read."""


@app.command()
def decide(
    answers: Annotated[Path | None, typer.Option(help="A TOML file of answers. Default: they are asked for.")] = None,
    order: Annotated[
        Literal["gates", "article"], typer.Option(help="gates, or the source article's six questions.")
    ] = "gates",
    cost: Annotated[
        Path | None, typer.Option(help="What self-hosting costs: cost.json or its folder, from `selfhost cost`.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Should this workload be self-hosted: verdict, reasons, and what would change it."""
    from datetime import date

    from toolkit.cli.output import emit
    from toolkit.decide.verdict import decide as judge
    from toolkit.report.decide import render

    own = _cost(cost) if cost else None
    said = _of_file(answers) if answers else _asked()
    today = date.today()
    verdict = judge(said, today, _money(own, today), _licence(said.model) if said.model else None, order)
    if as_json:
        emit(verdict)
    else:
        print(render(verdict))


def _of_file(path: Path) -> Answers:
    from toolkit.cli.toml import read_toml
    from toolkit.decide.answers import read_answers

    return read_answers(read_toml(path))


def _asked() -> Answers:
    """The questions, one by one, on a terminal."""
    from toolkit.decide.answers import read_answers
    from toolkit.errors import InputError

    if not sys.stdin.isatty():
        raise InputError("there is nobody to ask", "Give --answers FILE.toml, or run it on a terminal.")
    found: dict[str, Any] = {}
    for key, question, default in QUESTIONS:
        found |= _answer(key, question, default)
    for key, question, default in OF_A_MODEL if "model" in found else ():
        found |= _answer(key, question, default)
    return read_answers(found)


def _answer(key: str, question: str, default: str) -> dict[str, Any]:
    from toolkit.cli.output import note
    from toolkit.decide.answers import read_answers
    from toolkit.errors import InputError

    for _ in range(ATTEMPTS):
        text = _reply(question, default)
        if not text:
            return {}
        try:
            value = {key: text if key in ("model", "region") else _value(text)}
            read_answers(value)
        except InputError as error:
            note(f"{error.message}{f'; {error.hint}' if error.hint else ''}")
        else:
            return value
    raise InputError(f"no usable answer to {question!r} in {ATTEMPTS} attempts")


def _reply(question: str, default: str) -> str:
    """What is typed, or the default; asked on stderr, for stdout is the document's."""
    from toolkit.errors import InputError

    print(f"{question}{f' [{default}]' if default else ''}: ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline(LONGEST)
    if not line:
        print(file=sys.stderr)
        raise InputError("the input ended before the last question", "Enter takes the default of each.")
    return line.strip() or default


def _value(text: str) -> Any:
    """What is typed as what it means: yes and no, a number, else the text."""
    if text.lower() in ("y", "yes", "n", "no"):
        return text.lower()[0] == "y"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def _cost(path: Path) -> CostReport:
    from toolkit.cli.pipeline import read_document
    from toolkit.types import CostReport

    found: CostReport = read_document(path / "cost.json" if path.is_dir() else path, CostReport)
    return found


def _licence(model: str) -> Licence | None:
    """By the model's canonical name where it is on record, else by the name as given."""
    from toolkit import profiles
    from toolkit.errors import InputError

    try:
        name = profiles.model(model).name
    except InputError:
        name = model
    return profiles.licence_of(name) or profiles.licence_of(model)


def _money(own: CostReport | None, today: date) -> Money:
    """The cheapest closed and hosted API of the cost report, else a usual one of each at its list price."""
    from toolkit.decide.money import Api, Money

    found = [
        (a.provider in CLOSED_PROVIDERS, Api(a.name, a.usd_per_mtok, a.price_date, a.deprecated, a.retires))
        for a in (own.alternatives if own else ())
    ]
    closed = [api for is_closed, api in found if is_closed]
    hosted = [api for is_closed, api in found if not is_closed]
    return Money(
        closed=min(closed, key=_rate) if closed else _listed(DEFAULT_CLOSED, today),
        hosted_open=min(hosted, key=_rate) if hosted else _listed(DEFAULT_HOSTED, today),
        own=own,
    )


def _rate(api: Api) -> Any:
    return api.usd_per_mtok


def _listed(name: str, today: date) -> Api:
    from toolkit.cost import sources
    from toolkit.cost.goodput import TYPICAL_INPUT_SHARE
    from toolkit.cost.traffic import Request
    from toolkit.decide.money import Api

    quote = sources.quote(name, (Request(),), today)
    price = quote.price
    return Api(name, quote.usd_per_mtok(TYPICAL_INPUT_SHARE), price.price_date, price.deprecated, price.retires)
