# `make` lists the targets. Each needs a Debian machine with rustup, and installs
# everything else itself, once.

.DEFAULT_GOAL := help
.PHONY: help demo check test bench fuzz features deny policies policies-languages build tools tools-languages tools-fuzz lint doc package unit policy-tests end-to-end

CARGO  := cargo
SAY    := @printf '\n\033[1m==> %s\033[0m\n'

# The same selection of packages and targets for every step: with a different one
# cargo enables different features and builds the same libraries again.
ALL    := --workspace --locked

# Only root can start Postfix. For other users, sudo runs the tests that need it;
# everything else runs as the user. The variable is evaluated when it is used,
# which is after the compiler was installed.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E)
RUNNER   = CARGO_TARGET_$(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')_RUNNER

help:
	@echo 'make demo      show a policy deciding on messages in a real Postfix'
	@echo 'make check     the quick loop: formatting, lints, unit tests'
	@echo 'make test      check everything: style, lints, documentation, unit and end-to-end tests'
	@echo 'make bench     measure speed and memory, compared with OpenDKIM and a no-op milter'
	@echo 'make fuzz      run every fuzz target for MINUTES (10), two in parallel'
	@echo 'make features  check that the crate waxseal compiles with each of its features alone'
	@echo 'make deny      check dependencies against deny.toml and the advisories of RustSec'
	@echo 'make package   build the archives of the crates that are published'
	@echo 'make policies  build the policies into target/policies'
	@echo 'make policies-languages'
	@echo '               also build those in JavaScript and Python (tools from npm and PyPI)'
	@echo 'make tools tools-languages tools-fuzz'
	@echo '               install what the other targets need (they also do it themselves)'

demo: policies build
	@$(AS_ROOT) target/debug/demo

# Our crates are built without optimization, quickly, for all but this.
OURS      := waxseal waxseal-core waxseal-daemon waxseal-lmtp waxseal-milter waxseal-oauth waxseal-runtime waxseal-system waxseal-testkit waxseal-tests
OPTIMIZED := $(foreach crate,$(OURS),--config profile.dev.package.$(crate).opt-level=2)

bench: policies policies-languages
	$(SAY) 'The waxseal command, the no-op milter and the benchmark, optimized'
	$(CARGO) build $(ALL) --bins --examples $(OPTIMIZED)
	$(SAY) 'Measuring (three minutes)'
	@target/debug/bench

# Builds the crates of this repository with instrumentation, then runs each pair of
# targets for MINUTES.
MINUTES := 10

fuzz: tools-fuzz policies
	@CARGO='$(CARGO)' scripts/fuzz.sh $(MINUTES)

# Not part of `make test`: another selection of packages compiles wasmtime again.
features: tools
	$(SAY) 'The library with each of its features alone (the first time takes minutes)'
	@CARGO='$(CARGO)' scripts/features.sh

# `make test` includes the part of this that works offline.
deny: tools
	$(SAY) 'Dependencies: licenses, sources, duplicates, advisories'
	@CARGO='$(CARGO)' scripts/deny.sh

# Without policies and Postfix, so without what takes long.
check: tools
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(ALL) --all-targets --quiet -- -D warnings
	$(CARGO) test $(ALL) --lib --bins --quiet

test: tools
	$(SAY) 'Style'
	$(CARGO) fmt --all --check
	$(MAKE) --no-print-directory policies policies-languages lint doc unit policy-tests end-to-end
	$(SAY) 'All passed'

tools:
	@scripts/tools.sh

tools-languages: tools
	@scripts/tools.sh languages

tools-fuzz: tools
	@scripts/tools.sh fuzz

policies: tools
	$(SAY) 'Policies: WebAssembly components'
	@CARGO='$(CARGO)' scripts/policies.sh

policies-languages: tools-languages
	$(SAY) 'Policies in JavaScript and Python'
	@scripts/languages.sh

build: tools
	$(SAY) 'The waxseal command (the first build takes several minutes)'
	$(CARGO) build $(ALL) --bins --tests

lint: tools
	$(SAY) 'Lints'
	$(CARGO) clippy $(ALL) --all-targets -- -D warnings

doc: tools
	$(SAY) 'Documentation'
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(ALL) --no-deps

# The crates that are published. They are not compiled again from the archives:
# wasmtime would be built again.
PUBLISHED := waxseal-core waxseal-system waxseal-milter waxseal-runtime waxseal waxseal-settings waxseal-policy

package: tools
	$(SAY) 'Archives of the published crates, in target/package'
	$(CARGO) package --locked --no-verify --allow-dirty $(foreach crate,$(PUBLISHED),-p $(crate))

unit: build
	$(SAY) 'Unit tests'
	$(CARGO) test $(ALL) --lib --bins
	$(CARGO) test $(ALL) --doc

policy-tests: policies build
	$(SAY) 'Policy tests: the standard policy and the examples'
	@target/debug/waxseal test tests/policy

# These tests wait for Postfix more than they compute.
THREADS := $(shell echo $$(( $$(nproc) * 3 )))

end-to-end: policies policies-languages build
	$(SAY) 'End-to-end tests: real policies, and for each test a Postfix on loopback'
	$(if $(AS_ROOT),@echo 'Only root can start Postfix: sudo runs the tests that do.')
	$(if $(AS_ROOT),$(RUNNER)='$(CURDIR)/scripts/run-test.sh') RUST_TEST_THREADS=$(THREADS) $(CARGO) test $(ALL) --test '*' --no-fail-fast
