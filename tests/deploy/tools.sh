#!/usr/bin/env bash
# Puts two programs that read our files into a folder: Podman's Quadlet generator (of Podman 5) and Prometheus' promtool.
# This machine's own where it has them, else those of Debian 13's packages, which apt fetches with lists of its own;
# they are unpacked, not installed (70 MB), and need nothing but the C library.
#
#   tests/deploy/tools.sh FOLDER
set -euo pipefail
mkdir -p "$1"
to="$(cd "$1" && pwd)"
own=/usr/libexec/podman/quadlet
if [ ! -x "$to/quadlet" ] && [ -x "$own" ] && [ "$("$own" -version | cut -d. -f1)" -ge 5 ]; then
  ln -sf "$own" "$to/quadlet"
fi
if [ ! -x "$to/promtool" ] && command -v promtool >/dev/null; then
  ln -sf "$(command -v promtool)" "$to/promtool"
fi
[ -x "$to/quadlet" ] && [ -x "$to/promtool" ] && exit 0
keys=/usr/share/keyrings/debian-archive-keyring.gpg
if [ ! -f "$keys" ]; then
  echo "no keys here to check Debian's packages with" >&2
  exit 1
fi
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
mkdir -p "$place/lists/partial" "$place/archives/partial"
echo "deb [signed-by=$keys] http://deb.debian.org/debian trixie main" > "$place/sources.list"
cat > "$place/apt.conf" <<CONF
Dir::Etc::sourcelist "$place/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$place/lists";
Dir::Cache::archives "$place/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "";
Acquire::Languages "none";
CONF
export APT_CONFIG="$place/apt.conf"
cd "$place"
timeout 120 apt-get -qq update
timeout 180 apt-get -qq download podman promtool
dpkg-deb --fsys-tarfile podman_*.deb | tar -x ./usr/libexec/podman/quadlet
dpkg-deb --fsys-tarfile promtool_*.deb | tar -x ./usr/bin/promtool
install -m 755 usr/libexec/podman/quadlet usr/bin/promtool "$to"
