#!/usr/bin/env bash
# Builds the demo page that the server serves, if Node.js is there; without it the server says at / how to build it.
set -euo pipefail
cd "$(dirname "$0")/../clients/web"

if ! ../../scripts/node.sh; then
    echo "page: the demo page is not built, everything else is" >&2
    exit 0
fi
npm run --silent build >&2
