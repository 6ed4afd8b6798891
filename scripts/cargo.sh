#!/usr/bin/env bash
# cargo with the RocksDB of this machine; builds that first if there is none.
set -euo pipefail
if [ -z "${ROCKSDB_LIB_DIR:-}" ]; then
    ROCKSDB_LIB_DIR="$("$(dirname "$0")/rocksdb.sh")"
    export ROCKSDB_LIB_DIR ROCKSDB_STATIC=1
fi
# What reports of the load generator say they were made with; without Git it is not known.
LOQUIC_COMMIT="$(git describe --always --dirty --exclude '*' 2>/dev/null || true)"
export LOQUIC_COMMIT
exec cargo "$@"
