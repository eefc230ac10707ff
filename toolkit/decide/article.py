"""The six questions of the source article, in its order: the first that triggers decides."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.decide.answers import Answers
from toolkit.types import ArticleQuestion, ArticleVerdict, ServingOption

THRESHOLD_TOKENS_PER_DAY = 5_000_000
PRIVATE = ("personal", "health", "may-not-leave")
FRONTIER = ("reasoning", "agentic")
GROUP: dict[ServingOption, str] = {
    "closed": "closed", "hosted-open": "hosted", "dedicated": "own", "rented": "own", "owned": "own",
    "on-device": "own", "hybrid": "hybrid",
}  # fmt: skip
"""The article knows closed and self-hosted open; what of ours counts as which."""


@dataclass(frozen=True)
class _Question:
    """The question, the answer to it here, the answer that decides, what follows then, and the option that means."""

    text: str
    yes: bool
    decides_at: bool
    words: str
    option: ServingOption

    @property
    def triggers(self) -> bool:
        return self.yes == self.decides_at


def _questions(answers: Answers) -> tuple[_Question, ...]:
    own: ServingOption = "owned" if answers.data_class == "may-not-leave" else "rented"
    large = (answers.tokens_per_day or 0) > THRESHOLD_TOKENS_PER_DAY
    return (
        _Question("A privacy or compliance constraint?", answers.data_class in PRIVATE, True,
                  "a privacy or compliance constraint: self-hosted open", own),
        _Question("Frontier reasoning or agentic work?", answers.task in FRONTIER, True,
                  "frontier reasoning or agents: closed", "closed"),
        _Question("An ML engineer or infrastructure team?", bool(answers.engineers), False,
                  "no ML engineer or infrastructure team: closed", "closed"),
        _Question("More than 5M tokens a day?", large, True, "more than 5M tokens a day: evaluate open", own),
        _Question("A narrow, domain-specific task?", bool(answers.narrow_task), True,
                  "a narrow task: an open model, fine-tuned", own),
        _Question("On the device or offline?", bool(answers.offline), True, "on the device or offline: open only",
                  "on-device"),
    )  # fmt: skip


def ask(answers: Answers) -> tuple[int | None, str, ServingOption]:
    """The deciding question (None: none triggered), the article's answer in words, and the option it means."""
    for number, question in enumerate(_questions(answers), 1):
        if question.triggers:
            return number, question.words, question.option
    return None, "nothing triggers: closed, migrate later", "closed"


def collisions(answers: Answers) -> list[str]:
    """Later questions that would lead elsewhere than the one that decided: the article never gets to them."""
    triggered = [(n, q) for n, q in enumerate(_questions(answers), 1) if q.triggers]
    if not triggered:
        return []
    (decides, first), *later = triggered
    return [
        f"The article's question {n} would lead elsewhere ({q.words}), and is not asked after question {decides}."
        for n, q in later
        if GROUP[q.option] != GROUP[first.option]
    ]


def compare(answers: Answers, chosen: ServingOption) -> ArticleVerdict:
    """What the article says, beside what the gates chose."""
    number, words, option = ask(answers)
    agrees = GROUP[option] == GROUP[chosen]
    return ArticleVerdict(
        verdict=option,
        question=number,
        answer=words,
        agrees=agrees,
        why="both say the same" if agrees else _why(answers, number, option, chosen),
        questions=tuple(
            ArticleQuestion(
                number=n, question=q.text, yes=q.yes, leads_to=q.words.partition(": ")[2] if q.triggers else None
            )
            for n, q in enumerate(_questions(answers), 1)
        ),
    )


def _why(answers: Answers, number: int | None, option: ServingOption, chosen: ServingOption) -> str:
    if answers.offline and number is not None and number < 6:
        return "the article asks about offline use last, and an earlier question answered first"
    if GROUP[chosen] in ("hosted", "hybrid"):
        return f"no question of the article leads to {chosen}"
    if number == 1 and not answers.engineers:
        return "the article asks about privacy before it asks who would run the server"
    if number in (3, None) or option == "closed":
        return f"the gates leave {chosen}; the article stops at {f'question {number}' if number else 'its default'}"
    return "the gates look at places, licence, quality, people and money where the article has one threshold"
