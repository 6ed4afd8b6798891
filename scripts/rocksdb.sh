#!/usr/bin/env bash
# Builds RocksDB's C++ library once per machine and prints where it is, for ROCKSDB_LIB_DIR.
#
# cargo would build it again (14 minutes on two cores) whenever a feature of any dependency changes; a library that
# is kept by the version of its crate and its flags is not. It is built by cargo all the same, in a package of its own.
set -euo pipefail

root="$(cd "$(dirname "$0")/.." && pwd)"
cache="${LOQUIC_CACHE_DIR:-$HOME/.cache/loquic}"
version="$(awk '/^name = "librocksdb-sys"$/ { getline; gsub(/version = |"/, ""); print }' "$root/Cargo.lock")"
[ -n "$version" ] || { echo "rocksdb.sh: Cargo.lock does not name librocksdb-sys" >&2; exit 1; }
library="$cache/rocksdb/${version//+/_}-lz4-o3"

if [ ! -f "$library/librocksdb.a" ]; then
    echo "building RocksDB $version once for this machine (about 14 minutes on two cores) …" >&2
    build="$cache/rocksdb/build"
    mkdir -p "$build/src" "$library"
    echo 'fn main() {}' > "$build/src/main.rs"
    cat > "$build/Cargo.toml" <<'TOML'
[package]
name = "rocksdb-once"
version = "0.0.0"
edition = "2024"
[workspace]
[dependencies]
rocksdb = { version = "0.25", default-features = false, features = ["lz4", "bindgen-runtime"] }
TOML
    # The same versions as the project's; cargo drops what this package does not need.
    cp "$root/Cargo.lock" "$build/Cargo.lock"
    env -u ROCKSDB_LIB_DIR -u ROCKSDB_STATIC CARGO_TARGET_DIR="$build/target" \
        cargo build --release --manifest-path "$build/Cargo.toml" >&2
    found="$(find "$build/target/release/build" -path '*librocksdb-sys*' -name librocksdb.a | head -1)"
    [ -n "$found" ] || { echo "rocksdb.sh: the build left no librocksdb.a" >&2; exit 1; }
    cp "$found" "$library/librocksdb.a.new"
    mv "$library/librocksdb.a.new" "$library/librocksdb.a"
    rm -rf "$build"
fi
echo "$library"
