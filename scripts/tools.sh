#!/usr/bin/env bash
# Installs the missing tools for building and testing: the Rust toolchain of
# rust-toolchain.toml, and Debian packages. With `languages`, also the packages for
# policies in JavaScript and Python; with `fuzz`, also the C++ compiler for the
# fuzzing engine. Prints what it installs, and nothing if there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

# Each package with a file that it installs. The file is checked instead of dpkg's
# database, which does not know what was installed by other means.
packages=(
    "gcc /usr/bin/cc"
    "libc6-dev /usr/include/stdio.h"
    "postfix /usr/sbin/postfix"
    "libsasl2-modules /usr/share/doc/libsasl2-modules/copyright"
    "openssl /usr/bin/openssl"
    "python3 /usr/bin/python3"
    "python3-dkim /usr/lib/python3/dist-packages/dkim/__init__.py"
    "python3-nacl /usr/lib/python3/dist-packages/nacl/__init__.py"
    "python3-aiosmtpd /usr/lib/python3/dist-packages/aiosmtpd/__init__.py"
    "opendkim /usr/sbin/opendkim"
)

missing=()
for entry in "${packages[@]}"; do
    read -r package file <<<"$entry"
    [ -e "$file" ] || missing+=("$package")
done

# Node comes from PyPI: Debian's is too old and depends on four hundred packages.
if [ "${1-}" = languages ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
fi

# libFuzzer is C++.
if [ "${1-}" = fuzz ] && [ ! -e /usr/bin/c++ ]; then
    missing+=(g++)
fi

if [ ${#missing[@]} -gt 0 ]; then
    root=()
    if [ "$(id -u)" != 0 ]; then
        root=(sudo)
        say "Installing Debian packages with sudo: ${missing[*]}"
    else
        say "Installing Debian packages: ${missing[*]}"
    fi
    command -v apt-get >/dev/null || {
        echo "apt-get is missing. Install the equivalents of these Debian packages: ${missing[*]}" >&2
        exit 1
    }
    # policy-rc.d and RUNLEVEL=1 prevent a package from starting its daemon. The tests
    # start their own Postfix instances.
    # The output of apt-get is printed only if it fails.
    log="$(mktemp)"
    install() {
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -y -q --no-install-recommends "${missing[@]}" >"$log" 2>&1
    }
    guard=/usr/sbin/policy-rc.d
    made=
    if [ ! -e $guard ]; then
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $guard >/dev/null
        "${root[@]}" chmod 755 $guard
        made=$guard
    fi
    trap 'rm -f "$log"; [ -z "$made" ] || "${root[@]}" rm -f "$made"' EXIT
    install || {
        say "Updating the package lists"
        "${root[@]}" apt-get update -q
        install || {
            tail -n 40 "$log" >&2
            echo "Installing the packages failed; the output of apt-get is above." >&2
            exit 1
        }
    }
fi

command -v rustup >/dev/null || {
    echo "rustup is missing: see https://rustup.rs" >&2
    exit 1
}
channel="$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)"
# Query rustup by name: its proxies would install missing parts silently.
has() { # rustup subcommand, prefix of a line that it lists
    rustup "$1" list --installed --toolchain "$channel" | grep "^$2" >/dev/null
}
complete() {
    rustup toolchain list | grep "^$channel-" >/dev/null &&
        has target wasm32-wasip2 && has component clippy && has component rustfmt
}
if ! complete; then
    say "Installing the Rust toolchain of rust-toolchain.toml: $channel"
    rustup toolchain install
fi
