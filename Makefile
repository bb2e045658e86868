# Needs Python 3.11 or later and make; everything else is installed into .venv, once for each state of the lock.

PYTHON ?= python3
UV ?= uv
# Processes of tests. One waits now and then, so that three keep two processors busy.
WORKERS ?= 3

VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked-$(shell cksum < requirements.lock | cut -d ' ' -f 1)
READY := $(VENV)/.ready-$(shell cat requirements.lock pyproject.toml | cksum | cut -d ' ' -f 1)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# No target needs an AWS account: the linters want a region, and the tests talk to the embedded AWS only.
export AWS_DEFAULT_REGION ?= eu-central-1
export SAM_CLI_TELEMETRY := 0
export PYTHONUTF8 := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test coverage fuzz iam matrix bench lint build format lock clean

help: ## What there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

# The lock is complete, so pip resolves nothing: it takes those files, by hash, and no others.
$(LOCKED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --require-hashes --no-deps -r requirements.lock
	@touch $@

$(READY): $(LOCKED)
	$(PIP) install --no-deps --no-build-isolation -e .
	$(PIP) check
	@touch $@

install: $(READY) ## What the other targets need, into .venv

demo: $(READY) ## Incidents on an embedded AWS, each mended by a runbook
	$(BIN)/runbook demo

PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder
# What is about the workbench, and what goes again and again through what the others have gone through.
UNTRACED := tests/asl tests/aurora tests/bench tests/cli tests/docs tests/embedded tests/iam tests/matrix tests/scaffold \
	tests/template tests/test_matrix.py tests/test_races.py tests/frame/test_killed_between_two_changes.py

test: $(READY) ## All tests
	$(PYTEST)

coverage: $(READY) ## How much of what deploys the tests go through: at least 95 %; tracing takes as long as the tests do
	$(PYTEST) $(addprefix --ignore=,$(UNTRACED)) --cov --cov-report=term --cov-fail-under=95

fuzz: $(READY) ## 3,600 requests to the API, made from its OpenAPI document
	FUZZ_REQUESTS=3600 $(BIN)/python -m pytest tests/api/test_fuzz.py -n $(WORKERS)

iam: $(READY) ## What each function may do, and which of its calls need it; JSON=1 for data
	@$(BIN)/python -m workbench.iam $(if $(JSON),--json)

matrix: $(READY) ## Every failure in every step of every runbook, into docs/failure-matrix.md; half an hour
	$(BIN)/python -m workbench.matrix --workers $(WORKERS)

bench: $(READY) ## What a run costs, into docs/benchmarks.md
	$(BIN)/python -m workbench.bench

lint: $(READY) ## Style, types, compiled machines and the template
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/runbook compile --check
	$(BIN)/python -m workbench.openapi --check
	$(BIN)/sam validate --lint

build: $(READY) ## What sam deploy takes, in .aws-sam/build; needs python3.13 on the PATH
	@python3.13 -c '' || { echo "sam build needs the functions' own python3.13 on the PATH." >&2; exit 1; }
	$(BIN)/sam build --parameter-overrides Architecture=x86_64 --build-dir .aws-sam/x86_64
	$(BIN)/sam build
	.ci/built .aws-sam/build .aws-sam/x86_64

format: $(READY) ## Rewrites the code in the one style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: ## Resolves the pins again, from pyproject.toml; needs uv
	UV="$(UV)" sh .ci/lock

clean: ## Removes what the other targets made
	rm -rf $(VENV) .aws-sam build dist *.egg-info src/*.egg-info .coverage .coverage.* htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
