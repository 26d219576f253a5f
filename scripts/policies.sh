#!/usr/bin/env bash
# Builds the policies and puts them into target/policies. A component that has
# not changed is left alone, so that nobody takes it for a new version.
set -euo pipefail
cd "$(dirname "$0")/.."

# A guest's stack stands in its memory, and after each decision the host looks
# through all of that for pages that were written. For a stack of a megabyte,
# which is what Rust takes, that is a tenth of the decision of a small policy.
export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS='-C link-arg=-zstack-size=262144'

packages=(waxseal-standard rust-minimal guard-rust waxseal-misbehaving)
"${CARGO:-cargo}" build --locked --profile policy --target wasm32-wasip2 "${packages[@]/#/-p=}"

mkdir -p target/policies
for package in "${packages[@]}"; do
    file="${package//-/_}.wasm"
    built="target/wasm32-wasip2/policy/$file"
    kept="target/policies/$file"
    cmp -s "$built" "$kept" || cp "$built" "$kept"
    printf '    %s\t%s KiB\n' "$kept" "$(($(stat -c %s "$kept") / 1024))"
done
