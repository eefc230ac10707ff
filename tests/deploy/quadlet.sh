#!/usr/bin/env bash
# Puts Podman's Quadlet generator at a path: this machine's own of Podman 5, else the one in Debian 13's package, which is
# fetched by apt with lists of its own and unpacked, not installed (25 MB; it needs nothing but the C library).
#
#   tests/deploy/quadlet.sh PATH
set -euo pipefail
to="$1"
own=/usr/libexec/podman/quadlet
[ -x "$to" ] && exit 0
if [ -x "$own" ] && [ "$("$own" -version | cut -d. -f1)" -ge 5 ]; then
  exec ln -s "$own" "$to"
fi
keys=/usr/share/keyrings/debian-archive-keyring.gpg
if [ ! -f "$keys" ] || [ "$(dpkg --print-architecture)" != amd64 ]; then
  echo "no Podman 5 here, and no keys to check Debian's package with" >&2
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
timeout 120 apt-get -qq download podman
dpkg-deb --fsys-tarfile podman_*.deb | tar -x ./usr/libexec/podman/quadlet
cd - > /dev/null
install -m 755 "$place/usr/libexec/podman/quadlet" "$to"
