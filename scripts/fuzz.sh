#!/usr/bin/env bash
# Runs the fuzz targets, two in parallel, for MINUTES each. Prints a table of results,
# and exits with 1 if there are findings.
#
#   scripts/fuzz.sh MINUTES [TARGET…]        default: all targets
#
# JOBS=4 runs four in parallel. Working corpora, logs and findings are in
# target/fuzz. At the end, the generated inputs in fuzz/corpus are replaced by the
# smallest inputs that reach the same code; seeds with a descriptive name stay.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }

# Largest number and size (bytes) of the generated inputs in fuzz/corpus.
readonly MOST=100 LARGEST=4096
readonly PROGRAM=target/debug/examples/waxseal-fuzz WORK=target/fuzz

is_generated() { [[ "$1" =~ ^[0-9a-f]{40}$ ]]; }

# Components are large and slow to compile. Timeouts use the wall clock and only
# detect hangs: the checks detect slow code, by processor time.
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

# The dictionary: the words of the documentation, which include all keys of all files.
dictionary() {
    grep -ohE '[a-z]{2,}([-_][a-z]+)*' docs/*.md wit/policy.wit examples/acme/*.toml tests/policy/*.toml |
        sort -u | sed 's/.*/"&"/'
}

# Inputs that are too large for the repository.
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

# Replaces the generated inputs in fuzz/corpus by the smallest ones that reach the
# same code as the working corpus.
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
        finding="the target did not finish: see $log"
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

say 'Fuzz targets: building the crates of this repository with coverage instrumentation'
RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/fuzz-rustc.sh" "${CARGO:-cargo}" build --workspace --locked \
    --features waxseal-fuzz/libfuzzer --example waxseal-fuzz

rounds=$(((${#targets[@]} + jobs - 1) / jobs))
say "${#targets[@]} targets, $jobs in parallel, $minutes minutes each: $((rounds * minutes)) minutes, plus time for the corpora"
# Some targets write their inputs to files.
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

Each file is an input that violates an invariant; the log in $WORK/logs names the invariant.
To reproduce: FUZZ_TARGET=NAME $PROGRAM FILE
After the fix, copy the file to fuzz/corpus/NAME: it is then a test.
END
    exit 1
fi
