# Everything a developer types. `make test` on a fresh clone installs what it needs first, inside this directory.
# A stamp file stands for each installed thing, so the second run starts at once: a lock that moved reinstalls,
# a Rust source that moved rebuilds, and a Python source needs neither because the package is installed editable.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

BIN := .venv/bin
RUN_ARGS ?= run configs/paper.toml
PYTEST_ARGS ?=
FUZZ_SECONDS ?= 60
NEWEST ?= python3.13
SEEDS ?= 2000
FIRST ?= 0
POINTS ?= 40
RUST := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock rustfmt.toml clippy.toml

export COVERAGE_FILE := $(CURDIR)/target/coverage
export UV_PYTHON_DOWNLOADS := never
# uv brings its own certificates; a machine's own list knows its proxy or mirror as well.
export UV_SYSTEM_CERTS := $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),true,false)
export UV_CUSTOM_COMPILE_COMMAND := make lock
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

# rustup keeps toolchains under the home directory; a run with another HOME, or with none, still finds the account's own.
HOMES := $(HOME) $(shell getent passwd "$$(id -u)" | cut -d: -f6) /usr/local
SPACE := $(subst ,, )
export PATH := $(PATH):$(subst $(SPACE),:,$(foreach home,$(HOMES),$(home)/.cargo/bin $(home)/cargo/bin))
ifndef RUSTUP_HOME
TOOLCHAINS := $(firstword $(wildcard $(foreach home,$(HOMES),$(home)/.rustup/toolchains $(home)/rustup/toolchains)))
ifneq ($(TOOLCHAINS),)
export RUSTUP_HOME := $(patsubst %/toolchains,%,$(TOOLCHAINS))
endif
endif

.PHONY: help setup run test test-newest flaky fuzz check house coverage bench bench-live simulate kill-matrix limits docs reference update-golden lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: .venv/.native .tools/.system ## install everything, build the native core in release

run: .venv/.native ## trade on paper, on an exchange of its own; something else: make run RUN_ARGS="backtest configs/backtest.toml"
	@$(BIN)/mmbot $(RUN_ARGS)

test: .venv/.native .tools/.system ## all tests, Rust then Python; PYTEST_ARGS="--slow" for the slow ones too
	cargo test --quiet --locked --workspace --exclude mmbot-py
	$(BIN)/pytest $(PYTEST_ARGS)

