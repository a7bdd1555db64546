# Everything on a fresh machine with Python >= 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: up install check test bench faults fuzz lock clean

up: install            ## the whole product on this machine, with the demo app
	@$(BIN)/pulse up --demo

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "PulseAPI needs Python 3.11 or newer; try: make PYTHON=python3.12 up")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	@echo "Installing what requirements.lock names ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

check: install         ## the fast part: style, types, rooms, unit tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 2 --dist worksteal -m "not engines and not browser" tests

test: check            ## everything, on the real engines and in a real browser
	$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "engines or browser" tests

bench: install         ## every benchmark, or one: make bench NAME=probe
	@$(BIN)/python -m tests.benchmarks $(NAME)

faults: install        ## kill everything at random while results flow, and compare: make faults SECONDS=600
	@$(BIN)/python -m tests.faults $(or $(SECONDS),60)

fuzz: install          ## generated requests to every operation of the OpenAPI document: make fuzz REQUESTS=20000
	@$(BIN)/python -m tests.fuzz $(or $(REQUESTS),20000)

lock:                  ## resolve requirements.lock again
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --all-extras --upgrade pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .pulse artifacts
