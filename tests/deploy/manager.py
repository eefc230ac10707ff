"""A real systemd, as process 1 of namespaces of its own: its units, its /etc, /run and /var/lib, its network.

Nothing of the machine's own is touched: what it mounts is gone with it. It needs root and systemd, and says so where
they are missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

SYSTEMD = Path("/lib/systemd/systemd")
START_S = 120.0
INSIDE = "/usr/sbin:/usr/bin:/sbin:/bin"
TOOLS = {"ip": "iproute2", "curl": "curl", "openssl": "openssl", "unshare": "util-linux", "nsenter": "util-linux"}
"""What the test and the lines of a README call, and the Debian package of each."""
COVERED = (Path("/run"), Path("/var/lib"), Path("/mnt"))
"""Folders that are empty inside."""
LOGGED = "[Service]\nStandardOutput=append:{log}\nStandardError=append:{log}\n"
"""There is no journal inside: what services say goes to a file."""
TARGETS = ("basic", "sysinit", "shutdown", "network-online", "multi-user", "exit")
"""What units refer to. They want nothing else, so that no service of the machine is ever started."""
BOOT = """set -e
mount --make-rprivate /
umount -l /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /mnt
mkdir /run/etc /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc
rm -rf /etc/systemd/system && mkdir /etc/systemd/system
mount --make-rshared /
ip link set lo up
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH="$1:/etc/systemd/system" \\
  SYSTEMD_GENERATOR_PATH="$1" /lib/systemd/systemd --system --unit=basic.target --show-status=no \\
  --log-target=console --crash-reboot=no
"""


def missing() -> str | None:
    """Why none can run here; None when one can."""
    absent = [package for tool, package in TOOLS.items() if shutil.which(tool, path=INSIDE) is None]
    if absent or not SYSTEMD.exists():
        return f"not all is installed here (Debian: apt-get install {' '.join(['systemd', *absent])})"
    needed = (Path(__file__).resolve(), Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve())
    hidden = [path for path in needed for folder in COVERED if folder in path.parents]
    if hidden:
        return f"{hidden[0]} lies in a folder that is covered inside"
    probe = ["unshare", "--pid", "--fork", "--mount", "--net", "--cgroup", "true"]
    if os.geteuid() or subprocess.run(probe, capture_output=True, check=False).returncode:
        return "no namespaces of its own can be made here (needs root)"
    if _cgroups() is None:
        return "no cgroup of the second version can be made here"
    return None


def _cgroups() -> Path | None:
    """Where a hierarchy of the second version is mounted that can be written."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, how, *_ = line.split()
        if kind == "cgroup2" and how.split(",")[0] == "rw":
            return Path(place)
    return None


@dataclass(frozen=True)
class Manager:
    """The running one. ``pid`` is its process as the machine sees it, ``said`` what it and its services printed."""

    pid: int
    units: Path
    group: Path
    said: tuple[Path, ...]

    def sh(self, line: str, timeout: float = 120, **env: str) -> subprocess.CompletedProcess[str]:
        """A shell line inside."""
        words = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--net", "--cgroup", "sh", "-c", line]
        inside = {"PATH": INSIDE, "HOME": "/root", "SYSTEMD_PAGER": "", "LC_ALL": "C.UTF-8"}
        inside["SYSTEMD_UNIT_PATH"] = f"{self.units}:/etc/systemd/system"
        return subprocess.run(
            words, env=inside | env, capture_output=True, text=True, timeout=timeout, check=False, cwd="/"
        )

    def show(self, unit: str, what: str) -> str:
        """One property of a unit."""
        return self.sh(f"systemctl show --value --property={what} {unit}").stdout.strip()

    def processes(self, unit: str) -> list[int]:
        """Every process of a unit, as the machine numbers them."""
        pids: list[int] = []
        for path in (self.group / "system.slice" / unit).rglob("cgroup.procs"):
            with suppress(OSError):  # the group ends while it is read
                pids += [int(pid) for pid in path.read_text().split()]
        return pids

    def report(self, unit: str) -> str:
        """All that may tell why a unit is not as it should be."""
        lines = (
            f"systemctl status --no-pager --full {unit}",
            f"systemctl show --property=ActiveState,SubState,Result,NRestarts,ExecMainCode,ExecMainStatus {unit}",
            "tail -n 40 /var/lib/selfhost/servers/*/events.jsonl /var/lib/selfhost/servers/*/engine/engine.log",
            "ps -eo pid,ppid,stat,etimes,args --forest; cat /proc/loadavg; df /tmp /run",
        )
        parts = [f"$ {line}\n{(done := self.sh(line)).stdout[-6000:]}{done.stderr[-1000:]}" for line in lines]
        parts += [f"{path.name}:\n{path.read_text(errors='replace')[-6000:]}" for path in self.said if path.exists()]
        return "\n\n".join(parts)


@contextmanager
def booted(scratch: Path) -> Iterator[Manager]:
    """Boot one, and end it with all that it started."""
    units = scratch / "units"
    units.mkdir()
    for name in TARGETS:
        (units / f"{name}.target").write_text(f"[Unit]\nDescription={name}\nDefaultDependencies=no\n")
    log, services = scratch / "systemd.log", scratch / "services.log"
    (units / "service.d").mkdir()
    (units / "service.d" / "log.conf").write_text(LOGGED.format(log=services))
    root = _cgroups()
    assert root is not None
    group = root / f"selfhost-test-{os.getpid()}"
    group.mkdir()
    outer = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"]
    inner = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--cgroup", "--uts", "--ipc"]
    with log.open("wb") as out:
        child = subprocess.Popen(
            [*outer, *inner, "--net", "sh", "-c", BOOT, "sh", str(units)],
            stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        yield _ready(child, Manager(0, units, group, (log, services)), log)
    finally:
        child.kill()
        child.wait(30)
        _removed(group)


def _ready(child: subprocess.Popen[bytes], manager: Manager, log: Path) -> Manager:
    limit = time.monotonic() + START_S
    while time.monotonic() < limit:
        assert child.poll() is None, log.read_text(errors="replace")[-2000:]
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        if children:
            here = replace(manager, pid=int(children[0]))
            if here.sh("systemctl is-system-running").stdout.strip() in ("running", "degraded"):
                return here
        time.sleep(0.1)
    raise AssertionError(f"systemd did not come up: {log.read_text(errors='replace')[-2000:]}")


def _removed(group: Path) -> None:
    limit = time.monotonic() + START_S
    while group.exists() and time.monotonic() < limit:
        for folder in sorted((p for p in group.rglob("*") if p.is_dir()), key=lambda p: -len(p.parts)):
            _rmdir(folder)
        _rmdir(group)
        time.sleep(0.1)


def _rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
