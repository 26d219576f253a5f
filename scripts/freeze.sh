#!/usr/bin/env bash
# Freezes the contract in wit/policy.wit under its version: the text in wit/frozen,
# and a component built from it as a test fixture. Run it once, when a version is
# released. Frozen files are never regenerated.
set -euo pipefail
cd "$(dirname "$0")/.."

version="$(sed -n 's/^package waxseal:policy@\(.*\);$/\1/p' wit/policy.wit)"
text="wit/frozen/$version/policy.wit"
fixture="host/runtime/tests/fixtures/witness-$version.wasm"
if [ -e "$fixture" ]; then
    echo "version $version is already frozen: a change needs a new version (docs/wit-versions.md)" >&2
    exit 1
fi
# Optimized for size: the component stays in the repository permanently.
"${CARGO:-cargo}" build --locked --profile policy --target wasm32-wasip2 -p waxseal-witness \
    --config 'profile.policy.opt-level="z"' --config 'profile.policy.strip=true'
mkdir -p "$(dirname "$text")" "$(dirname "$fixture")"
cp wit/policy.wit "$text"
cp target/wasm32-wasip2/policy/waxseal_witness.wasm "$fixture"
printf '%s\n%s\t%s bytes\n' "$text" "$fixture" "$(stat -c %s "$fixture")"
