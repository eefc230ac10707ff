"""YAML with comments, as text that YAML 1.1 and 1.2 read alike."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

WIDTH = 4096
"""Long words are not folded: a command line stays one line."""
_READ_DIFFERENTLY = re.compile(
    r"|~|null|true|false|yes|no|on|off|y|n|[-+]?[0-9][0-9_,.:]*([eE][-+]?[0-9]+)?|0[xob][0-9a-fA-F_]+|[-+]?\.(inf|nan)"
    r"|=|<<",
    re.IGNORECASE,
)
"""Plain words that some YAML reader takes for something else than text; they are quoted."""


@dataclass(frozen=True)
class Noted:
    """A value with a comment above it."""

    value: Any
    comment: str


def noted(value: Any, comment: str) -> Noted:
    """Put a comment above a mapping's entry or a list's item."""
    return Noted(value, comment)


def header(*lines: str) -> str:
    """Comment lines for the top of a file."""
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def yaml(*documents: Any, top: str = "") -> str:
    """One YAML file; several documents are parted by ``---``."""
    from ruamel.yaml import YAML

    writer = YAML()
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.width = WIDTH
    parts = []
    for document in documents:
        stream = io.StringIO()
        writer.dump(_node(document, 0), stream)
        parts.append(stream.getvalue())
    return top + "---\n".join(parts)


def _node(value: Any, indent: int) -> Any:
    """The YAML writer's own containers, which carry comments; ``indent`` is the column of the entries."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

    if isinstance(value, dict):
        mapping = CommentedMap()
        for key, entry in value.items():
            plain = entry.value if isinstance(entry, Noted) else entry
            inner = _node(plain, indent + (4 if isinstance(plain, list) else 2))
            mapping[_node(key, indent)] = inner
            if isinstance(entry, Noted):
                mapping.yaml_set_comment_before_after_key(key, before=entry.comment, indent=indent)
        return mapping
    if isinstance(value, list | tuple):
        sequence = CommentedSeq()
        for number, item in enumerate(value):
            plain = item.value if isinstance(item, Noted) else item
            sequence.append(_node(plain, indent))
            if isinstance(item, Noted):
                sequence.yaml_set_comment_before_after_key(number, before=item.comment, indent=indent - 2)
        return sequence
    if isinstance(value, str):
        if "\n" in value:
            return LiteralScalarString(value)
        return DoubleQuotedScalarString(value) if _READ_DIFFERENTLY.fullmatch(value) else value
    return value
