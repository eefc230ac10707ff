"""What a target gives back: texts by path, where it will answer, and the commands of its README."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolkit.deploy import pod
from toolkit.deploy.intent import Intent
from toolkit.types import DeployCommands


@dataclass(frozen=True)
class Rendered:
    """A target's files and how to use them. Paths are relative, with ``/``."""

    files: dict[str, str]
    commands: DeployCommands
    base_url: str | None
    endpoint: str | None = None
    image: str | None = None
    notes: tuple[str, ...] = field(default=())
    """What a reader of the README should know, one sentence each."""


def once_key(intent: Intent) -> tuple[str, ...]:
    """Make the Secret of the API key from the client's own variable, once."""
    if not intent.options.key:
        return ()
    secret = f"kubectl create secret generic {pod.key_secret(intent)}"
    return (
        'export SELFHOST_API_KEY="$(openssl rand -hex 24)"',
        f'printf %s "$SELFHOST_API_KEY" | {secret} --from-file={pod.KEY_ITEM}=/dev/stdin',
    )


def once_token(intent: Intent) -> tuple[str, ...]:
    """Make the Secret of a hub token; only gated models need it."""
    if not intent.source.downloads:
        return ()
    secret = f"kubectl create secret generic {pod.token_secret(intent)}"
    return (f'# Gated models only: printf %s "$HF_TOKEN" | {secret} --from-file={pod.TOKEN_ITEM}=/dev/stdin',)
