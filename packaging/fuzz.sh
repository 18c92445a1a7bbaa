#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Fuzz the rules of crates/model and what processes say to each other, one target after the other, with the stable
# toolchain.
#
#   packaging/fuzz.sh run SECONDS TARGET_DIRECTORY [target]...       no input may be found
#   packaging/fuzz.sh planted SECONDS TARGET_DIRECTORY [target]...   in each target the planted bug must be found
#
# Inputs are kept in TARGET_DIRECTORY/fuzz/<target>: the corpus, which the next run continues with, and findings. The
# targets are in the layout of cargo-fuzz, so `cargo fuzz run --sanitizer none` works, too, where it is installed.
set -euo pipefail

mode=${1:?run or planted?}
seconds=${2:?how many seconds for each target?}
directory=${3:?where is the target directory?}
shift 3
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(arguments aliases expansion to_worker to_server control)
root=$(cd "$(dirname "$0")/.." && pwd)
triple=$(rustc -vV | sed -n 's/^host: //p')

features=()
build=$directory/fuzz
if [ "$mode" = planted ]; then
    features=(--features planted)
    build=$directory/fuzz-planted
fi

# What cargo-fuzz asks of the compiler, without the sanitizer, which only nightly toolchains have. With --target, build
# scripts and macros are built without it.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions --cfg fuzzing" \
    CARGO_TARGET_DIR=$build cargo build -q --release --locked --manifest-path "$root/fuzz/Cargo.toml" \
    --target "$triple" ${features[@]+"${features[@]}"}

status=0
for target in "${targets[@]}"; do
    place=$build/$target
    mkdir -p "$place/corpus"
    rm -rf "$place/findings" && mkdir "$place/findings"
    # A planted bug is to be found from the seeds, not from what an earlier run has found.
    [ "$mode" = run ] || rm -rf "${place:?}/corpus"/*
    seeds=$root/fuzz/seeds/$target
    if [ "$target" = arguments ]; then
        # A line is an input of its own.
        seeds=$place/seeds
        rm -rf "$seeds" && mkdir "$seeds"
        cat "$root/fuzz/seeds/arguments"/* | split -a 3 -l 1 - "$seeds/"
    fi
    began=$SECONDS
    found=0
    "$build/$triple/release/$target" -max_total_time="$seconds" -max_len=400 -timeout=10 -dict="$root/fuzz/tokens.dict" \
        -print_final_stats=1 -artifact_prefix="$place/findings/" "$place/corpus" "$seeds" \
        >"$place/log" 2>&1 || found=$?
    units=$(sed -n 's/^stat::number_of_executed_units: *//p' "$place/log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$place/log" | tail -1)
    echo "$target: ${units:-?} executions in $((SECONDS - began)) s, $(find "$place/corpus" -type f | wc -l) inputs kept," \
        "coverage ${coverage:-?}"
    if [ "$mode" = run ] && [ "$found" -ne 0 ]; then
        echo "$target: a finding, see $place/log and $place/findings" >&2
        status=1
    elif [ "$mode" = planted ]; then
        if [ "$found" -ne 0 ] && grep -q 'panicked at' "$place/log"; then
            echo "$target: found the planted bug: $(sed -n '/panicked at/{n;p;q}' "$place/log" | cut -c 1-150)"
        else
            echo "$target: did not find the planted bug in $seconds s, see $place/log" >&2
            status=1
        fi
    fi
done
exit "$status"
