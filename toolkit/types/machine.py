"""What `doctor` and `quickstart` report."""

from __future__ import annotations

from typing import Any, Literal

from toolkit.types.common import Document, Frozen, Money


class EngineFound(Frozen):
    """One backend as `doctor` sees it; ``mend`` is the command that installs a missing one."""

    backend: str
    found: bool
    version: str | None
    where: str | None
    gpu: bool
    mend: str | None


class Doctor(Document):
    """What this machine has. ``models`` maps packaged models to their files, None when not installed."""

    kind: Literal["doctor"] = "doctor"
    machine: dict[str, Any]
    engines: tuple[EngineFound, ...]
    models: dict[str, str | None]


class QuickstartResult(Document):
    """What `quickstart` did, in figures. The documents of every stage lie in ``folder``."""

    kind: Literal["quickstart"] = "quickstart"
    model: str
    backend: str
    fits: bool
    users: int
    """Concurrency of the headline level."""
    ttft_p95_s: float | None
    output_tok_s: float
    usd_per_mtok: Money
    usd_per_hour: Money
    price_how: str
    folder: str
    report: str
    seconds: float
