# Set-up, checks and tests of bunraku. `make help` lists the targets.

CARGO ?= cargo
# A panicking test without a backtrace says too little in CI.
export RUST_BACKTRACE ?= 1

.PHONY: help demo check test crash scale simulate mutants bench render

help:              ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*##/ { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo:              ## everything on a throw-away directory, with five real agents
	$(CARGO) run --release -- demo

check:             ## format, clippy with warnings denied, documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" $(CARGO) doc --workspace --no-deps --document-private-items

test:              ## all tests; on Debian as root installs what the real-component suites need
	tests/run

crash:             ## kill -9 of real processes: make crash N=1000 [SEED=7]; goes on where it was stopped
	CRASH_N=$(or $(N),1000) CRASH_SEED=$(SEED) $(CARGO) test --release --test crash -- --nocapture

scale:             ## thousands of nodes, and the figures: make scale N=10000 [CHURN=60]
	SCALE_N=$(or $(N),10000) SCALE_CHURN=$(or $(CHURN),60) $(CARGO) test --release --test scale -- --nocapture

simulate:          ## the engine against seeded worlds: make simulate SEEDS=300000, or SEEDS=17..18 for one
	SIM_SEEDS=$(or $(SEEDS),10000) $(CARGO) test --release -p bunraku-actors --test sim promises -- --nocapture

mutants:           ## breaks the rules of the promises on purpose, one by one, and sees the suites catch each
	tests/mutants/run

bench:             ## benchmarks, each beside its bare baseline, and a browser that watches 10,000 nodes
	$(CARGO) bench --workspace
	@if command -v node > /dev/null && [ -d target/web/node_modules/playwright-core ]; then \
	  $(CARGO) build --release && BUNRAKU_BIN=target/release/bunraku node tests/web/bench.mjs; \
	else echo "the dashboard is not measured: it needs node, chromium and target/web (tests/run installs them)"; fi

render:            ## writes config/bunraku.yaml and the tables of keys and metrics in docs/ from the sources
	BUNRAKU_RENDER=1 $(CARGO) test --test it -- config:: telemetry::
