# make demo    the whole walk on the embedded example, in the terminal and as one HTML page
# make test    every test, in an environment of its own
# make formats the log readers against files that the real tools write, which it installs
# make check   what a change must pass: format, lint, types, import contracts, tests
# make docs    the documentation, into docs/_build/html
# make clean   remove what the targets above made
#
# All of them need Python 3.11 or newer; name another one with PYTHON=python3.12.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
STAMPS := $(VENV)/stamps

# One thread per process: the tests run in several processes, and matrices are small.
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test formats check docs refresh clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

demo: $(STAMPS)/base
	$(BIN)/scalewise demo

test: $(STAMPS)/dev
	$(TEST) -n $(WORKERS) --dist loadfile

formats: $(STAMPS)/formats
	SCALEWISE_FORMATS=1 $(TEST) tests/sources/formats

check: $(STAMPS)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src tests
	$(BIN)/lint-imports
	$(TEST) -n $(WORKERS) --dist loadfile

docs: $(STAMPS)/docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# The outputs and tables in README and docs, written anew by the test that otherwise checks them.
refresh: $(STAMPS)/dev
	REFRESH_DOCS=1 $(TEST) tests/test_docs.py

clean:
	rm -rf $(VENV) docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# An environment made by other means is used as it is, if it runs and is new enough.
$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "scalewise needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version 2>&1`." >&2; \
	  echo "Name another one: make $(or $(MAKECMDGOALS),test) PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python -m ensurepip
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/base: pyproject.toml | $(STAMPS)/venv
	$(PIP) --editable .
	@touch $@

# torch first, by the version that machines without a GPU may hold as a small local build; where
# there is none, the newest that PyPI has for the platform.
$(STAMPS)/dev: pyproject.toml | $(STAMPS)/venv
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) torch==2.13.0 || $(PIP) torch
	$(PIP) --editable '.[train,ray,dev]'
	@touch $@ $(STAMPS)/base

$(STAMPS)/formats: pyproject.toml $(STAMPS)/dev
	$(PIP) --editable '.[formats]'
	@touch $@

$(STAMPS)/docs: pyproject.toml | $(STAMPS)/venv
	$(PIP) --editable '.[docs]'
	@touch $@ $(STAMPS)/base
