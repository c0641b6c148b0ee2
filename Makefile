# Everything a person does with Lethe from a checkout; `make` alone lists it. Needs make and Python 3.11, no more.
SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHONS := python3.11 python3 python3.12 python3.13 python
UV_VERSION := 0.13.8
INSTALLED := $(VENV)/.installed
DOCKERFILES := docker/Dockerfile.api docker/Dockerfile.worker
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" $(UPGRADE)

##@ Run

.PHONY: demo
demo: setup ## Train, forget, audit and pull on this machine, from nothing to a table and a plot
	$(BIN)/lethe demo

.PHONY: up
up: setup ## Start Lethe here: database, broker, relay, worker and API, until Ctrl-C
	$(BIN)/lethe up

.PHONY: migrate
migrate: setup ## Bring the database that LETHE_DATABASE_URL names to the newest schema
	@: "$${LETHE_DATABASE_URL:?Name the database, e.g. postgresql+psycopg://user:password@host/lethe}"
	$(BIN)/python -m alembic -c migrations/alembic.ini upgrade head

##@ Develop

.PHONY: setup
setup: $(INSTALLED) ## Make .venv with exactly what requirements.lock says (at once when nothing changed)

.PHONY: fmt
fmt: setup ## Format the code and repair what ruff can repair
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: lock
lock: $(BIN)/uv ## Resolve pyproject.toml into the hash locks; `make lock UPGRADE=--upgrade` takes newer versions
	$(LOCK) --all-extras --group dev -c constraints.txt -o requirements.lock
	$(LOCK) -c requirements.lock -o docker/requirements-api.lock
	$(LOCK) --extra worker -c requirements.lock -o docker/requirements-worker.lock

.PHONY: clean
clean: ## Remove caches and build outputs; .venv and the home folder .lethe stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

##@ Check

.PHONY: check
check: setup ## Format, lint, types, import contracts, Dockerfiles
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint $(DOCKERFILES)

.PHONY: test
test: setup check browser ## The checks, then all tests, on servers that the tests start and stop
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --ignore tests/e2e
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile tests/e2e

.PHONY: browser
browser: ## See that there is a Chromium for the dashboard's test; as root it is installed
	@if command -v chromium >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing chromium for the dashboard's test"; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else \
		echo "The dashboard's test needs Chromium, and none is on PATH. Install it (Debian: apt-get install" \
			"chromium), then retry." >&2; \
		exit 1; \
	fi

##@ Measure

QUALITY = $(BIN)/python -m benchmarks.quality

.PHONY: bench-quality
bench-quality: setup ## Rank every method on every kind of request (SMALL=1: minutes; DATA=dir: MNIST too)
	$(QUALITY) $(if $(SMALL),--small,--write)
	$(if $(DATA),$(QUALITY) --dataset mnist --data $(DATA) --seeds 1 $(if $(SMALL),--small --epochs 2,--write),)

.PHONY: bench-audit
bench-audit: setup ## How often the audit is right, and what it costs (SMALL=1: minutes)
	$(BIN)/python -m benchmarks.audit_samples --strict $(if $(SMALL),--small)
	$(BIN)/python -m benchmarks.audit_classes --strict $(if $(SMALL),--small)
	$(BIN)/python -m benchmarks.audit $(if $(SMALL),--small)

.PHONY: bench-load
bench-load: setup ## Bursts, intake, polling and unit costs (SMALL=1: minutes; intake wants wrk, polling wrk and nginx)
	for name in burst intake latest scale; do \
		$(BIN)/python -m benchmarks.$$name $(if $(SMALL),--small) || exit 1; \
	done

.PHONY: chaos
chaos: setup ## Kill processes at every step and look for what broke (KILLS=1000 by default)
	$(BIN)/python -m benchmarks.chaos --strict $(if $(KILLS),--kills $(KILLS))

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# uv removes what the lock does not name, Lethe itself included, and keeps pip and uv: so Lethe comes last. Bytecode
# is compiled now: where Python is told not to write any, each process would compile all of torch, 10 s of it.
$(INSTALLED): requirements.lock pyproject.toml | $(BIN)/uv
	@echo "Installing what requirements.lock names into $(VENV); the first time that takes two minutes or so"
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/uv:
	@for python in $(PYTHONS); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		"$$python" -m venv $(VENV) && exec $(BIN)/python -m pip install --quiet uv==$(UV_VERSION); \
		echo "$$python could not make $(VENV). On Debian: apt-get install python3-venv" >&2; \
		exit 1; \
	done; \
	echo "Lethe needs Python 3.11 or newer, and none of these is: $(PYTHONS)." \
		"Install one, or name yours: make PYTHONS=/path/to/python" >&2; \
	exit 1
