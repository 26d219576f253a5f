#!/usr/bin/env bash
# Runs the fuzz targets, two side by side, for some minutes each; prints what
# they did, and exits with 1 where they found something.
#
#   scripts/fuzz.sh MINUTES [TARGET…]        all targets where none is named
#
# JOBS=4 runs four side by side. What a target needs beside its corpus of
# fuzz/corpus stands in target/fuzz: its working corpus, its log, its findings.
# At the end the corpora of fuzz/corpus are renewed by the smallest inputs that
# reach the same code; seeds with a name of their own stay.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

# Of the generated inputs of a target, as many at most and as large at most are
# checked in.
readonly MOST=100 LARGEST=4096
readonly PROGRAM=target/debug/examples/waxseal-fuzz WORK=target/fuzz

is_generated() { [[ "$1" =~ ^[0-9a-f]{40}$ ]]; }

# Components are large, and what compiles them takes its time. A timeout is by the
# wall clock, so it is there for what hangs: what is slow is found by the checks,
# which measure processor time.
options() {
    case "$1" in
    component) echo -max_len=131072 -timeout=300 ;;
    strip) echo -max_len=1048576 -timeout=120 ;;
    config | control | policy_tests | recording | standard_settings)
        echo -max_len=$LARGEST -timeout=120 -dict=$WORK/words
        ;;
    *) echo -max_len=$LARGEST -timeout=120 ;;
    esac
}

# The words of the documentation, among which are all keys of all files.
dictionary() {
    grep -ohE '[a-z]{2,}([-_][a-z]+)*' docs/*.md wit/policy.wit examples/acme/*.toml tests/policy/*.toml |
        sort -u | sed 's/.*/"&"/'
}

# Inputs that are too large to be checked in.
extra_inputs() {
    case "$1" in
    component) echo target/policies/rust_minimal.wasm ;;
    strip) ls -m target/policies/rust_minimal.wasm target/policies/waxseal_standard.wasm 2>/dev/null | tr -d ' \n' ;;
    esac
}

run() { # one target
    local name="$1" seconds="$2" extra
    mkdir -p "$WORK/corpus/$name" "$WORK/findings" "$WORK/logs"
    extra="$(extra_inputs "$name")"
    # shellcheck disable=SC2046
    FUZZ_TARGET="$name" "$PROGRAM" $(options "$name") ${extra:+-seed_inputs="$extra"} \
        -max_total_time="$seconds" -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$WORK/findings/$name-" \
        "$WORK/corpus/$name" "fuzz/corpus/$name" >"$WORK/logs/$name" 2>&1 || true
    renew "$name" >>"$WORK/logs/$name" 2>&1 || true
    report "$name"
}

# Puts the smallest inputs that reach all that the working corpus reaches into
# fuzz/corpus.
renew() {
    local name="$1" minimal="$WORK/minimal/$1" file kept=0 files every
    rm -rf "$minimal"
    mkdir -p "$minimal"
    FUZZ_TARGET="$name" "$PROGRAM" -merge=1 -max_len=$LARGEST -timeout=60 -rss_limit_mb=2048 \
        -artifact_prefix="$WORK/findings/$name-" "$minimal" "fuzz/corpus/$name" "$WORK/corpus/$name" ||
        return
    for file in "fuzz/corpus/$name"/*; do
        ! is_generated "$(basename "$file")" || rm "$file"
    done
    mapfile -t files < <(find "$minimal" -type f -size "-$((LARGEST + 1))c" -printf '%s %p\n' | sort -n | cut -d' ' -f2)
    every=$(((${#files[@]} + MOST - 1) / MOST))
    for file in "${files[@]}"; do
        kept=$((kept + 1))
        [ $((kept % every)) != 0 ] || cp "$file" "fuzz/corpus/$name/$(sha1sum <"$file" | cut -d' ' -f1)"
    done
}

report() { # one row of the table
    local name="$1" log="$WORK/logs/$1" runs speed coverage finding
    runs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)"
    speed="$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log" | tail -n 1)"
    coverage="$(sed -n 's/.*cov: \([0-9]*\) ft:.*/\1/p' "$log" | sort -n | tail -n 1)"
    finding="$(sed -n 's/^artifact_prefix=.*Test unit written to //p' "$log" | tail -n 1)"
    if [ -z "$finding" ] && ! grep -q '^Done ' "$log"; then
        finding="it did not run: see $log"
    fi
    printf '%-18s %12s %9s %9s  %s\n' "$name" "${runs:--}" "${speed:--}" "${coverage:--}" "${finding:-nothing found}"
}

if [ "${1-}" = --one ]; then
    shift
    run "$@"
    exit
fi

minutes="${1:?minutes for each target}"
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls fuzz/corpus)
jobs="${JOBS:-2}"

say 'The fuzz targets: the crates of this repository, instrumented for coverage'
RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/fuzz-rustc.sh" "${CARGO:-cargo}" build --workspace --locked \
    --features waxseal-fuzz/libfuzzer --example waxseal-fuzz

rounds=$(((${#targets[@]} + jobs - 1) / jobs))
say "${#targets[@]} targets, $jobs side by side, $minutes minutes each: $((rounds * minutes)) minutes, and some for the corpora"
# Inputs are tried in files in some targets.
TMPDIR="$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")"
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
table="$WORK/table"
mkdir -p "$WORK"
dictionary >"$WORK/words"
printf '%-18s %12s %9s %9s  %s\n' target runs runs/s edges finding
printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -I '{}' scripts/fuzz.sh --one '{}' $((minutes * 60)) | tee "$table"

if grep -qv 'nothing found$' "$table"; then
    cat <<END

Each file is an input for which an invariant does not hold; the log in $WORK/logs says which.
Run it again: FUZZ_TARGET=NAME $PROGRAM FILE
Once it is fixed, a copy in fuzz/corpus/NAME makes it a test.
END
    exit 1
fi
