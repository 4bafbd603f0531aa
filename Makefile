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
# So has Megatron: it wants Python 3.12, and its bridge names versions that verl does not go with.
MEGATRON_PYTHON ?= python3.12
MEGATRON_VENV ?= .venv-megatron
STAMP := $(VENV)/.installed
ARGS ?=

export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1
export RAY_USAGE_STATS_ENABLED ?= 0

.PHONY: help venv quickstart study config test test-fast gpu-check gpu-bundles vllm-cpu-check megatron-cpu-check lint \
	mypy-baseline format docs bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

venv: $(STAMP) ## Make the virtual environment from the pinned versions

$(STAMP): pyproject.toml constraints/cpu-py311.txt constraints/cpu-py312.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or 3.12 with venv and ensurepip found; set PYTHON=/path/to/python" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null || { \
	echo "PYTHON=$(PYTHON): Python 3.11 or 3.12 with venv and ensurepip is needed (constraints/ has pins for these two)" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	pins=constraints/cpu-$$($(BIN)/python -c 'import sys; print("py%d%d" % sys.version_info[:2])').txt; \
	$(BIN)/python -m pip install --quiet -c $$pins setuptools && \
	$(BIN)/python -m pip install --quiet -c $$pins --no-build-isolation -e '.[cpu,dev]'
	$(BIN)/python -m pip check
	touch $@

quickstart: $(STAMP) ## Train with ZPPO on the CPU, from nothing to a report (ARGS="key=value ..." go to the trainer)
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

# The environment's PyTorch is the CPU's: on a GPU name an interpreter that has another one, PYTHON=..., or use bundles.
gpu-check: ## Check one GPU in 12 minutes at most (PYTHON=... has PyTorch for it; ARGS="--device cpu" tries it without)
	$(if $(filter command environment,$(origin PYTHON)),$(PYTHON),$(BIN)/python) examples/gpu_check/gpu_check.py $(ARGS)

gpu-bundles: $(STAMP) ## What gpu-check needs on a machine with PyTorch and transformers only (ARGS="--python 3.12")
	$(BIN)/python examples/gpu_check/bundles.py $(or $(OUT),outputs/gpu-check) $(ARGS)

# Of the variable $(1): it is Python 3.$(2).
need = @"$($(1))" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, $(2)))' 2>/dev/null || { \
	echo "$(1)=$($(1)): Python 3.$(2) with venv and ensurepip is needed here; set $(1)=/path/to/python3.$(2)" >&2; exit 2; }

vllm-cpu-check: $(VLLM_VENV)/.installed ## Train through vLLM's CPU build, images and LoRA too (Python 3.11, 3 GB of its own)
	$(VLLM_VENV)/bin/python -m pytest $(VLLM_TESTS) $(ARGS)

VLLM_TESTS := tests/cpu/test_vllm_cpu.py tests/cpu/test_vllm_qwen3_5.py tests/cpu/test_vllm_adapters.py \
	tests/e2e/test_train_vllm.py

# Without resolving: see the head of the constraints file. pip check may name what is left out there, and nothing else.
# The .pth file is read whenever this environment's Python starts, also by processes that vLLM starts for itself.
$(VLLM_VENV)/.installed: pyproject.toml constraints/cpu-vllm-py311.txt
	$(call need,VLLM_PYTHON,11)
	$(VLLM_PYTHON) -m venv --clear $(VLLM_VENV)
	pip="$(VLLM_VENV)/bin/python -m pip" && pins=constraints/cpu-vllm-py311.txt && \
	$$pip install --quiet -c $$pins setuptools && \
	$$pip install --quiet --no-deps --no-build-isolation -r $$pins && \
	$$pip install --quiet --no-deps --no-build-isolation -e .
	echo 'import recipe.cpu.torchvision_alone as alone; alone.declare_when_imported()' > \
	"$$($(VLLM_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/zppo_torchvision.pth"
	! $(VLLM_VENV)/bin/python -m pip check | grep -vE 'requires (torchaudio|torchcodec|triton), which|^No broken'
	touch $@

megatron-cpu-check: $(MEGATRON_VENV)/.installed ## Train three steps on Megatron, on the CPU (Python 3.12, 2 GB of its own)
	$(MEGATRON_VENV)/bin/python -m pytest tests/cpu/test_megatron_cpu.py $(ARGS)

# The bridge asks for much that text models don't use; pip check may name what it and modelopt miss, and nothing else.
$(MEGATRON_VENV)/.installed: pyproject.toml constraints/cpu-py312.txt constraints/cpu-megatron-py312.txt
	$(call need,MEGATRON_PYTHON,12)
	$(MEGATRON_PYTHON) -m venv --clear $(MEGATRON_VENV)
	pip="$(MEGATRON_VENV)/bin/python -m pip" && pins=constraints/cpu-py312.txt && \
	$$pip install --quiet -c $$pins setuptools && \
	$$pip install --quiet -c $$pins --no-build-isolation -e '.[cpu,dev]' && \
	$$pip install --quiet --no-deps -r constraints/cpu-megatron-py312.txt
	! $(MEGATRON_VENV)/bin/python -m pip check | grep -vE '^(megatron-bridge|nvidia-modelopt) |^No broken'
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
	rm -rf $(VENV) $(VLLM_VENV) $(MEGATRON_VENV) build dist site open_zppo.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis outputs
