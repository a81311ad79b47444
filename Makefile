# Every task of the project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
# An installed uv serves; otherwise pip puts one into .tools, where no system package is touched.
UV := $(or $(shell command -v uv 2>/dev/null),$(CURDIR)/.tools/uv/bin/uv)
RUST := libs/mediaengine libs/sipcore
RUST_CHECKED := $(RUST) libs/sipcore/fuzz
FUZZ_S ?= 60
MEMBERS := $(filter-out $(RUST),$(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml services/*/pyproject.toml)))
SOURCES := $(wildcard libs/*/src services/*/src)
export MYPYPATH := $(shell echo $(SOURCES) $(RUST:%=%/python) | tr ' ' ':')
PYTEST := $(BIN)/python -m pytest
MARK = $(VENV)/.installed
RUST_MARK = $(VENV)/.rust
RUST_FILES := $(shell find $(RUST) -type f -not -path '*/target/*' -not -path '*/fuzz/*' -not -path '*/__pycache__/*' 2>/dev/null)

HAS_CARGO = command -v cargo >/dev/null || { echo "Parley's media engine and SIP core are built from Rust sources: install cargo (package cargo, or rustup)."; exit 1; }

.PHONY: help install cargo-check run test check lint format types imports layout proto-check unit contract \
	integration fuzz budget e2e chaos hostile phones servers cluster bench bench-peers endurance lock proto \
	settings rust ci clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

# ---- set-up -----------------------------------------------------------------------------------

install: cargo-check $(MARK) $(RUST_MARK) ## Set up .venv with all dependencies and the project (needs python3 >= 3.11 and cargo)

# First of all: minutes of installing are a bad time to learn what is missing.
cargo-check:
	@test -e $(RUST_MARK) || $(HAS_CARGO)

$(UV):
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "Parley needs pip for $(PYTHON): install the package python3-pip."; exit 1; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools/uv uv==$(UV_VERSION)

$(VENV)/bin/python: | $(UV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Parley needs Python 3.11 or newer; PYTHON=... names another interpreter."; exit 1; }
	@$(UV) venv --quiet --python $(PYTHON) $(VENV)

$(MARK): requirements.lock $(MEMBERS:%=%/pyproject.toml) | $(VENV)/bin/python
	@echo "Installing Python packages"
	@rm -f $(RUST_MARK)
	@# Compiled once, here: with PYTHONDONTWRITEBYTECODE every start of a process would do it anew.
	@VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps $(MEMBERS:%=-e ./%)
	@touch $@

$(RUST_MARK): $(RUST_FILES) | $(MARK)
	@$(HAS_CARGO)
	@echo "Building the media engine and the SIP core"
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps $(RUST:%=./%)
	@touch $@

# ---- use --------------------------------------------------------------------------------------

run: install ## Start the whole platform on loopback with a demo tenant; Ctrl-C drains and stops it
	@exec $(BIN)/python -m parley.allinone

cluster: install servers ## Start two of every service on Redis, Kafka, ZooKeeper and PostgreSQL; Ctrl-C stops all
	@exec $(BIN)/python -m tests.cluster up

# ---- checks -----------------------------------------------------------------------------------

test: install phones check rust ## Run every check and test; prints pytest's closing line
	@# Tests of a server that cannot be had are skipped, except in continuous integration.
	@tools/install_servers || [ "$$CI" != true ]
	@$(PYTEST) tests

check: lint types imports layout proto-check ## Run the checks that take seconds

lint: install ## Check style and formatting
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .

format: install ## Rewrite sources in the project's format
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

types: install ## Check types (mypy strict) of sources and tests
	@$(BIN)/mypy $(patsubst %,-p parley.%,$(notdir $(MEMBERS)) mediaengine sipcore)
	@$(BIN)/mypy tests tools

imports: install ## Check who may import whom
	@$(BIN)/lint-imports --no-cache

layout: install ## Check the tree: file sizes, names, declared dependencies, generated pages
	@$(BIN)/python tools/check_layout.py
	@$(BIN)/python tools/check_dependencies.py
	@$(BIN)/python tools/settings_table.py --check

proto-check: install ## Check that the gRPC stubs match their .proto files
	@$(BIN)/python tools/proto.py --check

rust: install ## Check and test the Rust code of the media engine and the SIP core, and its licences
	@for crate in $(RUST_CHECKED); do \
		(cd $$crate && cargo fmt --check && cargo clippy --quiet --all-targets -- -D warnings && cargo test --quiet) || exit 1; \
	done
	@$(BIN)/python tools/check_licences.py

unit: install ## Run the unit tests (seconds)
	@$(PYTEST) tests/unit

contract: install servers ## Run the contract suites of the backing services and media control
	@$(PYTEST) tests/contract

integration: install servers ## Run the tests of services over real sockets
	@$(PYTEST) tests/integration

fuzz: install ## Run the fuzz suites, then each target of the SIP core for FUZZ_S=60 seconds (needs a C++ compiler)
	@$(PYTEST) tests/fuzz
	@$(BIN)/python tools/fuzz.py $(FUZZ_S)

budget: install ## Count the function calls of a registration and a call
	@$(PYTEST) tests/budget

e2e: install phones servers ## Run the end-to-end tests with sipp and baresip
	@$(PYTEST) tests/e2e

chaos: install servers ## Kill, hang and starve parts of clusters under load (an hour); ID=R2 runs one line
	@$(BIN)/python -m tests.chaos $(if $(ID),--id $(ID)) $(if $(ROUNDS),--rounds $(ROUNDS))

hostile: install ## Flood, fill and starve a platform as strangers would; prints what it cost
	@$(BIN)/python -m tests.hostile.sip
	@$(BIN)/python -m tests.hostile.http

phones: ## Install sipp and baresip for the end-to-end tests (Debian packages, as root)
	@tools/install_phones

servers: install ## Install Redis, PostgreSQL and Java, fetch Kafka, ZooKeeper and s3proxy for tests and the local cluster
	@tools/install_servers

bench: install servers ## Run the benches of the hot paths (two minutes)
	@for bench in $(patsubst tests/bench/%.py,%,$(wildcard tests/bench/bench_*.py)); do \
		echo "$$bench"; $(BIN)/python -m tests.bench.$$bench || exit 1; \
	done

bench-peers: install ## Measure beside Kamailio and Sippy, which it installs: CPU of a REGISTER and of a call
	@UV=$(UV) tools/install_peers
	@$(BIN)/python -m tests.bench.peers $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY))

endurance: install ## Load one core for ten minutes with REGISTER and ten with calls; judges memory and pauses
	@$(BIN)/python -m tests.bench.endurance register
	@$(BIN)/python -m tests.bench.endurance call

ci: test ## What continuous integration runs

# ---- upkeep -----------------------------------------------------------------------------------

lock: | $(UV) ## Resolve dependencies again into requirements.lock
	@$(UV) lock --upgrade --quiet
	@$(UV) export --quiet --all-packages --no-emit-workspace --all-groups --no-header --format requirements-txt -o requirements.lock

proto: install ## Generate the gRPC stubs from proto/
	@$(BIN)/python tools/proto.py

settings: install ## Write docs/operations/settings.md from the settings classes
	@$(BIN)/python tools/settings_table.py

clean: ## Remove what was built; keeps var/
	@rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis $(RUST:%=%/target)
