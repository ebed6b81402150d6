# `make` says what can be done here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
TORCH := .venv-torch/bin
VLLM := .venv-vllm/bin
TRAINERS := .venv-trainers/bin

.PHONY: help setup demo test test-long test-torch test-trainers test-vllm lint format bench clean

help:  ## Say what can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/rsr: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(BIN)/rsr
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

setup: $(VENV)/.dev  ## Make .venv with rsr and the tools to work on it

demo: $(BIN)/rsr  ## Run the quickstart recipe on the embedded model
	$(BIN)/rsr demo

test: $(VENV)/.dev  ## Run the tests, in a few minutes
	$(BIN)/python -m pytest -m "not long" -n 2

test-long: $(VENV)/.dev  ## Run the tests that take longer: kills, soak, faults of every kind at once
	$(BIN)/python -m pytest -m long -n 2

.venv-torch/.made: pyproject.toml
	test -x $(TORCH)/python || $(PYTHON) -m venv .venv-torch
	$(TORCH)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(TORCH)/python -m pip install --quiet torch==2.13.0
	$(TORCH)/python -m pip install --quiet "transformers>=5" --editable . --group dev
	touch $@

test-torch: .venv-torch/.made  ## Run the tests that need torch, in an environment of their own
	$(TORCH)/python -m pytest -m torch

.venv-trainers/.made: pyproject.toml
	test -x $(TRAINERS)/python || $(PYTHON) -m venv .venv-trainers
	$(TRAINERS)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(TRAINERS)/python -m pip install --quiet torch==2.13.0
	$(TRAINERS)/python -m pip install --quiet "trl>=1.16" datasets peft --editable . --group dev
	touch $@

test-trainers: .venv-trainers/.made  ## Let trainers read the rows and take a step, in an environment of their own
	$(TRAINERS)/python -m pytest -m trainers tests/trainers

.venv-vllm/.made: pyproject.toml tests/vllm/cpu-requirements.txt tests/vllm/cpu-overrides.txt
	test -x $(VLLM)/python || $(PYTHON) -m venv .venv-vllm
	$(VLLM)/python -m pip install --quiet --upgrade "pip>=25.1" uv
	$(VLLM)/python -m pip install --quiet torch==2.13.0
	$(VLLM)/uv pip install --quiet --python $(VLLM)/python --override tests/vllm/cpu-overrides.txt \
		--requirement tests/vllm/cpu-requirements.txt --editable . --group dev
	touch $@

test-vllm: .venv-vllm/.made  ## Run the tests that need vLLM and Ray, in an environment of their own
	RSR_TEST_REQUIRE=vllm $(VLLM)/python -m pytest -m vllm tests/vllm

lint: $(VENV)/.dev  ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## Put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## Run the benchmarks, side by side with what one would use instead
	for file in tests/benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:  ## Remove what was built
	rm -rf $(VENV) .venv-torch .venv-trainers .venv-vllm build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
