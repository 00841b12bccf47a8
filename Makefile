# Everything from nothing but Python 3.11 to 3.13 and make; each target makes .venv as far as it needs it.
# 3.14 must wait: the chain of demo and tests is checked by Bitcoin Core's kernel, which has no wheel for it yet.

PYTHON := $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	>/dev/null 2>&1 && echo $$python && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test lint format bench run clean

help:
	@echo "make demo   a whole world on this machine, live in your browser"
	@echo "make test   the test suite"
	@echo "make lint   format, lint, types, import rules"
	@echo "make format write the format that lint checks"
	@echo "make bench  the claims of speed, one JSON line each"
	@echo "make run    follow the sources of relays.toml, API and page included"

demo: .venv/demo
	$(BIN)/raised demo $(ARGS)

# Tests start our programs hundreds of times: Python may keep what it compiles, whatever it is told.
test: export PYTHONDONTWRITEBYTECODE =
test: .venv/test
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: .venv/lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: .venv/lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

bench: .venv/test
	@for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

run: .venv/demo
	$(BIN)/raised up $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/made:
	@test -n "$(PYTHON)" || { echo "raised needs Python 3.11, 3.12 or 3.13 with its venv module (Debian: apt install python3-venv); none was found."; exit 1; }
	@echo "installing into .venv …"
	@$(PYTHON) -m venv .venv
	@touch $@

# The pins say what was tested; the project itself is installed in place.
.venv/demo .venv/test .venv/lint: .venv/%: requirements/%.txt pyproject.toml | .venv/made
	@$(PIP) install -r $<
	@$(PIP) install --no-deps -e .
	@touch $@

.venv/test: .venv/demo
.venv/lint: .venv/test
