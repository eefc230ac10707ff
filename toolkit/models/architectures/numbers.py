"""Checked access to the numbers of a `config.json`."""

from __future__ import annotations

from typing import Any

from toolkit.errors import ModelFileError

Config = dict[str, Any]


class Numbers:
    """Checked access to a config's numbers."""

    def __init__(self, config: Config, name: str) -> None:
        self.config, self.name = config, name

    def __call__(self, key: str, default: int | None = None) -> int:
        """A whole number of at least 0 (1 where there is no default).

        Raises:
            ModelFileError: missing, negative, absurd or no whole number.
        """
        value = self.config.get(key)
        if value is None and default is not None:
            return default
        low = 1 if default is None else 0
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 2**31:
            raise ModelFileError(f"{self.name}: config.json has {key} = {value!r}, not a positive whole number")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """A switch."""
        value = self.config.get(key)
        return default if value is None else bool(value)

    def listed(self, key: str, length: int) -> list[Any] | None:
        """A per-layer list, or None when there is none.

        Raises:
            ModelFileError: a list of another length.
        """
        value = self.config.get(key)
        if not isinstance(value, list):
            return None
        if len(value) < length:
            raise ModelFileError(f"{self.name}: config.json has {len(value)} entries in {key} for {length} layers")
        return value[:length]
