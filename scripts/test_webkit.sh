#!/usr/bin/env bash
# The page in WebKit against the real server: WebKitGTK, driven by its own WebDriver on a screen that nobody sees. The
# page and the server are built before. Where the driver is missing this says so and is content: WebKitGTK is large.
set -euo pipefail
cd "$(dirname "$0")/.."

for needed in "${WEBKIT_DRIVER:-WebKitWebDriver}" xvfb-run xauth; do
    if ! command -v "$needed" >/dev/null 2>&1; then
        echo "test-webkit: skipped, $needed is missing (Debian: webkit2gtk-driver xvfb xauth)" >&2
        exit 0
    fi
done
cd clients/web
exec xvfb-run --auto-servernum npm run --silent e2e -- webkit
