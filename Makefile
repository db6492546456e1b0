# Each target does its own set-up: scripts/setup checks for what it needs and installs only what is missing.

# bindgen takes an empty LIBCLANG_PATH for a place without libclang.
ifeq ($(strip $(LIBCLANG_PATH)),)
unexport LIBCLANG_PATH
endif

.DEFAULT_GOAL := help
.PHONY: help run demo test test-servers bench lint fmt setup clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 22

run: setup ## build the module and start redis-server with it in the foreground (PORT=6379)
	@scripts/run

demo: setup ## a tour of the commands, against a throw-away server
	@scripts/demo

test: setup ## run every test; integration tests start servers of their own on free ports
	@if cargo nextest --version >/dev/null 2>&1; then \
	    cargo nextest run --workspace --all-features --no-fail-fast && cargo test --workspace --all-features --doc; \
	else \
	    cargo test --workspace --all-features --no-fail-fast; \
	fi

test-servers: setup ## run the integration tests on Redis 8 and Valkey 8 and 9 too (SERVERS="redis-8 valkey-9")
	@scripts/test-servers $(SERVERS)

bench: setup ## run the benchmarks
	cargo bench -p redis-session-benches

lint: setup ## check formatting and run clippy; a warning is an error
	@scripts/setup --lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings

fmt: ## format the code
	cargo fmt --all

setup: ## install what is missing: redis-server, redis-cli, libclang, a C compiler
	@scripts/setup

clean: ## remove what was built; data/ stays
	cargo clean
