#!/usr/bin/env bash
# Starts a development node and says what to try next. The node's own output follows: its ready line on standard output,
# its log on standard error.
set -euo pipefail
loquic="$CARGO_TARGET_DIR/release/loquic"
cat >&2 <<TEXT

A development node starts: rooms in ./data, everybody may use any name, only this machine gets in. Ctrl-C ends it.

    http://127.0.0.1:8080/           the page, for Chromium, Firefox and their like
    http://127.0.0.1:9090/metrics    what the node counts

In two other terminals:

    $loquic sub chat:lobby --from oldest --insecure
    $loquic pub chat:lobby 'hello' --insecure

TEXT
# Make reads Ctrl-C as well; the node gets it from the terminal itself and drains.
exec "$loquic" serve --dev
