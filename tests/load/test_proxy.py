"""Through a proxy, as the environment says: a real one, between a name that only it can resolve and the mock."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.load.mock import Mock, spec
from tests.load.relay import Relay
from toolkit.errors import EnvironmentFailedError, InputError
from toolkit.load.proxy import proxy_for
from toolkit.load.run import run
from toolkit.load.spec import endpoint

FAKE = Path(__file__).parents[1] / "fakes" / "forward_proxy.py"
PASSWORD = "proxy-password-4711"
NAME = "model.invalid"
"""Resolved by no resolver (RFC 6761): whoever reaches it went by the proxy."""
FAST = {"ttft_s": 0.03, "itl_s": 0.005}

Start = Callable[..., int]


@pytest.fixture(autouse=True)
def _no_proxy_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a proxy in front of a port of this machine; returns its own port."""
    running: list[subprocess.Popen[str]] = []

    def proxy(to: int, *words: str) -> int:
        command = [sys.executable, str(FAKE), str(to), str(tmp_path / "log"), *words]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(child)
        assert child.stdout is not None
        return int(child.stdout.readline().split()[1])

    yield proxy
    for child in running:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def log(tmp_path: Path) -> list[str]:
    file = tmp_path / "log"
    return file.read_text().splitlines() if file.exists() else []


def test_plain_http_goes_by_the_proxy_with_an_absolute_target(
    mock: Mock, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe, the scrape and the load; the password is in no file, and the times are the mock's."""
    mock.set(**FAST)
    port = start(mock.port, "--user", f"me:{PASSWORD}")
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{PASSWORD}@127.0.0.1:{port}")
    result = run(spec(f"http://{NAME}:8000", max_requests=4), tmp_path / "out")
    (level,) = result.levels
    assert (level.completed, level.failed) == (4, 0)
    assert level.ttft_s is not None
    assert level.ttft_s.p50 == pytest.approx(0.03, abs=0.02)
    asked = log(tmp_path)
    assert f"GET http://{NAME}:8000/v1/models HTTP/1.1" in asked
    assert f"GET http://{NAME}:8000/metrics?engine=1 HTTP/1.1" in asked
    assert asked.count(f"POST http://{NAME}:8000/v1/chat/completions HTTP/1.1") >= 4
    assert result.environment.client["proxy"] == f"127.0.0.1:{port}"
    assert not any(PASSWORD in file.read_text() for file in (tmp_path / "out").iterdir())


@pytest.mark.slow
def test_https_goes_through_a_tunnel(mock: Mock, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"]
    made += ["-addext", f"subjectAltName=DNS:{NAME}", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    relay = Relay(mock.port, "127.0.0.1", context)
    mock.set(**FAST)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    monkeypatch.setenv("HTTPS_PROXY", f"me:{PASSWORD}@127.0.0.1:{start(relay.port, '--user', f'me:{PASSWORD}')}")
    level = run(spec(f"https://{NAME}", max_requests=6), tmp_path / "out").levels[0]
    relay.close()
    assert (level.completed, level.failed) == (6, 0)
    assert {line.rpartition(" ")[0] for line in log(tmp_path)} == {f"CONNECT {NAME}:443"}
    assert not any(PASSWORD in file.read_text() for file in (tmp_path / "out").iterdir())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password_ends_the_bench_before_the_load(
    mock: Mock, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    port = start(mock.port, "--user", f"me:{PASSWORD}")
    monkeypatch.setenv(f"{scheme}_proxy", f"http://me:wrong-word@127.0.0.1:{port}")
    with pytest.raises(EnvironmentFailedError, match=f"by way of the proxy 127.0.0.1:{port}: .*407") as caught:
        run(spec(f"{scheme}://{NAME}", model="mock"), tmp_path / "out")
    assert "wrong-word" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(("refuse", "error"), [(407, "proxy_407"), (502, "http_502")])
def test_what_a_proxy_refuses_in_the_middle_is_counted(
    mock: Mock, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, refuse: int, error: str
) -> None:
    """The list of models passes, then it refuses. Where a proxy relays, a 502 may as well be the server's own."""
    mock.set(**FAST)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{start(mock.port, '--refuse', str(refuse), '--after', '1')}")
    result = run(spec(f"http://{NAME}:8000", max_requests=8), tmp_path / "out")
    assert set(result.levels[0].errors) == {error}
    assert (result.stopped_early or "").startswith(f"no request succeeded: {error}")


TUNNEL = """
import sys
from gevent import monkey
monkey.patch_all()
from bench.connection import Limits, Target
from bench.proxy import Proxy
from bench.wire import BrokenReplyError
target = Target("model.invalid", 443, tls=True, limits=Limits(connect_s=2), proxy=Proxy("127.0.0.1", int(sys.argv[1])))
try:
    target.open()
except BrokenReplyError as error:
    print(error.name)
"""


def tunnel_error(port: int) -> str:
    """What the load's own way through a proxy calls its failure."""
    command = [sys.executable, "-c", TUNNEL, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, cwd=FAKE.parents[2])
    return done.stdout.strip()


@pytest.mark.parametrize("refuse", [407, 502, 403])
def test_a_tunnel_that_is_refused_is_named_after_the_answer(mock: Mock, start: Start, refuse: int) -> None:
    assert tunnel_error(start(mock.port, "--refuse", str(refuse), "--after", "0")) == f"proxy_{refuse}"


def test_a_proxy_that_is_not_there_and_one_that_hangs_up(mock: Mock, start: Start) -> None:
    assert tunnel_error(1) == "proxy_connect_refused"
    assert tunnel_error(start(mock.port, "--refuse", "0", "--after", "0")) in (
        "proxy_bad_reply",
        "proxy_connection_reset",
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.9.1"])
def test_loopback_is_never_proxied(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://10.1.1.1:3128")
    assert proxy_for(endpoint(f"http://{host}:8000")) is None


@pytest.mark.parametrize(
    ("url", "no_proxy", "address"),
    [
        ("http://gpu.example:8000", "", "10.1.1.1:3128"),
        ("http://gpu.example:8000", "example", None),
        ("http://gpu.example:8000", "other.example, gpu.example:8000", None),
        ("http://gpu.example:8000", "*", None),
        ("https://gpu.example", "", "10.2.2.2:80"),
    ],
)
def test_which_proxy(url: str, no_proxy: str, address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://10.1.1.1:3128")
    monkeypatch.setenv("HTTPS_PROXY", "10.2.2.2")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    found = proxy_for(endpoint(url))
    assert (found.address if found else None) == address


def test_a_proxy_of_another_kind_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"socks5://me:{PASSWORD}@10.1.1.1:1080")
    with pytest.raises(InputError, match="not an HTTP proxy: socks5") as caught:
        proxy_for(endpoint("http://gpu.example"))
    assert PASSWORD not in str(caught.value) + str(caught.value.hint)
