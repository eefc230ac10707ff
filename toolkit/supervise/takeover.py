"""What an earlier supervisor left behind: the engine that is wanted runs on, everything else is ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from toolkit.supervise.engine import EngineRun
from toolkit.supervise.patience import HASTY_GRACE_S


async def left_behind(slot: Path, digest: str, grace_s: float, tell: Callable[[str, str], None]) -> EngineRun | None:
    """The engine of this slot when it was started from the very same spec; one that was not is ended."""
    left = EngineRun.attach(slot)
    if left is None:
        strays = await EngineRun.end_strays(slot)
        if strays:
            tell("orphans", f"{strays} processes of an engine whose parent is gone were ended")
        return None
    if left.digest == digest:
        return left
    tell("replaced", f"pid {left.pid} of an earlier supervisor served something else")
    await left.end(grace_s)
    left.close()
    return None


async def end_unfinished(slot: Path, tell: Callable[[str, str], None]) -> None:
    """End the second engine of a swap that its supervisor did not live to finish."""
    left = EngineRun.attach(slot)
    if left is None:
        await EngineRun.end_strays(slot)
    else:
        tell("replaced", f"pid {left.pid} of an unfinished swap is ended")
        await left.end(HASTY_GRACE_S)
        left.close()
