"""Every error the toolkit raises on purpose.

::

    SelfhostError                 exit  what it means
    ├── InputError                2     what the user gave is wrong: unknown name, bad value, unreadable file
    │   ├── UnknownNameError      2     a name not in the profiles; carries the nearest names
    │   ├── ProfileError          2     a TOML record that does not validate: file, key, reason
    │   └── ModelFileError        2     a model file that is not what it claims: no GGUF, truncated, corrupt
    ├── EnvironmentFailedError    3     the machine or a server failed us: did not start, not reachable
    │   ├── NoEngineError         3→2   no engine can serve this here; carries the command that installs one
    │   ├── StartFailedError      3     a server that did not become ready, with its reason
    │   └── SourceUnavailableError 3    a remote source that cannot be read now: no network, no access, too busy
    └── DeclinedError             1     the honest answer is no: does not fit, result invalid, cannot predict

Messages say what is wrong, what was found and what to do next, in one sentence each; they never mention
command-line flags (the library does not know it is behind a CLI). ``hint`` holds the next step.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SelfhostError(Exception):
    """Root of the tree. ``exit_status`` is what the CLI returns for it."""

    exit_status = 3

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(SelfhostError):
    """What the user gave is wrong."""

    exit_status = 2


class UnknownNameError(InputError):
    """A name that no record has; ``nearest`` lists close spellings, best first."""

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str | None = None) -> None:
        self.what = what
        self.name = name
        self.advice = hint
        self.nearest = nearest(name, known)
        guess = f"did you mean {' or '.join(self.nearest)}?" if self.nearest else None
        super().__init__(f"unknown {what} {name!r}", " ".join(p for p in (guess, hint) if p) or None)


class ProfileError(InputError):
    """A profile file that cannot be read or validated: which file, which key, why."""

    def __init__(self, file: object, key: str, reason: str) -> None:
        super().__init__(f"profile {file}: {key}: {reason}" if key else f"profile {file}: {reason}")


class ModelFileError(InputError):
    """A model file that is missing, not a model, truncated or corrupt."""


class EnvironmentFailedError(SelfhostError):
    """The machine, a server or the network failed; the input was fine."""

    exit_status = 3


class NoEngineError(EnvironmentFailedError):
    """No engine can serve this model here; the hint is the command that installs one."""

    exit_status = 2


class StartFailedError(EnvironmentFailedError):
    """A server that was started but did not become ready."""


class SourceUnavailableError(EnvironmentFailedError):
    """A remote source that cannot be read now: offline, not reachable, no access, asked to wait, or broken replies."""


class DeclinedError(SelfhostError):
    """The honest answer is no."""

    exit_status = 1


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """Up to ``n`` known names closest to ``name``, ignoring case, spaces, ``-`` and ``_``; best first."""
    by_key: dict[str, str] = {}
    for k in known:
        by_key.setdefault(fold(k), k)
    return [by_key[m] for m in get_close_matches(fold(name), by_key, n=n, cutoff=0.6)]


NO_MATTER = str.maketrans("", "", " -_()[]")
"""Characters that tell no two names apart."""


def fold(name: str) -> str:
    """The form in which two spellings of one name are equal: lower case, no spaces, ``-``, ``_`` or brackets."""
    return name.lower().translate(NO_MATTER)
