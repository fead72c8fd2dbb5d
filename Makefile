# Every target needs python3 with pip, and make. The rest is installed into .venv from the
# locks, whose hashes are checked.
#
#   make demo PORT=8081           what is taken is replaced by a free port
#   make test ARGS="-k pool"      arguments for pytest
#   make test JOBS=1              one test after the other
#   make bench ARGS=--quick       arguments for the benchmark
#   make test PYTHON=python3.13   another interpreter; `make clean` first

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH_INSTALLED := $(VENV)/.installed-bench

FILE ?=
ARGS ?=
PORT ?= 8080
# Most of the integration tests wait for something, so that two cores take three at once.
JOBS ?= 3

.PHONY: help
help:  ## Say what the targets do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(INSTALLED) tools-demo  ## Put Sidegate in front of an ordinary service, and show with curl what it adds
	@$(BIN)/python config/demo/run.py --port $(PORT)

.PHONY: run
run: $(INSTALLED)  ## Run Sidegate: `make run FILE=sidegate.yaml` (without FILE: ./sidegate.yaml)
	@exec $(BIN)/sidegate run $(FILE) $(ARGS)

.PHONY: test
test: $(INSTALLED) tools-test  ## Run the tests and hold the coverage
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --cov --cov-report=term $(ARGS)
	$(if $(ARGS),,@$(MAKE) test-compiled)

.PHONY: test-compiled
test-compiled: $(INSTALLED) tools-test  ## Compile the hot modules, and run what tests them against the wheel
	@.ci/test-compiled $(BIN)/python $(VENV)/tested --numprocesses $(JOBS) $(ARGS)

.PHONY: lint
lint: $(INSTALLED)  ## Check format, style, types and layers, and look for known weaknesses
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --severity-level medium --recursive proxy
	$(BIN)/python .ci/audit requirements.lock requirements-dev.lock requirements-bench.lock requirements-compile.lock

.PHONY: format
format: $(INSTALLED)  ## Put the code into the house format
	$(BIN)/ruff check --select I --fix
	$(BIN)/ruff format

.PHONY: bench
bench: $(INSTALLED) $(BENCH_INSTALLED) tools-bench  ## Measure Sidegate beside other proxies (`ARGS=--quick` for a first look)
	@$(BIN)/python -m tests.benchmarks $(ARGS)

.PHONY: bench-stages
bench-stages: $(INSTALLED)  ## Measure where a request's time goes, stage by stage and policy by policy
	@$(BIN)/python -m tests.benchmarks.stages $(ARGS)

.PHONY: weigh
weigh: $(INSTALLED)  ## Keep how many of the interpreter's instructions a request takes, for the test
	@$(BIN)/python -m tests.benchmarks.instructions --write

.PHONY: bench-limits
bench-limits: $(INSTALLED) tools-bench  ## Measure what rate limits cost, in memory and in Redis
	@.ci/tools redis-server
	@$(BIN)/python -m tests.benchmarks.limits $(ARGS)

.PHONY: bench-workers
bench-workers: $(INSTALLED) tools-bench  ## Measure how much more two workers on two cores serve than one
	@$(BIN)/python -m tests.benchmarks.scale

.PHONY: attack
attack: $(INSTALLED)  ## Attack a vulnerable shop with sqlmap and more, directly and through the shield (minutes)
	@$(BIN)/python -m tests.security.attack

.PHONY: wheel
wheel: $(BIN)/uv  ## Build the wheel, pure Python for every platform, into dist/
	@$(BUILD) pure $(BIN)/python $(VENV)/compile dist

.PHONY: compiled
compiled: $(BIN)/uv  ## Build a wheel whose hot modules are compiled, for this Python, into dist/ (a minute)
	@$(BUILD) compiled $(BIN)/python $(VENV)/compile dist

.PHONY: image
image:  ## Build the container image, run it as strictly as a cluster may, and look whether it serves (root)
	@.ci/image

.PHONY: peers
peers:  ## Install the proxies from Debian that the benchmark compares with
	@.ci/tools nginx haproxy caddy varnishd=varnish

.PHONY: lock
lock: $(BIN)/uv  ## Resolve the dependencies anew: `make lock ARGS=--upgrade`
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(LOCK) --group pyproject.toml:bench --output-file requirements-bench.lock
	$(LOCK) pyproject.toml --group compile --constraint requirements-dev.lock --output-file requirements-compile.lock

.PHONY: clean
clean:  ## Remove the environment and all that was built
	rm -rf $(VENV) dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# The locks serve every platform and every supported Python, and name no index host.
LOCK = UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet --universal --generate-hashes \
	--no-emit-index-url --no-strip-extras --python-version 3.11 --custom-compile-command "make lock" $(ARGS)

BUILD = PATH="$(CURDIR)/$(BIN):$$PATH" .ci/wheel

# What is no Python package. The proxies to compare with are left to `make peers`: installing
# them may start them as services of the machine.
.PHONY: tools-demo tools-test tools-bench
tools-test:
	@.ci/tools curl openssl prometheus redis-server redis-cli=redis-tools strip=binutils
	@.ci/tools dnsmasq=dnsmasq-base cc=gcc python3-config=python3-dev
tools-demo:
	@.ci/tools curl
tools-bench:
	@.ci/tools curl wrk taskset=util-linux

# The sources are installed in place, so only a change of the locks or of the project's
# metadata installs anew.
$(INSTALLED): requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "Installing Sidegate and what it needs into $(VENV)"
	@$(PIP) install --quiet --require-hashes --requirement requirements-dev.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH_INSTALLED): requirements-bench.lock | $(BIN)/python
	@echo "Installing what is only measured with into $(VENV)"
	@$(PIP) install --quiet --require-hashes --requirement requirements-bench.lock
	@touch $@

# Debian keeps ensurepip, which puts pip into a new environment, in a package of its own.
# Without it the pip of the interpreter itself installs into the environment.
PIP = $$(test -x $(BIN)/pip && echo $(BIN)/python -m pip || echo $(PYTHON) -m pip --python $(BIN)/python) \
	--disable-pip-version-check

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
		|| { echo "Sidegate needs Python 3.11 to 3.14; choose one: make PYTHON=python3.11 ..." >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		$(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -c 'import venv, pip' 2>/dev/null; then \
		$(PYTHON) -m venv --without-pip $(VENV); \
	else \
		echo "$(PYTHON) has neither ensurepip nor pip; on Debian: sudo apt-get install python3-venv" >&2; exit 1; \
	fi

# `make lock` has to work while the locks are out of date, so it takes uv from wherever
# the environment has it.
$(BIN)/uv: | $(BIN)/python
	@$(PIP) install --quiet $$(grep -oE '^uv==[0-9.]+' requirements-dev.lock || echo uv)
