"""Who may ask: API keys from a file, compared in constant time, and where we may listen without one."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import stat
from pathlib import Path

from toolkit.errors import InputError

KEYS_MAX_BYTES = 65536


class Keys:
    """The accepted keys. Only their digests are kept."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accept(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header carries a known key; always true when there are no keys."""
        if not self._digests:
            return True
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip() if scheme.lower() == "bearer" else "")
        # Every key is compared, so that timing tells neither which one matched nor how far.
        return sum(hmac.compare_digest(given, known) for known in self._digests) > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def read_keys(path: Path) -> Keys:
    """Keys of a file, one a line; empty lines and lines with ``#`` are skipped.

    Raises:
        InputError: unreadable, empty, or readable by anyone but its owner.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"key file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if mode & (stat.S_IRWXO if _is_credential(path) else stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(
            f"key file {path} can be read by others (mode {stat.S_IMODE(mode):04o})", f"run: chmod 600 {path}"
        )
    if len(text) > KEYS_MAX_BYTES:
        raise InputError(f"key file {path} is too long to be one")
    keys = [line.strip() for line in text.splitlines()]
    keys = [key for key in keys if key and not key.startswith("#")]
    if not keys:
        raise InputError(f"key file {path} holds no key")
    return Keys(tuple(keys))


def _is_credential(path: Path) -> bool:
    """Whether systemd put the file there for this service alone: its access list then shows as the group's bits."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return bool(folder) and path.resolve().parent == Path(folder or "").resolve()


def check_bind(host: str, has_key: bool) -> None:
    """Anything but loopback needs a key.

    Raises:
        InputError: a public address without a key, or no address at all.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise InputError(f"{host!r} is no IP address to listen on", "use 127.0.0.1, ::1 or 0.0.0.0.") from None
    if not address.is_loopback and not has_key:
        raise InputError(
            f"listening on {host} lets others in, and no API key is set",
            "put a key into a file of mode 600 and name it, or listen on 127.0.0.1.",
        )
