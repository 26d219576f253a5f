#!/bin/sh
# The compiler with the coverage that the fuzzing engine steers by, for cargo's
# RUSTC_WORKSPACE_WRAPPER: the crates of this repository are instrumented, and
# what they depend on is the same as in every other build, built once.
case " $* " in
*" --crate-name build_script_"* | *" --crate-type proc-macro "* | *" --crate-name ___ "*) exec "$@" ;;
*" --crate-name "*) ;;
*) exec "$@" ;;
esac
exec "$@" \
    -C passes=sancov-module \
    -C llvm-args=-sanitizer-coverage-level=4 \
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table \
    -C llvm-args=-sanitizer-coverage-trace-compares \
    -C debug-assertions=on -C overflow-checks=on
