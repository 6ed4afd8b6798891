#!/usr/bin/env bash
# Runs the benchmarks (arguments go to `cargo bench`) and prints their figures last: lines that start with `figure:`, and
# those that criterion prints for each benchmark.
set -euo pipefail

: "${CARGO_TARGET_DIR:?make sets it}"
mkdir -p "$CARGO_TARGET_DIR"
log="$CARGO_TARGET_DIR/bench.log"
scripts/cargo.sh bench --profile release --locked --package loquic "$@" 2>&1 | tee "$log"
printf '\n== figures\n'
grep -E '^figure:|time: +\[|thrpt: +\[' "$log" || echo "none: no benchmark printed a line that starts with 'figure:'"
