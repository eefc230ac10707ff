"""Programs of others that read our files: this machine's own, or those that `tools.sh` fetched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PLACE = Path(os.environ.get("SELFHOST_DEPLOY_VENV", Path(__file__).resolve().parents[2] / ".venv-deploy"))
"""Where `install.sh` puts what it installs."""
TOOLS = PLACE / "tools"
MISSING = "is not here; `make test-deploy` fetches Debian's where a package index answers"


def find(name: str) -> str | None:
    """The path of a program; None when neither has it."""
    own = f"{os.environ.get('PATH', '')}:/usr/libexec/podman"
    return shutil.which(name, path=f"{TOOLS}:{own}")
