#!/usr/bin/env bash
# The browser client and the page: types, lints, unit tests with the golden vectors, build.
set -euo pipefail
cd "$(dirname "$0")/../clients/web"

../../scripts/node.sh
npm run --silent check
npm run --silent lint
npm test --silent
npm run --silent build
