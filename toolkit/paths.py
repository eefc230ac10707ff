"""Where things are: the shipped data and this user's state.

Two roots only. ``data_root()`` holds ``profiles/``, ``bench/`` and ``deploy/`` as shipped; ``state_root()`` is
where running servers, histories and caches live.
"""

from __future__ import annotations

import os
from pathlib import Path


def data_root() -> Path:
    """Folder that holds ``profiles/``, ``bench/`` and ``deploy/``.

    In an installed wheel that is ``toolkit/_data``; in a source checkout or editable install it is the
    repository root.
    """
    package = Path(__file__).resolve().parent
    packaged = package / "_data"
    return packaged if packaged.is_dir() else package.parent


def state_root() -> Path:
    """This user's state folder: ``$SELFHOST_HOME``, else the platform's user state directory."""
    override = os.environ.get("SELFHOST_HOME")
    if override:
        return Path(override).expanduser().resolve()
    from platformdirs import user_state_path

    return user_state_path("selfhost")


def user_profiles() -> Path:
    """The user's own profiles; a record here overrides the shipped one of the same name."""
    override = os.environ.get("SELFHOST_PROFILES")
    if override:
        return Path(override).expanduser().resolve()
    if os.environ.get("SELFHOST_HOME"):
        return state_root() / "profiles"
    from platformdirs import user_config_path

    return user_config_path("selfhost") / "profiles"
