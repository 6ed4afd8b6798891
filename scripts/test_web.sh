#!/usr/bin/env bash
# The browser client and the page: types, lints, unit tests with the golden vectors, build. Needs Node.js 20.19 or newer.
set -euo pipefail
cd "$(dirname "$0")/../clients/web"

if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null; then
    echo "test-web: Node.js 20.19 or newer is missing; https://nodejs.org has it" >&2
    exit 1
fi
# The lock file's copy inside tells what is installed.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --no-progress
    touch node_modules/.package-lock.json
fi
npm run --silent check
npm run --silent lint
npm test --silent
npm run --silent build
