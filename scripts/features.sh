#!/usr/bin/env bash
# Checks that the crate waxseal compiles without features and with each of them
# alone, and that a feature that is off brings no dependency.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
# A folder of its own: the selection of packages differs from that of all other
# targets.
export CARGO_TARGET_DIR=target/features

# The dependencies that a feature brings.
declare -A brings=([config-file]='waxseal-settings toml' [record]='' [sqlite]='rusqlite libsqlite3-sys')

for on in '' "${!brings[@]}"; do
    echo "features: ${on:-none}"
    selection=(--locked -p waxseal --no-default-features --features "$on")
    tree=$("$cargo" tree "${selection[@]}" -e normal --prefix none)
    for feature in "${!brings[@]}"; do
        [ "$feature" = "$on" ] && continue
        for name in ${brings[$feature]}; do
            if grep -q "^$name v" <<<"$tree"; then
                echo "waxseal depends on $name without the feature $feature" >&2
                exit 1
            fi
        done
    done
    "$cargo" check --quiet "${selection[@]}"
done
