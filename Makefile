# Two commands do everything on a fresh machine: `make run` and `make test`. CI calls these same targets.
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
SOURCES := pyproject.toml constraints.txt scripts/setup.sh Cargo.toml Cargo.lock \
           $(shell find rust -name '*.rs' -o -name Cargo.toml 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help run setup test test-rust test-python lint format fuzz bench wheels test-wheels clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## set up, then show the main job at work: a login opens the relay, grace later it is shut
	@$(BIN)/python examples/demo.py

setup: $(READY) ## make .venv and build the native core into it

$(READY): $(SOURCES)
	@scripts/setup.sh

test: test-rust test-python ## set up and run every test, Rust and Python

test-rust: $(READY) ## the core's own tests
	cargo test --quiet --locked --package pbs-core

test-python: $(READY) ## everything else: twins, formats, tables, daemon, commands
	$(BIN)/pytest -q

lint: $(READY) ## formatting, lints, types, and the native module's stub
	cargo fmt --all --check
	cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest pbs_fast._core

format: $(READY) ## put all code into its form
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: $(READY) ## a minute of libFuzzer on envelopes and scans; FUZZ_SECONDS=N for more (needs a C++ compiler)
	scripts/fuzz.sh $(FUZZ_SECONDS)

bench: $(READY) ## measure this machine beside its rivals (docs in benches/README.md)
	$(BIN)/python benches/rivals.py

wheels: $(READY) ## build this platform's wheel, the pure one and the sdist into dist/, test each in an empty venv
	$(BIN)/python packaging/wheels.py build
	$(BIN)/python packaging/wheels.py test

test-wheels: ## test what lies in dist/ with PYTHON (default python3), each in an empty venv
	$(or $(PYTHON),python3) packaging/wheels.py test

clean: ## remove everything that was built
	rm -rf $(VENV) target dist benches/data .mypy_cache .ruff_cache .pytest_cache .hypothesis
