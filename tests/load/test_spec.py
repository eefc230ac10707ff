"""Targets as people write them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from toolkit.errors import InputError
from toolkit.load.spec import LoadLevel, endpoint, looks_like_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/v1/chat/completions", "http://127.0.0.1:8000/v1"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("localhost:8000/v1", "http://localhost:8000/v1"),
        ("https://api.example.com/openai", "https://api.example.com/openai/v1"),
        ("https://api.example.com:443/v1beta", "https://api.example.com/v1beta"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://example.com:80", "http://example.com/v1"),
    ],
)
def test_a_url_with_or_without_its_version(text: str, url: str) -> None:
    assert looks_like_url(text)
    assert endpoint(text).url == url


def test_an_ipv6_host_is_bare_for_the_socket() -> None:
    found = endpoint("http://[::1]:8000")
    assert (found.host, found.authority) == ("::1", "[::1]:8000")


@pytest.mark.parametrize(
    "text",
    ["ftp://host/v1", "http://", "http://user:secret@host/v1", "http://host:99999", "http://host/v1?key=secret",
     "http://host:0/v1", "http://[::1", "http://ho st/v1"],
)  # fmt: skip
def test_what_is_no_target_is_refused_without_repeating_a_secret(text: str) -> None:
    with pytest.raises(InputError) as caught:
        endpoint(text)
    assert "user:secret" not in caught.value.message


@pytest.mark.parametrize("name", ["smollm2-135m", "my_model", "localhost"])
def test_names_are_no_urls(name: str) -> None:
    assert not looks_like_url(name)


@pytest.mark.parametrize(
    "fields", [{}, {"concurrency": 1, "rate": 1.0}, {"concurrency": 0}, {"rate": 0.0}, {"rate": -1}]
)
def test_a_level_has_users_or_a_rate(fields: dict) -> None:
    with pytest.raises(ValidationError):
        LoadLevel(**fields)


def test_labels() -> None:
    labels = [LoadLevel(concurrency=1).label, LoadLevel(concurrency=4).label, LoadLevel(rate=2.5).label]
    assert labels == ["1 user", "4 users", "2.5 requests/s"]
