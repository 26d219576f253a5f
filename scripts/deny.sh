#!/usr/bin/env bash
# Runs cargo-deny on the whole workspace, the fuzzing engine included. It is
# built once, into target/cargo-deny, which takes some minutes; the advisories
# are fetched from GitHub at each run.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VERSION=0.20.2 FOLDER=target/cargo-deny
if [ "$("$FOLDER/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $VERSION" ]; then
    printf '\033[1m==> cargo-deny %s, built from the Rust registry (some minutes)\033[0m\n' "$VERSION"
    "${CARGO:-cargo}" install --quiet --locked --root "$FOLDER" "cargo-deny@$VERSION"
fi
exec "$FOLDER/bin/cargo-deny" --locked --all-features check "$@"
