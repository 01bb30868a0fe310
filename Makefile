# Foreshadow's recipes. CARGO_TARGET_DIR, where it is set, says where builds go.
SHELL := /bin/sh
export PATH := $(PATH):$(HOME)/.cargo/bin
TARGET := $(or $(CARGO_TARGET_DIR),target)
CACHE := $(or $(FORESHADOW_CACHE),$(HOME)/.cache/foreshadow)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-inference bench-peers canaries kills knees outages overhead ramps resizes saturated simulate soak \
	kafka clean-cache

help: ## lists the recipes
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## shows the whole pipeline on a simulated fleet; ARGS="--help" lists what it takes
	@deploy/setup build
	cargo run --release --bin foreshadow -- demo $(ARGS)

test: ## runs every test: units, properties, goldens, tidy, and end to end against a real Kafka
	@deploy/setup test
	cargo test --release --workspace --no-fail-fast

check: ## checks format, lints, licences and docs
	@deploy/setup build
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --log-level error check bans licenses sources; \
	else echo "check: licences not checked, cargo-deny is missing: cargo install --locked cargo-deny"; fi
	RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

bench: ## measures what the profiler costs on this machine, in CPU time a sample, and each detector, an observation
	@deploy/setup build
	cargo test --release --workspace --test cost -- --ignored --nocapture --test-threads 1

canaries: ## counts false alarms of 1000 canaries, and requests until changes are found; some seven minutes
	@deploy/setup build
	cargo test --release --workspace --test canary -- --ignored --nocapture

kills: ## kills the pipeline 200 times at random instants and compares its outputs; KILLS=N SEED=S
	@deploy/setup test
	KILLS=$(or $(KILLS),200) SEED=$(or $(SEED),1) \
		cargo test --release --workspace --test crash -- --nocapture

knees: ## finds knees of real services by probes and by load tests; some ten minutes a case; KINDS=light CORES=0.35
	@deploy/setup test
	KINDS=$(KINDS) CORES=$(CORES) cargo test --release --workspace --test knee -- --ignored --nocapture

outages: ## kills mirrors, shadow and pipeline for ten minutes under load: all is answered, some when asked again; SECONDS=N SEED=S
	@deploy/setup test
	SECONDS=$(SECONDS) SEED=$(SEED) cargo test --release --workspace --test outages -- --ignored --nocapture

overhead: ## measures what the mirror adds to latency, beside nginx as a plain proxy where it is installed
	@deploy/setup build
	cargo run --release -p mirror --example overhead

ramps: ## runs ten real ramps with and without a shadow and compares; RAMPS=N LASTING=60s
	@deploy/setup test
	RAMPS=$(RAMPS) LASTING=$(LASTING) cargo test --release --workspace --test ramps -- --ignored --nocapture

resizes: ## measures how soon the adapter for control groups carries a decision out; as root
	@deploy/setup build
	cargo run --release -p orchestrators --example resize

saturated: ## finds the demand that a limit hides of a real service; two minutes a case; LOADS=1.5
	@deploy/setup test
	LOADS=$(LOADS) cargo test --release --workspace --test saturated -- --ignored --nocapture

simulate: ## runs 10000 simulated worlds of crashes, outages and late data against the oracle; SEEDS=N SEED=S
	@deploy/setup build
	SEEDS=$(or $(SEEDS),10000) SEED=$(or $(SEED),1) \
		cargo test --release --workspace --test simulation no_world -- --nocapture

soak: ## sends a million requests through the mirror and compares each answer
	@deploy/setup build
	cargo test --release --workspace --test real -- --ignored --nocapture

bench-inference: ## measures an answer of the global model beside ONNX Runtime; ARGS="--json"
	@deploy/setup build
	tests/peers/inference/run $(ARGS)

bench-peers: ## runs the same windows in Flink and Bytewax and compares; ARGS="--help" lists what it takes
	@deploy/setup test
	tests/peers/run $(ARGS)

kafka: ## runs a Kafka broker on 127.0.0.1:9092 until Ctrl-C; its data stay
	@deploy/setup test
	deploy/kafka/broker start "$(TARGET)/kafka" 9092

clean-cache: ## removes what was fetched and built outside this folder
	rm -rf "$(CACHE)"/kafka-* "$(CACHE)/peers" "$(CACHE)/target"
