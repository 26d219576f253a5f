#!/bin/sh
# Compiler wrapper for cargo's RUSTC_WORKSPACE_WRAPPER: adds the coverage
# instrumentation that the fuzzing engine needs to the crates of this repository.
# Dependencies are not instrumented, so they are shared with all other builds.
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
