"""The six questions of the source article, in its order: the first that triggers decides."""

from __future__ import annotations

from toolkit.decide.answers import Answers
from toolkit.types import ArticleVerdict, ServingOption

THRESHOLD_TOKENS_PER_DAY = 5_000_000
PRIVATE = ("personal", "health", "may-not-leave")
FRONTIER = ("reasoning", "agentic")
GROUP: dict[ServingOption, str] = {
    "closed": "closed", "hosted-open": "hosted", "dedicated": "own", "rented": "own", "owned": "own",
    "on-device": "own", "hybrid": "hybrid",
}  # fmt: skip
"""The article knows closed and self-hosted open; what of ours counts as which."""


def ask(answers: Answers) -> tuple[int | None, str, ServingOption]:
    """The deciding question (None: none triggered), the article's answer in words, and the option it means."""
    own: ServingOption = "owned" if answers.data_class == "may-not-leave" else "rented"
    questions: tuple[tuple[bool, str, ServingOption], ...] = (
        (answers.data_class in PRIVATE, "a privacy or compliance constraint: self-hosted open", own),
        (answers.task in FRONTIER, "frontier reasoning or agents: closed", "closed"),
        (not answers.engineers, "no ML engineer or infrastructure team: closed", "closed"),
        ((answers.tokens_per_day or 0) > THRESHOLD_TOKENS_PER_DAY, "more than 5M tokens a day: evaluate open", own),
        (bool(answers.narrow_task), "a narrow task: an open model, fine-tuned", own),
        (bool(answers.offline), "on the device or offline: open only", "on-device"),
    )
    for number, (triggered, words, option) in enumerate(questions, 1):
        if triggered:
            return number, words, option
    return None, "nothing triggers: closed, migrate later", "closed"


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
