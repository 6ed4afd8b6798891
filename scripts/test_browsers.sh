#!/usr/bin/env bash
# The page in Chromium and Firefox against the real server. Installs the browsers on a Debian-like machine; elsewhere
# CHROMIUM_BIN and FIREFOX_BIN say where they are. The page and the server are built before.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
[ -x "${CHROMIUM_BIN:-/usr/bin/chromium}" ] || missing+=(chromium)
[ -x "${FIREFOX_BIN:-/usr/bin/firefox-esr}" ] || missing+=(firefox-esr)
if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "test-browsers: ${missing[*]} missing; CHROMIUM_BIN and FIREFOX_BIN may say where they are" >&2
        exit 1
    fi
    echo "test-browsers: installs ${missing[*]}" >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
cd clients/web
npm run --silent e2e
