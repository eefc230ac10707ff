"""Talk to a Hugging Face hub: who gets the token, how much is read, and what each refusal means.

The token goes to the configured endpoint and to no other host, redirects included. One `Client` serves one question
and reads at most `MAX_BYTES` in at most `MAX_SECONDS`.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from toolkit.errors import InputError, SourceUnavailableError, UnknownNameError
from toolkit.models.transport import HttpTransport, Response, Transport

MAX_SECONDS = 60.0
MAX_BYTES = 128 * 2**20
MAX_INFO = 16 * 2**20
MAX_REDIRECTS = 5
ATTEMPTS = 2
"""Tries of a request whose reply breaks off or says that the server failed."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
COMMIT = re.compile(r"[0-9a-f]{40}")
TOKEN = re.compile(r"[\x21-\x7e]{1,512}")
ELSEWHERE = "give a local folder, a .gguf file or a profile name (`selfhost models`), or try again later."


def endpoint() -> str:
    """The hub's address: ``$HF_ENDPOINT``, else huggingface.co.

    Raises:
        InputError: not an http or https address.
    """
    said = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    parts = urlsplit(said)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise InputError(f"HF_ENDPOINT is {said!r}, which is no http or https address")
    return said.rstrip("/")


def offline() -> bool:
    """Whether ``$HF_HUB_OFFLINE`` forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def home() -> Path:
    """Hugging Face's own folder: ``$HF_HOME``, else the user's cache folder."""
    said = os.environ.get("HF_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(said or f"{cache}/huggingface").expanduser()


def token() -> str | None:
    """The user's access token from the environment or the hub's token file; None without one.

    Raises:
        InputError: what is there cannot be a token. It is not shown.
    """
    said = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or _token_file()
    if not said or not said.strip():
        return None
    if not TOKEN.fullmatch(said.strip()):
        raise InputError("the Hugging Face token has characters or a length that no token has", "set HF_TOKEN anew.")
    return said.strip()


def _token_file() -> str | None:
    path = Path(os.environ.get("HF_TOKEN_PATH") or home() / "token").expanduser()
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(4096)
    except (OSError, UnicodeDecodeError):
        return None


class Client:
    """One question to a hub. Safe to use from several threads."""

    def __init__(self, transport: Transport | None = None) -> None:
        self.endpoint, self._token = endpoint(), token()
        self._transport = transport or HttpTransport(time.monotonic() + MAX_SECONDS)
        self._bytes, self._lock = 0, threading.Lock()

    @property
    def host(self) -> str:
        """The endpoint's host, for messages."""
        return urlsplit(self.endpoint).netloc

    def info(self, repo: str, revision: str) -> dict[str, Any]:
        """What the hub says of a repository: ``sha`` (checked to be a commit) and ``siblings``.

        Raises:
            UnknownNameError: no such repository.
            InputError: no such revision.
            SourceUnavailableError: not reachable, no access, too busy, or no proper reply.
        """
        url = f"{self.endpoint}/api/models/{repo}/revision/{quote(revision, safe='')}"
        reply = self._get(url, repo, revision, None, MAX_INFO)
        import orjson

        try:
            value = orjson.loads(reply.body)
        except ValueError:
            value = None
        if not isinstance(value, dict) or not COMMIT.fullmatch(str(value.get("sha"))):
            raise self._broken("it does not answer as a model hub does")
        return value

    def whole(self, repo: str, sha: str, file: str, most: int) -> bytes:
        """A small file of a commit. Raises as `info` does."""
        body = self._get(self._url(repo, sha, file), repo, sha, None, most + 1).body
        if len(body) > most:
            raise self._broken(f"{file} is larger than {most:,} bytes")
        return body

    def piece(self, repo: str, sha: str, file: str, start: int, end: int) -> tuple[bytes, int]:
        """Bytes [start, end) of a file of a commit, fewer only at its end; and the bytes of the whole file.

        Raises as `info` does.
        """
        reply = self._get(self._url(repo, sha, file), repo, sha, start, end)
        if reply.total is None:
            raise self._broken(f"it does not say how long {file} is")
        if len(reply.body) < min(end, reply.total) - start:
            raise self._broken(f"{file} broke off after {start + len(reply.body):,} of {reply.total:,} bytes")
        return reply.body, reply.total

    def _url(self, repo: str, sha: str, file: str) -> str:
        return f"{self.endpoint}/{repo}/resolve/{sha}/{quote(file)}"

    def _get(self, url: str, repo: str, revision: str, start: int | None, end: int) -> Response:
        """One request with its redirects; tried again when the server, not the question, was at fault."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                reply = self._follow(url, start, end)
            except TimeoutError:
                raise self._unreachable("it does not answer in time") from None
            except ConnectionError as error:
                if attempt < ATTEMPTS:
                    continue
                raise self._unreachable(str(error)) from None
            except OSError as error:
                raise self._unreachable(error.strerror or str(error)) from None
            if reply.status < 500 or attempt == ATTEMPTS:
                return self._accepted(reply, repo, revision)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _follow(self, url: str, start: int | None, end: int) -> Response:
        for _ in range(MAX_REDIRECTS + 1):
            reply = self._fetch(url, start, end)
            if reply.status not in REDIRECTS:
                return reply
            target = urljoin(url, reply.headers.get("location", ""))
            if urlsplit(target).scheme not in ("https", urlsplit(self.endpoint).scheme) or target == url:
                raise self._broken("it redirects to an address that is not followed")
            url = target
        raise self._broken(f"more than {MAX_REDIRECTS} redirects")

    def _fetch(self, url: str, start: int | None, end: int) -> Response:
        """One request, its most bytes reserved before and its own bytes charged after."""
        read = 0
        self._charge(end)
        try:
            reply = self._transport.get(url, self._headers(url), start, end)
            read = len(reply.body) + ((start or 0) if reply.status == 200 else 0)
            return reply
        finally:
            self._charge(read - end)

    def _headers(self, url: str) -> dict[str, str]:
        """The token, for the endpoint itself only: same scheme, host and port."""
        if self._token and urlsplit(url)[:2] == urlsplit(self.endpoint)[:2]:
            return {"Authorization": f"Bearer {self._token}"}
        return {}

    def _charge(self, count: int) -> None:
        with self._lock:
            self._bytes += count
            if count > 0 and self._bytes > MAX_BYTES:
                self._bytes -= count
                raise self._broken(f"more than {MAX_BYTES // 2**20} MiB would have to be read")

    def _accepted(self, reply: Response, repo: str, revision: str) -> Response:
        if reply.status in (200, 206):
            return reply
        code = reply.headers.get("x-error-code", "")
        if code == "RevisionNotFound":
            raise InputError(f"{repo} has no revision {revision!r}", f"{self.endpoint}/{repo} lists its branches.")
        if code == "EntryNotFound":
            raise InputError(f"{repo} lacks a file that it lists", ELSEWHERE)
        if code == "RepoNotFound" or reply.status == 404:
            raise _unknown(repo, self._token is not None)
        if reply.status in (401, 403):
            raise self._refused(repo, reply.status)
        if reply.status == 429:
            raise self._busy(reply.headers)
        raise self._unreachable(f"it answers with status {reply.status}")

    def _refused(self, repo: str, status: int) -> SourceUnavailableError:
        have = "the token given has no access" if self._token else "a token is needed"
        return SourceUnavailableError(
            f"{repo} is gated or private, and {have} (status {status} from {self.host})",
            f"accept its terms at {self.endpoint}/{repo}, make a read token at {self.endpoint}/settings/tokens "
            "and put it into the environment variable HF_TOKEN.",
        )

    def _busy(self, headers: Mapping[str, str]) -> SourceUnavailableError:
        wait = headers.get("retry-after", "")
        when = f"in {wait} seconds" if wait.isascii() and wait.isdigit() and len(wait) < 7 else "in some minutes"
        more = "" if self._token else "; a token in HF_TOKEN raises the limit"
        return SourceUnavailableError(f"{self.host} asks for fewer requests (status 429)", f"try {when}{more}.")

    def _unreachable(self, why: str) -> SourceUnavailableError:
        return SourceUnavailableError(f"cannot reach {self.host}: {why}", ELSEWHERE)

    def _broken(self, why: str) -> SourceUnavailableError:
        return SourceUnavailableError(f"the reply of {self.host} cannot be used: {why}", ELSEWHERE)


def _unknown(repo: str, with_token: bool) -> UnknownNameError:
    from toolkit import profiles

    known = [p.hub_id for p in profiles.models().values() if p.hub_id]
    private = "" if with_token else ", or it is private and needs a token in HF_TOKEN"
    return UnknownNameError("model", repo, known, f"it is no folder here and not on the hub{private}.")
