"""The one unit that `serve` and `deploy` write: judged by systemd's own reader where it is installed, else by rules."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.errors import InputError
from toolkit.systemd_unit import KEY_PATH, Service, file_name, quote, render


def service(tmp_path: Path, **changes: object) -> Service:
    values: dict[str, object] = {
        "name": "smol",
        "words": ("/bin/echo", "serve", "a model", "--cmd", 'x "y" {port} 100% $HOME', "--api-key-file", KEY_PATH),
        "drain_s": 120.0,
        "term_grace_s": 10.0,
        "folder": "/",
        "state": str(tmp_path),
        "environment": {"PATH": "/usr/bin:/bin", "NOTE": "a b%"},
        "key_file": "/etc/selfhost/key",
        "writable": ("/root/.cache",),
        "reload": ("/bin/echo", "restart", "smol"),
    }
    return Service(**(values | changes))  # type: ignore[arg-type]


def settings(text: str) -> dict[str, list[str]]:
    """Every setting of a unit with its values, in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("user", [None, "root"])
@pytest.mark.parametrize("own_state", [True, False])
def test_systemd_reads_it_without_a_word(tmp_path: Path, user: str | None, own_state: bool) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here (Debian: apt-get install systemd)")
    changes: dict[str, object] = {"user": user} | ({} if own_state else {"state": None})
    path = tmp_path / file_name("smol")
    path.write_text(render(service(tmp_path, **changes)))
    assert verified(path, "--system" if user else "--user") == (0, "")
    path.write_text(path.read_text().replace("KillMode=mixed", "KilMode=mixed"))
    assert "KilMode" in verified(path, "--system" if user else "--user")[1]


def verified(path: Path, manager: str) -> tuple[int, str]:
    """What `systemd-analyze verify` says of a unit."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", manager, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(path.parent), "SYSTEMD_LOG_LEVEL": "warning"},
    )
    return done.returncode, done.stderr


def test_a_stop_has_time_to_drain(tmp_path: Path) -> None:
    """120 s of drain, 10 s of grace; orphans 9 s and GPU memory 60 s by supervision's own limits: at least 199 s."""
    found = settings(render(service(tmp_path)))
    assert int(found["TimeoutStopSec"][0]) >= 120 + 10 + 9 + 60
    assert found["KillMode"] == ["mixed"]
    assert found["Restart"] == ["always"]
    assert found["Type"] == ["notify"]
    assert found["OOMPolicy"] == ["continue"]


def test_a_stop_of_its_own_lets_signals_go_to_the_whole_group(tmp_path: Path) -> None:
    """ExecStop= is run to its end before systemd signals anything, see systemd.service(5)."""
    found = settings(render(service(tmp_path, stop=("/bin/echo", "stop", "smol"))))
    assert found["ExecStop"] == ["/bin/echo stop smol"]
    assert found["KillMode"] == ["control-group"]


def test_what_lies_in_tmp_stays_in_sight() -> None:
    """PrivateTmp= gives the service another /tmp, in which none of it would be."""
    plain = Service(name="a", words=("/opt/selfhost",), drain_s=1, term_grace_s=1, user="root")
    assert "PrivateTmp=yes" in render(plain)
    inside = "/tmp/x"  # noqa: S108 - nothing is made there
    for changes in ({"words": (inside,)}, {"folder": f"/var{inside}"}, {"writable": (inside,)}):
        assert "\nPrivateTmp=" not in render(replace(plain, **changes))
    assert "\nPrivateTmp=" not in render(replace(plain, reads=(f"{inside}/model.gguf",)))


def test_a_key_is_named_and_never_shown(tmp_path: Path) -> None:
    found = settings(render(service(tmp_path)))
    assert found["LoadCredential"] == ["api-key:/etc/selfhost/key"]
    assert found["ExecStart"][0].endswith("--api-key-file ${CREDENTIALS_DIRECTORY}/api-key")


def test_words_reach_the_program_as_they_were(tmp_path: Path) -> None:
    """systemd halves %% and $$; what is left is split as a shell splits double quotes."""
    (line,) = settings(render(service(tmp_path)))["ExecStart"]
    assert shlex.split(line.replace("%%", "%").replace("$$", "$"))[2:5] == [
        "a model",
        "--cmd",
        'x "y" {port} 100% $HOME',
    ]


def test_a_low_port_brings_its_capability_and_a_high_one_none(tmp_path: Path) -> None:
    low = settings(render(service(tmp_path, user="root", port=443)))
    assert low["AmbientCapabilities"] == low["CapabilityBoundingSet"] == ["CAP_NET_BIND_SERVICE"]
    high = settings(render(service(tmp_path, user="root", port=8000)))
    assert high["CapabilityBoundingSet"] == [""]
    assert "AmbientCapabilities" not in high


def test_nothing_that_a_unit_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line break"):
        quote("a\nExecStartPre=/bin/sh")
    with pytest.raises(InputError, match="absolute path of its program"):
        render(service(tmp_path, words=("selfhost", "serve")))
    with pytest.raises(InputError, match="absolute path in a unit"):
        render(service(tmp_path, key_file="key"))
    with pytest.raises(InputError, match="takes for its own"):
        render(service(tmp_path, user="root", state="/home/a b"))
    with pytest.raises(InputError, match="no name of a variable"):
        render(service(tmp_path, environment={"A B": "1"}))
