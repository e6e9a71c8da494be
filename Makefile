# Two commands do everything on a fresh machine: `make run` and `make test`. CI calls these same targets.
VENV   := .venv
BIN    := $(VENV)/bin
# Tests at a time: more than half of a run is waiting for servers and clocks. WORKERS=0 runs one after the other.
WORKERS ?= 2
# A file's tests share their servers. In the order of names the last files are small ones; the largest number of tests first,
# as xdist would have it, leaves one long test alone at the end.
SPREAD := --dist loadfile --no-loadscope-reorder
READY  := $(VENV)/.ready
# Groups of pyproject.toml that only some targets need.
LINT   := $(VENV)/.group-lint
PLOT   := $(VENV)/.group-plot
SOURCES := pyproject.toml constraints.txt scripts/setup.sh Cargo.toml Cargo.lock \
           $(shell find rust -name '*.rs' -o -name Cargo.toml 2>/dev/null)

# Where bytecode is not kept, each of some thousand starts of pbs-fast compiles all that it imports, and each worker all tests.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run setup setup-full test test-rust test-python test-unit coverage test-native test-servers test-fallback oldest-rust lint lint-actions audit format \
    fuzz bench bench-core wheels build-wheels test-wheels check-release deb test-deb test-fresh test-debian-python clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## set up, then show the main job at work: a login opens the relay, grace later it is shut
	@$(BIN)/python examples/demo.py

setup: $(READY) ## make .venv and build the native core into it

setup-full: $(READY) $(LINT) $(PLOT) ## the same, with what lint, benchmarks and pictures need besides

$(READY): $(SOURCES)
	@scripts/setup.sh

$(VENV)/.group-%: pyproject.toml constraints.txt | $(READY)
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt --group $*
	@touch $@

test: test-rust test-python ## set up and run every test, Rust and Python

test-rust: $(READY) ## the core's own tests
	cargo test --quiet --locked --package pbs-core

test-python: $(READY) ## everything else: backends, formats, tables, daemon, commands
	$(BIN)/pytest -q -n $(WORKERS) $(SPREAD)

test-unit: $(READY) ## the fast lane: what needs no server, daemon or build, with a quarter of the examples
	PBS_FAST_HYPOTHESIS=$(or $(PBS_FAST_HYPOTHESIS),short) $(BIN)/pytest -q -n $(WORKERS) $(SPREAD) -m "not system"

coverage: $(READY) ## the fast lane with the lines and branches of the package that it reaches; ALL=1 for every test
	$(BIN)/pytest -q -n $(WORKERS) $(SPREAD) $(if $(ALL),,-m "not system") --cov --cov-report=term

test-native: $(READY) $(LINT) ## the tests of the native module and of the backends' equality
	$(BIN)/pytest -q tests/native tests/backends

test-servers: $(READY) ## what match says of real POP and IMAP servers' lines (as root, on Debian); SUITE=trixie: of that Debian's
	$(if $(SUITE),packaging/test-servers.sh,$(BIN)/pytest -q tests/servers)

test-fallback: ## what runs without the native module, in an environment that has none
	packaging/fallback.sh

oldest-rust: ## build and test the core with the oldest Rust that Cargo.toml promises
	packaging/oldest-rust.sh

lint: $(READY) $(LINT) ## formatting, lints, types, and the native module's stub
	cargo fmt --all --check
	cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest pbs_fast._core
	$(BIN)/zizmor --quiet --offline .github/workflows

lint-actions: ## workflows and issue forms by their schema, actionlint, shell scripts by shellcheck (fetches the tools)
	scripts/lint-actions.sh

audit: $(READY) ## ask the advisory databases about every dependency, and its licence (fetches the tools)
	$(BIN)/python packaging/audit.py

format: $(READY) $(LINT) ## put all code into its form
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: $(READY) ## a minute of libFuzzer on envelopes and scans; FUZZ_SECONDS=N for more (needs a C++ compiler)
	scripts/fuzz.sh $(FUZZ_SECONDS)

bench: $(READY) $(PLOT) ## measure pbs-fast and other programs on this machine into benches/RESULTS.md; QUICK=1 takes four minutes, not twelve
	$(BIN)/python benches/run.py $(if $(QUICK),--quick) $(if $(PERL),--perl '$(PERL)')

bench-core: $(READY) ## measure the stages of the Rust core (Criterion)
	cargo bench --quiet --locked --package pbs-core

wheels: build-wheels ## build this platform's wheel, the pure one and the sdist into dist/, test each in an empty venv
	$(BIN)/python packaging/wheels.py test

build-wheels: $(READY) ## build them only
	$(BIN)/python packaging/wheels.py build

test-wheels: ## test the wheels in dist/ (or FILES) with PYTHON, each in an empty venv
	$(or $(PYTHON),python3) packaging/wheels.py test $(FILES)

check-release: ## check that dist/ holds every file of the release TAG, and no other
	$(or $(PYTHON),python3) packaging/wheels.py release '$(TAG)'

deb: $(if $(SUITE),,$(READY)) ## build the Debian package for this Debian into dist/; SUITE=bookworm or trixie: for that one (as root)
	packaging/deb.sh

test-deb: ## prove the Debian package of SUITE in a fresh root: install, use, upgrade, remove, purge (as root)
	packaging/test-deb.sh

test-fresh: ## clone, make run and make test on a fresh Debian with its own Python: SUITE=bookworm or trixie (as root)
	packaging/test-fresh.sh

.PHONY: docs test-docs
docs: ## build the documentation site into target/site, strictly (fetches MkDocs into target/docs-venv)
	scripts/docs.sh

test-docs: $(READY) ## run the commands of README and docs in a fresh root: SUITE=bookworm or trixie (as root)
	packaging/test-docs.sh

test-debian-python: $(READY) ## both backends on Debian's own Python, in a fresh root: SUITE=bookworm or trixie (as root)
	packaging/test-debian-python.sh

clean: ## remove everything that was built
	rm -rf $(VENV) target dist benches/data .mypy_cache .ruff_cache .pytest_cache .hypothesis
