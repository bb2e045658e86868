# Needs Python 3.11 or later and make; everything else is installed into .venv, once for each state of the lock.

PYTHON ?= python3
UV ?= uv
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cat requirements.lock pyproject.toml | cksum | cut -d ' ' -f 1)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# No target needs an AWS account: the linters want a region, and the tests talk to the embedded AWS only.
export AWS_DEFAULT_REGION ?= eu-central-1
export SAM_CLI_TELEMETRY := 0
export PYTHONUTF8 := 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint format lock clean

help: ## What there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

# The lock is complete, so pip resolves nothing: it takes those files, by hash, and no others.
$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --require-hashes --no-deps -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	$(PIP) check
	@touch $@

demo: $(READY) ## Incidents on an embedded AWS, each mended by a runbook
	$(BIN)/runbook demo

test: $(READY) ## All tests, with the coverage of what deploys
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term --cov-fail-under=90

lint: $(READY) ## Style, types, compiled machines and the template
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/runbook compile --check
	$(BIN)/sam validate --lint

format: $(READY) ## Rewrites the code in the one style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: ## Resolves the pins again, from pyproject.toml; needs uv
	UV="$(UV)" sh .ci/lock

clean: ## Removes what the other targets made
	rm -rf $(VENV) .aws-sam build dist *.egg-info src/*.egg-info .coverage .coverage.* htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
