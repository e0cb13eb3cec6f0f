# Modelmill's verbs; `make` lists them. Everything runs from .venv, which `make setup` makes with uv from PyPI.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
UV := .uv/bin/uv
RUN := .venv/bin
PYTEST := $(RUN)/python -m pytest
CODE := api-server trainer ml-service packages examples benchmarks tests docs monitoring conftest.py
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
N ?= 2
export UV_HTTP_TIMEOUT := 120
export PATH := $(CURDIR)/.uv/bin:$(PATH)

##@ On one machine, without Docker

.PHONY: help
help: ## List the verbs
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2 }' Makefile

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit("Modelmill needs Python 3.11 or newer: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.13.8'

.venv/.synced: uv.lock pyproject.toml $(wildcard */pyproject.toml packages/*/pyproject.toml packages/forest/mill_forest/native/* packages/rows/mill_rows/native/*) | $(UV)
	@echo "Installing Modelmill into .venv (about a minute the first time) …"
	$(UV) sync --frozen --all-packages --python $(PYTHON) $$([ -t 2 ] || echo --quiet)
	touch $@

.PHONY: setup
setup: .venv/.synced ## Make .venv with everything in it

.PHONY: demo
demo: setup ## The main job on real data: upload, train, deploy, predict (EXIT=1 stops by itself)
	@$(RUN)/python examples/demo.py

.PHONY: start stop status
start: setup ## Start the embedded stack in the background
	@$(RUN)/modelmill up --detach
stop: ## Stop it; the data stay in .modelmill
	@$(RUN)/modelmill down
status: ## What runs, and where
	@$(RUN)/modelmill status

.PHONY: flower
flower: setup ## Watch the workers of the embedded stack
	@$(RUN)/modelmill flower

##@ For developers

.PHONY: test
test: setup ## Every test, on real PostgreSQL, Valkey, object stores (ARGS="-k name")
	@$(PYTEST) $(ARGS)

.PHONY: test-faults
test-faults: setup ## Kill, freeze, cut and fill everything, and check the promises (ONLY=1,8 PART=jobs SCALE=0.1 HOURS=2 SEED=7 RECORD=1)
	@$(RUN)/python -m tests.faults $(if $(ONLY),--only $(ONLY)) $(if $(PART),--part $(PART)) $(if $(SCALE),--scale $(SCALE)) $(if $(SEED),--seed $(SEED)) $(if $(HOURS),--hours $(HOURS)) $(if $(RECORD),--record)

.PHONY: test-security test-contract audit
test-security: setup ## The attacks at full length, keeping their results (ARGS=tests/security/test_a04_traversal_read.py)
	@MILL_TEST_LONG=1 $(PYTEST) --timeout 3600 $(or $(ARGS),tests/security)
test-contract: setup ## Schemathesis over both APIs as three roles; goes on where it was ended (EXAMPLES=100 LIMIT=200 PARTS=models,jobs FRESH=1)
	@$(RUN)/python -m tests.security.contract --examples $(or $(EXAMPLES),100) $(if $(LIMIT),--seconds $(LIMIT)) $(if $(PARTS),--parts "$(PARTS)") $(if $(FRESH),--fresh) --record
audit: setup ## Lock, known flaws, bill of materials, images, secrets (STEPS=local needs no network; STEPS="lock tree")
	@$(RUN)/python -m tests.security.audit $(STEPS)

.PHONY: fuzz
fuzz: setup ## libFuzzer and sanitizers on the native readers (SECONDS_EACH=60; needs clang, libclang-rt-14-dev)
	@for package in packages/forest packages/rows; do
	  $(RUN)/python packages/forest/tests/sanitizers/fuzz.py $$package --seconds $(or $(SECONDS_EACH),60)
	done

.PHONY: check
check: setup ## What CI checks before the tests: format, lint, types, import contracts, generated files
	@$(RUN)/ruff format --check $(CODE)
	$(RUN)/ruff check $(CODE)
	$(RUN)/lint-imports
	$(RUN)/pyright
	$(RUN)/python docs/generate.py --check

.PHONY: format
format: setup ## Format and mend what can be mended
	@$(RUN)/ruff format $(CODE)
	$(RUN)/ruff check --fix $(CODE)

.PHONY: generate
generate: setup ## Make the generated files anew: OpenAPI, settings, problems, catalogue
	@$(RUN)/python docs/generate.py

.PHONY: bench
bench: setup ## Measure uploads, profiles, trainings and predictions against their limits
	@$(RUN)/python benchmarks/run.py $(ARGS)

.PHONY: bench-serving bench-flame
bench-serving: setup ## Measure serving beside eight peers, which it installs by itself (ARGS="--quick"; needs wrk)
	@$(RUN)/python benchmarks/serving/run.py $(ARGS)
bench-flame: setup ## Record a flame graph of ml-service under load (needs wrk)
	@$(RUN)/python benchmarks/serving/run.py --flame $(ARGS)

.PHONY: clean
clean: ## Remove caches and builds (the data in .modelmill stay)
	@rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -not -path './.uv/*' -prune -exec rm -rf {} +

##@ With Docker

.env:
	@umask 077
	deploy/make-env > .env.new
	mv .env.new .env
	echo "Wrote .env with random secrets"

.PHONY: images up down logs health scale-ml backup-db restore-db
images: .env ## Build the images
	@DOCKER_BUILDKIT=1 $(COMPOSE) build
up: .env ## Build what changed and start the compose stack
	@DOCKER_BUILDKIT=1 $(COMPOSE) up -d --build
down: ## Stop the compose stack; volumes stay
	@$(COMPOSE) down
logs: ## Follow its logs (SERVICE=api-server)
	@$(COMPOSE) logs -f $(SERVICE)
health: ## Ask both services how they are (MILL_URL=http://localhost)
	@url="$${MILL_URL:-http://localhost}"
	for path in /health/detailed /ml/health/detailed; do curl -fsS "$$url$$path" | jq .; done
scale-ml: ## Run N replicas of ml-service (N=4)
	@$(COMPOSE) up -d --no-recreate --scale ml-service=$(N) ml-service
backup-db: ## Dump the database to backups/
	@umask 077
	mkdir -p backups
	file="backups/modelmill-$$(date +%Y%m%dT%H%M%S).dump"
	$(COMPOSE) exec -T postgres pg_dump --format=custom --username postgres modelmill > "$$file"
	echo "$$file"
restore-db: ## Put the database back to what FILE holds; the services stop meanwhile
	@test -s "$(FILE)" || { echo "make restore-db FILE=backups/….dump"; exit 2; }
	$(COMPOSE) stop api-server worker-ml worker-data
	$(COMPOSE) exec -T postgres pg_restore --clean --if-exists --exit-on-error --username postgres --dbname modelmill < "$(FILE)"
	$(COMPOSE) start api-server worker-ml worker-data
