# The only commands to remember. Each sets up what it needs (.venv from requirements.lock) by itself.
#
#   make demo     the engine with simulated partners; EXIT=1 stops after delivery, 0 only if the counts add up
#   make run      the engine with channels/ and routes.yaml; ARGS="--env prod" and the like
#   make test     every check and every test
#   make check    the repository's own configuration: lint, then channels/*.test.yaml
#   make bench    how fast, beside what this machine could do at best
#   make soak     an hour of traffic, ARGS="--minutes 600" for longer; memory and queues must stay flat
#   make lint     ruff, mypy, import contracts

PYTHON ?= python3
BIN := .venv/bin

TOGETHER := -n 3 --dist loadfile --no-loadscope-reorder
# What runs on PostgreSQL too; `make soak` runs all of it that is not of the embedded database alone.
ON_BOTH := $(addprefix tests/flow/test_,lanes.py again.py duplicates.py chart_source.py spool.py start.py processed.py fhir_in.py)

export LC_ALL := C.UTF-8
unexport PYTHONDONTWRITEBYTECODE  # hundreds of engines start in the tests; compiling them each time takes longer
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: demo run test check bench soak lint lock system
.NOTPARALLEL:
.DEFAULT_GOAL := test

demo: .venv/.project
	@sh tests/system.sh demo || echo "The chapters of those partners are left out." >&2
	@$(BIN)/python -m demo $(if $(filter-out 0,$(EXIT)),--exit) $(ARGS)

run: .venv/.project
	@umask 077 && mkdir -p data/archive && exec $(BIN)/chartwire run $(ARGS)

test: lint system
	@$(BIN)/pytest $(TOGETHER) $(ARGS)
	@$(BIN)/pytest $(TOGETHER) --database postgresql $(ON_BOTH)

check: .venv/.project
	@$(BIN)/chartwire check && $(BIN)/chartwire test

bench: .venv/.project
	@$(BIN)/python -m tests.bench $(ARGS)
	@$(BIN)/python -m tests.bench.growth
	@$(BIN)/python -m tests.bench.shared

soak: .venv/.project system
	@CHARTWIRE_ROUNDS=200 $(BIN)/pytest tests/crash tests/property tests/faults
	@$(BIN)/pytest $(TOGETHER) --database postgresql tests/flow tests/web tests/cli tests/adapters
	@$(BIN)/python -m tests.bench.claims
	@$(BIN)/python -m tests.bench.wires memory
	@$(BIN)/python -m tests.bench.soak $(ARGS)

lint: .venv/.project
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check . ; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > .venv/imports.txt || { cat .venv/imports.txt; exit 1; }

# What the tests need of the machine: PostgreSQL, Redis, DCMTK, Mosquitto, strace, a C compiler.
system:
	@sh tests/system.sh

# Pins and hashes only, for every Python from 3.11; run after a change of dependencies in pyproject.toml.
lock:
	@$(PYTHON) -m venv build/uv && build/uv/bin/pip install --quiet uv
	@build/uv/bin/uv pip compile pyproject.toml --group dev --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --python-version 3.11 --universal --quiet --output-file requirements.lock

.venv/.made:
	@echo "Setting up .venv (once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Chartwire needs Python 3.11 or newer as $(PYTHON); make PYTHON=python3.12 ... names another." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "Install it as root: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

.venv/.locked: requirements.lock .venv/.made
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@touch $@

.venv/.project: pyproject.toml .venv/.locked
	@$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps -e .
	@touch $@
