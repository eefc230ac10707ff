"""Names that a target accepts: labels of RFC 1123, at most as long as the longest name made from them allows."""

from __future__ import annotations

import re

from toolkit.errors import InputError

LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
"""A DNS label that begins with a letter: what a Kubernetes Service and everything stricter accepts."""


def from_served(served: str, longest: int) -> str:
    """A name made from the model's name in the API.

    Raises:
        InputError: nothing usable is in it.
    """
    name = re.sub(r"[^a-z0-9]+", "-", served.lower()).strip("-")
    name = name if name[:1].isalpha() else f"m-{name}".strip("-")
    name = name[:longest].rstrip("-")
    if not any(c.isalnum() for c in served):
        raise InputError(f"no name can be made from {served!r}", "give the deployment a name.")
    return name


def check(name: str, longest: int, target: str) -> str:
    """The name, when the target accepts it.

    Raises:
        InputError: what is wrong with it, and a name that would do.
    """
    if LABEL.fullmatch(name) and len(name) <= longest:
        return name
    if len(name) > longest and LABEL.fullmatch(name):
        why = f"{len(name)} characters are more than the {longest} that the names made from it leave room for"
    else:
        why = "a name is small letters, digits and '-', begins with a letter and does not end with '-' (RFC 1123)"
    instead = from_served(name, longest) if any(c.isalnum() for c in name) else "my-model"
    raise InputError(f"{target} does not accept the name {name!r}: {why}", f"for example: {instead}")
