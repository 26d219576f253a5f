#!/usr/bin/env bash
# Installs what building and testing need and what is not there yet: the Rust
# toolchain of rust-toolchain.toml, and Debian packages; with `languages`, also
# those that policies in JavaScript and Python are built with; with `fuzz`, also
# the compiler of the fuzzing engine. Says what it does, and says nothing where
# there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

# Package, and a file that shows that it is there: dpkg's own database would
# miss what was installed by other means.
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

# Its own Node is fetched from PyPI: Debian's is too old, and brings four hundred
# packages with it.
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
        say "Installing Debian packages by sudo: ${missing[*]}"
    else
        say "Installing Debian packages: ${missing[*]}"
    fi
    command -v apt-get >/dev/null || {
        echo "There is no apt-get here. Install by hand what these packages hold: ${missing[*]}" >&2
        exit 1
    }
    # policy-rc.d keeps a package from starting its daemon; RUNLEVEL=1 does the
    # same for those that ask it. The tests start Postfix themselves, and only
    # their own.
    # What apt-get has to say is of interest only where it fails.
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
        say "Fetching the lists of packages first"
        "${root[@]}" apt-get update -q
        install || {
            tail -n 40 "$log" >&2
            echo "The packages could not be installed: above is what apt-get says." >&2
            exit 1
        }
    }
fi

command -v rustup >/dev/null || {
    echo "rustup is missing: see https://rustup.rs" >&2
    exit 1
}
channel="$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)"
# Asked by name: the proxies would fetch what is missing without a word.
has() { # what rustup lists, and a line's beginning
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
