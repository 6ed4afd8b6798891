#!/usr/bin/env bash
# The HTTP API against its own description: schemathesis makes requests of what GET /v1/openapi.json says, good and bad
# ones, and looks whether the answers are what it says too. The server is built before. Schemathesis lives in the cache.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${CARGO_TARGET_DIR:?make sets it}"
server="$CARGO_TARGET_DIR/release/loquic"
requirements=scripts/openapi/requirements.txt
cache="${LOQUIC_CACHE_DIR:-$HOME/.cache/loquic}/schemathesis-$(sha256sum "$requirements" | cut -c1-16)"

# A directory that is not whole is made anew: the mark comes last.
if [ ! -e "$cache/whole" ]; then
    rm -rf "$cache"
    if ! python3 -m venv "$cache" 2>/dev/null; then
        as_root=()
        [ "$(id -u)" -eq 0 ] || as_root=(sudo)
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
        python3 -m venv "$cache"
    fi
    "$cache/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    touch "$cache/whole"
fi

home=$(mktemp -d)
node=""
finish() {
    [ -z "$node" ] || kill "$node" 2>/dev/null || true
    [ -z "$node" ] || wait "$node" 2>/dev/null || true
    rm -rf "$home"
}
trap finish EXIT

# Its own directory: no configuration, no certificate, no port of anybody's.
mkfifo "$home/ready"
(cd "$home" && exec env NO_COLOR=1 "$server" serve --dev --listen 127.0.0.1:0 --http-listen 127.0.0.1:0 \
    --ops-listen 127.0.0.1:0 --data-dir "$home/data" >"$home/ready" 2>"$home/log") &
node=$!
exec 3<"$home/ready"
read -r -t 60 ready <&3
url="http://$(printf '%s' "$ready" | sed -E 's/.*"http":\["([^"]+)".*/\1/')"

# Something to find: the names are among those that the description allows.
for room in a chat:a chat:b; do
    curl -sS -o "$home/answer" -H 'Content-Type: text/plain' --data-binary hello "$url/v1/rooms/$room/records"
done

# Bounded: so many requests of each sort for each operation, the same ones each time.
code=0
config="$PWD/scripts/openapi/schemathesis.toml"
# In a directory of its own: it remembers there what has failed.
cd "$home"
"$cache/bin/schemathesis" --config-file "$config" run "$url/v1/openapi.json" \
    --checks all --phases examples,coverage,fuzzing --max-examples 50 --seed 1 \
    --generation-database none --request-timeout 10 --no-color || code=$?
if grep -E ' (WARN|ERROR) |panicked at' "$home/log" | grep -v 'may use any name' >&2; then
    echo "test-openapi: the server has logged what nobody expected" >&2
    code=1
fi
exit "$code"
