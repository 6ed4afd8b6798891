#!/usr/bin/env bash
# Whether Node.js is there, and the packages of clients/web with it; installs the packages. Debian's Node.js is too old
# before Debian 13, so it is not installed from there.
set -euo pipefail
cd "$(dirname "$0")/../clients/web"

is_new_enough='const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
if ! node -e "$is_new_enough" 2>/dev/null || ! command -v npm >/dev/null 2>&1; then
    echo "node: Node.js 20.19 or newer and npm are missing; https://nodejs.org has them" >&2
    exit 1
fi
# The lock file's copy inside tells what is installed.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --no-progress --loglevel error
    touch node_modules/.package-lock.json
fi
