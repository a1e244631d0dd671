# Everything a stranger needs: `make demo` shows the pool, `make test` proves it. Both install what
# is missing and say so first.

CARGO ?= cargo

.PHONY: help demo test check lint unit integration clients openapi xmrig judge bench fuzz soak load vectors packages

help:
	@echo "make demo    a pool, a simulated node and two workers on this machine"
	@echo "make test    every test: lints, unit, real daemons, the judge"
	@echo "make check   the quick part of it: formatting, lints, unit tests"
	@echo "make bench   what a share costs"
	@echo "make fuzz    each fuzz target for a minute, or for FUZZ_TIME seconds"
	@echo "make soak    2,000 connections, honest and hostile, for SOAK_TIME seconds; many kills; 20,000 shares beside monerod; RandomX's dataset"
	@echo "make load    1,000 miners beside 1,000 viewers of the pages and 200 requests a second; what a large day costs"
	@echo "make vectors the vectors in docs/receipts.md, printed anew"

demo:
	@scripts/packages build
	$(CARGO) run --release --locked --bin adit -- demo $(DEMO)

check: lint unit

test: packages lint unit integration judge

packages:
	@scripts/packages build daemons postgres judge clients openapi terminal alerts browser

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- --deny warnings
	$(CARGO) clippy --locked -p benches --all-targets -- --deny warnings
	$(CARGO) clippy --locked -p adit --lib -- --deny warnings --cfg fuzzing
	@if command -v cargo-deny >/dev/null; then \
	  cargo deny --offline check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and sources are not checked"; fi

unit:
	$(CARGO) test --locked --workspace --exclude judge --exclude benches --lib --bins
	scripts/postgres $(CARGO) test --locked -p wire -p store -p simnet --tests

# The real program, real litecoind, a real browser, clients of others, and at least 200 kills in the middle of work.
integration: clients openapi xmrig
	scripts/postgres $(CARGO) test --locked -p adit --test integration

# What is in JavaScript, in the versions of its lock files: clients that the pool is tested with, and what
# drives a browser through its pages.
clients: tests/clients/node_modules/.package-lock.json tests/browser/node_modules/.package-lock.json

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --ignore-scripts --no-audit --no-fund

# What makes requests from the description of the API, in the versions of its list.
openapi: tests/openapi/venv/installed

tests/openapi/venv/installed: tests/openapi/requirements.txt
	python3 -m venv --clear tests/openapi/venv
	tests/openapi/venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/openapi/requirements.txt
	touch $@

# A miner of Monero's, from Debian.
xmrig:
	@scripts/xmrig

# Bitcoin's own consensus library on the pool's blocks; compiles C++, so it stands apart.
judge:
	CCACHE_NOHASHDIR=1 $(CARGO) test --locked -p judge --no-fail-fast
	$(CARGO) clippy --locked -p judge --all-targets -- --deny warnings

bench:
	@scripts/packages build
	$(CARGO) bench --locked -p benches

# Each target for FUZZ_TIME seconds; stable Rust is enough.
fuzz:
	@scripts/packages build
	@scripts/fuzz

# Honest miners amid hostile peers for SOAK_TIME seconds, CRASH_KILLS kills in the middle of work, and 20,000
# shares of Monero that monerod judges, too.
soak: export SOAK_TIME ?= 120
soak: export CRASH_KILLS ?= 1000
soak: xmrig
	@scripts/packages build daemons
	$(CARGO) test --locked --release -p adit --test integration soak:: -- --include-ignored --nocapture
	$(CARGO) test --locked --release -p adit --test integration crash:: -- --nocapture
	ADIT_AGREEMENTS=10000 $(CARGO) test --locked --release -p adit --test integration monerod::agree:: -- --nocapture
	$(CARGO) test --locked --release -p adit --test integration monerod::xmrig:: -- --include-ignored
	$(CARGO) test --locked --release -p pow -p adit --lib dataset -- --include-ignored --test-threads 1

# How long 1,000 miners wait for their answers with and without people who look, in turns of LOAD_TIME seconds.
load:
	@scripts/packages build
	$(CARGO) test --locked --release -p adit --test integration load::miners -- --include-ignored --nocapture
	$(CARGO) test --locked --release -p adit --test integration work::load -- --include-ignored --nocapture --test-threads 1
	$(CARGO) test --locked --release -p adit --test integration monerod::load -- --include-ignored --nocapture --test-threads 1
	$(CARGO) test --locked --release -p adit --lib receipts::tests::a_large_day -- --include-ignored --nocapture

# The vectors in docs/receipts.md, printed anew.
vectors:
	@scripts/packages build
	$(CARGO) test --locked -p adit --lib receipts::vectors::print_the_vectors -- --include-ignored --nocapture
