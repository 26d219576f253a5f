# `make` alone tells what there is. Everything needs a Debian machine with
# rustup, and installs the rest itself, once.

.DEFAULT_GOAL := help
.PHONY: help demo test bench fuzz deny policies policies-languages build tools tools-languages tools-fuzz lint doc unit policy-tests end-to-end

CARGO  := cargo
SAY    := @printf '\n\033[1m==> %s\033[0m\n'

# One selection of packages and targets for every step: with another one cargo
# finds other features, and builds the same libraries once more.
ALL    := --workspace --locked

# Postfix is started by root alone. For whoever else runs the tests, sudo starts
# those that need it; all else stays the user's own. The compiler is asked only
# where it is needed, and so after it was installed.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E)
RUNNER   = CARGO_TARGET_$(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')_RUNNER

help:
	@echo 'make demo      see a message go through a real Postfix, decided by a policy'
	@echo 'make test      check everything: style, lints, documentation, unit and end-to-end tests'
	@echo 'make bench     measure speed and memory beside OpenDKIM and a no-op milter'
	@echo 'make fuzz      run every fuzz target for MINUTES (10), two side by side'
	@echo 'make deny      check dependencies against deny.toml and the advisories of RustSec'
	@echo 'make policies  build the policies into target/policies'
	@echo 'make policies-languages'
	@echo '               build those in JavaScript and Python, too (tools from npm and PyPI)'
	@echo 'make tools tools-languages tools-fuzz'
	@echo '               install what the above need (they do it themselves)'

demo: policies build
	@$(AS_ROOT) target/debug/demo

bench: policies policies-languages
	$(SAY) 'The waxseal command, the no-op milter and the benchmark'
	$(CARGO) build $(ALL) --bins --examples
	$(SAY) 'Measuring (three minutes)'
	@target/debug/bench

# An instrumented build of the crates of this repository, then MINUTES for
# each pair of targets.
MINUTES := 10

fuzz: tools-fuzz policies
	@CARGO='$(CARGO)' scripts/fuzz.sh $(MINUTES)

# The offline half of this is a part of `make test`.
deny: tools
	$(SAY) 'Dependencies: licenses, sources, duplicates, advisories'
	@CARGO='$(CARGO)' scripts/deny.sh

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
	$(SAY) 'The waxseal command (the first build takes some minutes)'
	$(CARGO) build $(ALL) --bins --tests

lint: tools
	$(SAY) 'Lints'
	$(CARGO) clippy $(ALL) --all-targets -- -D warnings

doc: tools
	$(SAY) 'Documentation'
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(ALL) --no-deps

unit: build
	$(SAY) 'Unit tests'
	$(CARGO) test $(ALL) --lib --bins
	$(CARGO) test $(ALL) --doc

policy-tests: policies build
	$(SAY) 'Policy tests: what the standard policy and the examples promise'
	@target/debug/waxseal test tests/policy

end-to-end: policies policies-languages build
	$(SAY) 'End-to-end tests: real policies, and a Postfix for each test on loopback'
	$(if $(AS_ROOT),@echo 'Starting Postfix takes root: tests that do so are run by sudo.')
	$(if $(AS_ROOT),$(RUNNER)='$(CURDIR)/scripts/run-test.sh') $(CARGO) test $(ALL) --test '*' --no-fail-fast
