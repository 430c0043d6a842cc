# Handoff: what people type. `make` alone lists it.

SHELL := /bin/sh
.DEFAULT_GOAL := help

BIN := .venv/bin
INSTALLED := .venv/.installed
# One more than the two cores of a small machine: the tests wait for a quarter of their time.
WORKERS ?= 3
REPORT ?= var/bench

# An activated environment of another project must not leak in.
unexport VIRTUAL_ENV
unexport PYTHONHOME
unexport PYTHONPATH
# Nor what would have every process compile all modules anew: the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test check test-long bench format schema clean

help: ## List what make can do
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

run: $(INSTALLED) ## Start Handoff on this machine, with demo data
	@exec $(BIN)/handoff run

test: check ## Check, then run all tests but the long ones, with coverage
	$(BIN)/pytest -n $(WORKERS) -m "not long" --cov --cov-report=term

check: $(INSTALLED) ## Check format, lint, types, layers and the laws of this repository
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_laws*.py

test-long: $(INSTALLED) ## Run the tests that take minutes
	$(BIN)/pytest -m long

bench: $(INSTALLED) ## Measure Handoff beside its peers (SMALL=1: all of it once, for correctness)
	$(BIN)/$(if $(SMALL),pytest -q tests/test_bench.py,python -m bench --report $(REPORT))

format: $(INSTALLED) ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

schema: $(INSTALLED) ## Write schema.graphql anew
	$(BIN)/handoff schema > schema.graphql.new
	mv schema.graphql.new schema.graphql

clean: ## Remove what checks, tests and builds left; .venv, .env and data stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf .coverage .coverage.* htmlcov build dist schema.graphql.new
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

# The environment is made anew when what it is made from has changed, or when its Python is gone.
$(INSTALLED): pyproject.toml uv.lock $(if $(wildcard $(BIN)/python),,missing-python)
	@.ci/bootstrap
	@touch $@

.PHONY: missing-python
missing-python:
