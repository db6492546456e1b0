# Each target does its own set-up: scripts/setup checks for what it needs and installs only what is missing.

# bindgen takes an empty LIBCLANG_PATH for a place without libclang.
ifeq ($(strip $(LIBCLANG_PATH)),)
unexport LIBCLANG_PATH
endif

.DEFAULT_GOAL := help
.PHONY: help run keys demo demo-race example migrate install package docs check test test-package nightly test-browser test-servers stress soak memcheck bench bench-check fuzz lint fmt setup clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 22

run: setup ## build the module and start redis-server with it in the foreground (PORT=6379)
	@scripts/run

FILE ?= data/keys.json
keys: setup ## make a key file, or add a new key after those it has (FILE=data/keys.json, ALG=EdDSA)
	@cargo run --locked --release --quiet -p redis-session-keys -- $(if $(wildcard $(FILE)),rotate $(if $(ALG),--alg $(ALG)),new --alg $(or $(ALG),HS256)) '$(FILE)'

demo: setup ## a tour of the commands, against a throw-away server
	@scripts/demo

demo-race: setup ## a logout while a request is under way, 1,000 times: with plain keys, and with the module
	@scripts/demo race

example: setup ## start an application of examples/ and a throw-away server for it (APP=fastapi, else auth-service; PORT=8080)
	@scripts/example $(APP)

migrate: setup ## move live sessions here from plain keys; without --apply, a dry run (ARGS="--source redis://10.0.0.1/")
	@cargo run --locked --release --quiet -p redis-session-migrate -- $(ARGS)

install: ## build, then copy the module, the programs and their pages to PREFIX=/usr/local
	@scripts/setup --package
	@scripts/build-release
	@PREFIX='$(or $(PREFIX),/usr/local)' DESTDIR='$(DESTDIR)' scripts/install

package: ## build a tarball and a Debian package, with checksums and a bill of materials, in target/package
	@scripts/setup --package
	@scripts/package

docs: setup ## write into docs/commands.md what the server says of its commands, and draw the README's charts
	@REDIS_TEST_WRITE_DOCUMENTS=1 cargo test --locked --workspace --all-features --test documents -- generated

check: setup ## before each commit: formatting, clippy, the tests of core, the client and the commands
	@scripts/check

test: setup ## all that a change must pass on the default server; integration tests start servers of their own
	@scripts/test

nightly: setup ## before a release: every suite on every server, packages, browser, memcheck, soak, fuzz
	@scripts/nightly

test-package: setup ## build the packages and try them: lintian, a fresh Debian with systemd, a container
	@scripts/setup --package
	@scripts/test-package

test-browser: setup ## run the tests that open the examples' pages in Chromium
	@scripts/test-browser

test-servers: setup ## run what can depend on the server on Redis 8 and Valkey 8 and 9 (SERVERS="redis-8 valkey-9", or --all)
	@scripts/test-servers $(SERVERS)

stress: setup ## run all tests again and again while processors are busy and servers stop at random (RUNS=20)
	@scripts/stress $(or $(RUNS),20)

soak: setup ## run random commands and kills at length (REDIS_TEST_COMMANDS=, _HOSTILE_COMMANDS=, _ROUNDS=, _SEED=)
	@scripts/soak

memcheck: ## run integration tests inside valgrind (TESTS="refresh:: payloads::" for others than the usual ones)
	@scripts/setup --memcheck
	@scripts/memcheck $(TESTS)

bench-check: ## count the instructions of the hot commands, and fail if one has grown (WRITE=1 to take the new counts)
	@scripts/setup --memcheck
	@scripts/bench-check

bench: setup ## run the benchmarks and write docs/benchmarks.md (SESSIONS=10000,100000 ROUNDS=7)
	cargo bench --locked -p redis-session-benches

fuzz: ## fuzz what reads bytes from outside (TARGET=value RUNS=1000000)
	@TARGET="$(TARGET)" RUNS="$(RUNS)" scripts/fuzz

lint: setup ## check formatting, code, documentation, dependencies and scripts; a warning is an error
	@scripts/lint

fmt: ## format the code
	cargo fmt --all

setup: ## install what is missing: redis-server, redis-cli, libclang, a C compiler, openssl
	@scripts/setup

clean: ## remove what was built; data/ stays
	cargo clean
