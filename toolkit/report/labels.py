"""Where the labels of marks stand: close to their mark, and on no other mark or label as far as there is room. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

CHAR, TALL = 6.8, 11.0
"""Width of a character and height of a line of the plots' 12-unit text, in drawing units."""
MARK = 7.0
"""Half the side of the square that a mark wants for itself."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""
Place = tuple[float, float, str]
"""x and baseline of a text, and the CSS class of its anchor."""


def places(marks: Sequence[tuple[float, float]], texts: Sequence[str], within: Box) -> list[Place]:
    """A place for the text of each mark, in their order; above the mark when nothing speaks against it."""
    squares = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in marks]
    taken: list[Box] = []
    found: list[Place] = []
    for i, ((x, y), text) in enumerate(zip(marks, texts, strict=True)):
        others = [*taken, *squares[:i], *squares[i + 1 :]]
        best = min(_candidates(x, y), key=lambda place: _cost(_box(place, text), others, within))
        found.append(best)
        taken.append(_box(best, text))
    return found


def _candidates(x: float, y: float) -> list[Place]:
    """Above, right, left, below, the corners, then farther up and down."""
    near = [(x, y - 11, "mid"), (x + 10, y + 4, ""), (x - 10, y + 4, "end"), (x, y + 20, "mid")]
    corners = [(x + 7, y - 9, ""), (x - 7, y - 9, "end"), (x + 7, y + 17, ""), (x - 7, y + 17, "end")]
    return [*near, *corners, (x, y - 25, "mid"), (x, y + 34, "mid")]


def _box(place: Place, text: str) -> Box:
    x, y, anchor = place
    wide = CHAR * len(text)
    left = {"mid": x - wide / 2, "end": x - wide}.get(anchor, x)
    return left, y - TALL, left + wide, y + 2


def _cost(box: Box, others: Iterable[Box], within: Box) -> float:
    """Area that the text shares with others or has outside."""
    own = (box[2] - box[0]) * (box[3] - box[1])
    return sum(_shared(box, other) for other in others) + 2 * (own - _shared(box, within))


def _shared(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
