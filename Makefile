# make demo   a real model sized, served, load-tested and priced on this machine
# make test   everything that can run here, with a real engine
# make check  format, lint, types, layers and the fast tests (under two minutes)
# Each target sets up what it needs by itself.

VENV    ?= .venv
PYTHON  ?= python3
BIN      = $(VENV)/bin
PIP      = $(BIN)/python -m pip --disable-pip-version-check
# Fault tests wait most of the time, each in a state folder of its own: four at once keep two cores half busy.
FAULT_JOBS ?= 4
FAST     = not real and not slow and not browser and not vllm and not faults and not deploy

.PHONY: demo test check test-deploy test-vllm faults accuracy install-llama format docs browser clean
.DEFAULT_GOAL := help

.PHONY: help
help: ## what each target does
	@sed -n 's/^# \(make .*\)/\1/p' Makefile; grep -hE '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /: /' | sort

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $$($(PYTHON) --version) is $(PYTHON). Set PYTHON=…" >&2; exit 3; }
	@$(PYTHON) -m venv $(VENV) || { echo "could not make $(VENV); on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 3; }

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "installing selfhost into $(VENV)"
	@$(PIP) install --quiet -e .
	@$(BIN)/python -m compileall -q toolkit bench  # an editable install compiles nothing: the first command would be slow
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.installed
	@echo "installing the test and development tools into $(VENV)"
	@$(PIP) install --quiet -e '.[dev]'
	@touch $@

install-llama: $(VENV)/.installed ## compile llama.cpp and its server into the environment, once
	@bash deploy/llamacpp/install.sh $(VENV)

demo: $(VENV)/.installed install-llama ## the whole pipeline on the embedded model
	@$(BIN)/selfhost quickstart

browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing Chromium for the report tests" && \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver >/dev/null; } || \
	  echo "Chromium: not installed and cannot be installed here; the browser tests will say so and be skipped"

check: $(VENV)/.dev ## format, lint, types, layers, fast tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q -m "$(FAST)"

deploy-parsers:
	@PYTHON=$(PYTHON) bash tests/deploy/install.sh .venv-deploy || \
	  echo "SkyPilot and Ray: cannot be installed here; the tests of their parsers will say so and be skipped"
	@for tool in systemd-analyze ip unshare kubectl; do command -v $$tool >/dev/null || \
	  echo "$$tool: not installed; the tests of deployed files that need it will say so and be skipped"; done

test: $(VENV)/.dev install-llama browser deploy-parsers ## every test that can run here, faults once
	@$(BIN)/python -m compileall -q toolkit bench  # hundreds of commands are run: where nothing is kept, each compiles anew
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q -m "not vllm"

faults: $(VENV)/.dev install-llama ## every fault 20 times
	@SELFHOST_FAULT_REPEATS=20 $(BIN)/pytest -q -m faults --timeout=1800 -n $(FAULT_JOBS)

test-deploy: $(VENV)/.dev deploy-parsers ## deployment files read by SkyPilot, Ray, Podman, Prometheus: two minutes, 0.9 GB the first time
	@$(BIN)/pytest -q -m deploy

.PHONY: soak
soak: $(VENV)/.dev ## 30 minutes of load with random faults (SELFHOST_SOAK_S=300 for less)
	@$(BIN)/pytest -q -o addopts= tests/faults/soak.py

test-vllm: $(VENV)/.dev ## the tests on a real vLLM (CPU build), about ten minutes and 3.4 GB the first time
	@bash tests/vllm/run.sh $(VENV)

accuracy: $(VENV)/.dev ## how far the memory model is from what engines logged
	@$(BIN)/python -m tests.accuracy.memory

format: $(VENV)/.dev ## put the code into its canonical form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/.dev ## write the generated docs: command help, profile schemas
	@$(BIN)/python tests/docs.py --write

clean:
	rm -rf $(VENV) .cache build dist
