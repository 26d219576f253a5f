#!/usr/bin/env bash
# Builds the policies into target/policies. An unchanged component is not rewritten,
# so that a running daemon does not load it again.
set -euo pipefail
cd "$(dirname "$0")/.."

# A policy's stack is part of its memory, and after each decision the host scans that
# memory for written pages. With Rust's default stack of a megabyte, the scan is a
# tenth of the decision time of a small policy.
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