test-newest: .venv/.native ## the wheel built once, tested on another interpreter: NEWEST=python3.13
	rm -rf target/newest && .tools/bin/uv venv -q --python $(NEWEST) target/newest
	.tools/bin/uv pip install -q --python target/newest --require-hashes -r requirements/dev.txt
	$(BIN)/maturin build -q --release --locked --out target/newest/wheel
	.tools/bin/uv pip install -q --python target/newest --no-deps target/newest/wheel/*.whl
	target/newest/bin/python -m pytest $(PYTEST_ARGS)

flaky: .venv/.native ## ten runs in ten random orders
	@for i in $$(seq 10); do $(BIN)/pytest -q $(PYTEST_ARGS) | tail -n 1; done

fuzz: .venv/.native ## every decoder against changed bytes, round after round for FUZZ_SECONDS=60 (and the last round)
	cargo test --quiet --locked --package mmbot-tape --package mmbot-journal --tests --no-run
	@end=$$((SECONDS + $(FUZZ_SECONDS))); for ((round = 1; round == 1 || SECONDS < end; round++)); do \
	  echo "fuzz: round $$round"; \
	  PROPTEST_CASES=500 cargo test --quiet --locked --package mmbot-tape --package mmbot-journal --tests fuzz_; \
	  $(BIN)/pytest -q -m fuzz --hypothesis-profile=fuzz; \
	done

check: .venv/.native ## format, lint, types, stub against binary, layers, house rules
	cargo fmt --all --check
	cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/stubtest mmbot._core --allowlist tools/stubtest.allow --ignore-unused-allowlist
	$(BIN)/lint-imports
	$(MAKE) house

house: .venv/.native ## the rules of the house alone: names, sizes, complexity, docs, locks
	$(BIN)/pytest -q tests/unit/test_house_*.py

coverage: .venv/.native ## line coverage of the package, at least 60 %
	$(BIN)/pytest --cov=mmbot --cov-report=term-missing:skip-covered --cov-fail-under=60 $(PYTEST_ARGS)

bench: .venv/.native ## benchmarks: measured and printed, never asserted
	$(BIN)/python -m benches $(BENCH_ARGS)

bench-live: .venv/.native ## the live side: frames, engine, journal, wire to wire, exchange, recorder, memory; some 10 minutes
	$(BIN)/python -m benches.bybit_frames
	$(BIN)/python -m benches.live_step
	$(BIN)/python -m benches.wire_to_wire 20
	$(BIN)/python -m benches.exchange_orders
	$(BIN)/python -m benches.exchange_soak core
	$(BIN)/python -m benches.record_run --books
	$(BIN)/python -m benches.exchange_soak soak --seconds 120
	$(BIN)/python -m benches.run_soak 120 60

simulate: .venv/.native ## the run itself in 2,000 seeds of a world that breaks, each played twice, and every planted bug: SEEDS=2000 FIRST=0
	$(BIN)/mmbot simulate --seeds $(SEEDS) --first-seed $(FIRST)
	$(BIN)/mmbot simulate --planted

kill-matrix: .venv/.native .tools/.system ## kill -9 at system calls of a real run, then the next one: POINTS=40; 520 take half an hour
	$(BIN)/python tests/integration/kill_matrix.py --points $(POINTS) --parallel 4

limits: .venv/.native ## a million random steps against the limits, judged by a model venue; `make test` takes a tenth of them
	cargo test --quiet --locked --release --package mmbot-engine --test limits_at_the_venue

docs: .venv/.native ## build the pages into site/, offline
	$(BIN)/python tools/reference.py --check
	$(BIN)/zensical build --clean --strict --config-file mkdocs.yml

reference: .venv/.native ## write docs/reference anew from the package
	$(BIN)/python tools/reference.py

update-golden: .venv/.native ## rewrite the golden files on purpose, and show what moved
	$(BIN)/pytest -q -m golden --update-golden $(PYTEST_ARGS)
	git diff --stat -- tests/golden
	git status --short -- tests/golden

# Developers run what users run: vendor clients among the tools pin exact versions, so their lock comes first.
lock: .tools/.ready ## move the locks: UPGRADE=--upgrade takes the newest, without it only what pyproject.toml asks for
	for name in tools:requirements/tools.in "dev:pyproject.toml --group dev --group docs" \
	            "run:pyproject.toml --constraint requirements/dev.txt"; do \
	  .tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate $(UPGRADE) \
	    $${name#*:} --output-file requirements/$${name%%:*}.txt; done

clean: ## remove all that was built or installed here
	rm -rf .venv .tools target site dist python/mmbot/_core*.so
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks

# Servers that tests talk to, from the system's own packages; without the right to install, those tests say why they skip.
.tools/.system: .tools/.ready tools/system-packages
	tools/system-packages
	touch $@

.tools/.ready: requirements/tools.txt tools/bootstrap
	tools/bootstrap
	touch $@

.venv/.locked: requirements/dev.txt .tools/.ready
	.tools/bin/uv venv -q --clear --python .tools/bin/python .venv
	.tools/bin/uv pip install -q --python .venv --require-hashes --only-binary :all: -r requirements/dev.txt
	touch $@

.venv/.native: .venv/.locked pyproject.toml $(RUST)
	UV_OFFLINE=1 VIRTUAL_ENV=$(CURDIR)/.venv PATH=$(CURDIR)/.tools/bin:$$PATH $(BIN)/maturin develop -q --uv --release --locked
	touch $@
