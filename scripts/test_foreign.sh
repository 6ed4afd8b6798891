#!/usr/bin/env bash
# Clients written from docs/PROTOCOL.md alone, against the real server: Python over aioquic, and a page without the SDK
# in Chromium. The server is built before. aioquic is kept outside of the checkout, as all that is built.
set -euo pipefail
cd "$(dirname "$0")/.."

binary="${LOQUIC_BIN:-${CARGO_TARGET_DIR:?make sets it}/release/loquic}"
chromium="${CHROMIUM_BIN:-/usr/bin/chromium}"
requirements=tests/foreign/requirements.txt

if ! python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    echo "test-foreign: Python 3.10 or newer with venv and pip is missing: on Debian and Ubuntu 'apt-get install" \
        "python3-venv', elsewhere https://www.python.org has it" >&2
    exit 1
fi
if [ ! -x "$chromium" ]; then
    echo "test-foreign: $chromium is missing; scripts/test_browsers.sh installs it, CHROMIUM_BIN says where it is" >&2
    exit 1
fi
scripts/node.sh

version="$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
venv="${LOQUIC_CACHE_DIR:-$HOME/.cache/loquic}/foreign/python$version"
# The copy inside tells what is installed; it is written last.
if ! cmp -s "$requirements" "$venv/requirements.txt" || ! "$venv/bin/python" -c '' 2>/dev/null; then
    echo "test-foreign: installs aioquic into $venv" >&2
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$requirements"
    cp "$requirements" "$venv/requirements.txt"
fi
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" tests/foreign/run.py "$binary"
