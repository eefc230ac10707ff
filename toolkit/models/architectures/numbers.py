"""Checked access to the numbers of a `config.json`."""

from __future__ import annotations

from typing import Any

from toolkit.errors import ModelFileError

Config = dict[str, Any]

LAYERS = ("num_hidden_layers", "num_layers", "depth", "num_nextn_predict_layers", "mtp_num_hidden_layers")
MAX_LAYERS = 1000
"""More than any model has; a config that says more would be listed layer by layer all the same."""


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
        most = MAX_LAYERS if key in LAYERS else 2**31 - 1
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= most:
            limit = f" up to {most:,}" if key in LAYERS else ""
            raise ModelFileError(f"{self.name}: config.json has {key} = {value!r}, not a positive whole number{limit}")
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
