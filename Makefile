# Everything runs in ./.venv; the only thing this file downloads is what pip installs there.
# `make help` lists the targets. PYTHON chooses the interpreter that the environment is made from.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/pytest -n 2
N      ?= 100
SEED   ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types unit cosim synth slow fuzz wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# An existing environment is enough (order-only), because its python is a link to a file that is older than anything here.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# pip runs again only when the dependencies could have changed. dev contains everything that run contains.
$(VENV)/.installed-run: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sim,synth]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed-run

demo: $(VENV)/.installed-run ## the whole way, from the bundled model to a verified bitstream in ./hwgen-demo
	$(BIN)/hwgen demo

test: lint types ## lint, types and every test that takes seconds
	$(PYTEST) -m "not slow"

lint: $(VENV)/.installed-dev ## style and common mistakes
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.installed-dev ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.installed-dev ## static types
	$(BIN)/mypy

unit: $(VENV)/.installed-dev ## only the tests that need no simulator and no synthesizer
	$(PYTEST) -m "not cosim and not synth and not slow"

cosim: $(VENV)/.installed-dev ## only the tests that build a simulator
	$(PYTEST) -m "cosim and not slow"

synth: $(VENV)/.installed-dev ## only the tests that run Yosys or nextpnr
	$(PYTEST) -m "synth and not slow"

slow: $(VENV)/.installed-dev ## the tests that take minutes
	$(PYTEST) -m slow

fuzz: $(VENV)/.installed-dev ## N random networks from SEED on: reference == hardware (make fuzz N=1000 SEED=0)
	$(BIN)/python -m tests.fuzz --count $(N) --seed $(SEED)

wheel: $(BIN)/python ## dist/*.whl, from a clean build folder
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean: ## remove everything that these targets made, the environment included
	rm -rf $(VENV) build dist out hwgen-demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
