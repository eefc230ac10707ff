#!/usr/bin/env bash
# Makes the environment in which SkyPilot, Ray Serve and the types of the Prometheus operator read our files: about two
# minutes and 0.8 GB, once. It is made anew when this list changes, and gives up where no package index answers.
set -euo pipefail
venv="${1:-.venv-deploy}"
limit_s="${SELFHOST_INSTALL_LIMIT_S:-900}"
packages=('skypilot==0.14.1' 'ray==2.60.0' grpcio grpcio-reflection grpcio-status watchfiles scipy pyarrow
  opentelemetry-sdk opentelemetry-exporter-prometheus 'cloudcoil-models-prometheus-operator==0.80.1.0'
  'cloudcoil==0.6.0' 'pydantic==2.14.3')
if [ "$(cat "$venv/.installed" 2>/dev/null)" != "${packages[*]}" ]; then
  echo "installing SkyPilot and Ray Serve into $venv, whose parsers read what \`selfhost deploy\` writes"
  rm -f "$venv/.installed"
  "${PYTHON:-python3}" -m venv "$venv"
  timeout -k 10 "$limit_s" "$venv/bin/python" -m pip --disable-pip-version-check --retries 2 --timeout 30 \
    install --quiet "${packages[@]}"
  echo "${packages[*]}" > "$venv/.installed"
fi
