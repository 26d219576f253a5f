#!/usr/bin/env bash
# Runs cargo-deny on the whole workspace, including the fuzzing engine. cargo-deny
# is built once, into target/cargo-deny, which takes several minutes. Each run
# fetches the advisories from GitHub.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly VERSION=0.20.2 FOLDER=target/cargo-deny
if [ "$("$FOLDER/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $VERSION" ]; then
    printf '\033[1m==> cargo-deny %s, built from crates.io (several minutes)\033[0m\n' "$VERSION"
    "${CARGO:-cargo}" install --quiet --locked --root "$FOLDER" "cargo-deny@$VERSION"
fi
exec "$FOLDER/bin/cargo-deny" --locked --all-features check "$@"
