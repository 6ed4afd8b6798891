#!/usr/bin/env bash
# What docs/HTTP.md says to paste, pasted: every example against a server, and its loop that follows a room, through a
# kill -9 and a restart under traffic. The server is built before.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${CARGO_TARGET_DIR:?make sets it}"
server="$CARGO_TARGET_DIR/release/loquic"
document="$PWD/docs/HTTP.md"
records=300

home=$(mktemp -d)
node=""
jobs=()
# Each job is a group of its own, so that curl goes with its loop.
set -m
finish() {
    for job in "${jobs[@]}"; do kill -- "-$job" 2>/dev/null || true; done
    [ -z "$node" ] || kill -9 "$node" 2>/dev/null || true
    rm -rf "$home"
}
trap finish EXIT
cd "$home"

fail() {
    echo "test-http: $1" >&2
    tail -n 20 "$home"/log "$home"/*.txt >&2
    exit 1
}

# In a directory of its own, at the port of the first start, which was free.
http=127.0.0.1:0
start() {
    rm -f ready
    mkfifo ready
    NO_COLOR=1 "$server" serve --dev --listen 127.0.0.1:0 --http-listen "$http" --ops-listen 127.0.0.1:0 >ready 2>>log &
    node=$!
    read -r -t 60 line <ready || fail "the server is not ready"
    http=$(printf '%s' "$line" | sed -E 's/.*"http":\["([^"]+)".*/\1/')
}

stop() {
    kill "-$1" "$node"
    wait "$node" 2>/dev/null || true
    node=""
}

# The n-th example in a language.
example() {
    awk -v language="$1" -v wanted="$2" '
        /^```/ && inside { inside = 0; next }
        /^```/ { inside = ($0 == "```" language) && ++seen == wanted; next }
        inside' "$document" | sed -E "s|^URL=.*|URL=http://$http|"
}

# Until what a command prints is at least so much.
until_least() {
    for _ in $(seq 600); do
        [ "$("${@:2}")" -lt "$1" ] || return 0
        sleep 0.1
    done
    fail "it takes too long: ${*:2} should be $1"
}

examples() {
    # A stream that does not end by itself is left behind its first events.
    cat - <(example sh 1) >examples.sh <<'SHIM'
set -euo pipefail
curl() {
    local code=0
    case "$*" in
        *until=*) command curl -sS --fail-with-body --max-time 10 "$@" || code=$? ;;
        *-N*) command curl -sS --fail-with-body --max-time 1 "$@" || code=$? ; [ "$code" -ne 28 ] || code=0 ;;
        *) command curl -sS --fail-with-body --max-time 10 "$@" || code=$? ;;
    esac
    printf '\n'
    return "$code"
}
SHIM
    bash examples.sh >examples.txt 2>&1 || fail "an example of docs/HTTP.md does not work"
    # Both of several at once are in, and the stream had what was there.
    grep -q '"payload":{"n":2}' examples.txt || fail "an example of docs/HTTP.md says something else"
    [ "$(grep -c '^event: caught-up' examples.txt)" -eq 2 ] || fail "an event stream does not catch up"
}

publish() {
    for number in $(seq "$records"); do
        # Asked until it is answered: the key makes it one record.
        until curl -sf -o /dev/null --max-time 5 -H 'Content-Type: text/plain' -H "Idempotency-Key: n-$number" \
            --data-binary "$number" "http://$http/v1/rooms/chat:lobby/records"; do
            sleep 0.1
        done
    done
}

seen() { grep -c '"offset"' followed.txt || true; }

start
examples
stop TERM
rm -rf data
start
touch followed.txt
{ echo "URL=http://$http"; example bash 1; } >follow.sh
bash follow.sh >followed.txt 2>follow.err.txt &
jobs+=($!)
publish &
publisher=$!
jobs+=("$publisher")
until_least 50 seen
stop KILL
start
until_least 130 seen
stop TERM
start
until_least 210 seen
stop KILL
start
wait "$publisher"
until_least "$records" seen
sed -nE 's/.*"offset":([0-9]+).*"payload":"([0-9]+)".*/\1 \2/p' followed.txt >order.txt
seq "$records" | awk '{ print $1, $1 }' | diff - order.txt >difference.txt || fail "there are holes or repetitions"
[ "$(grep -c '"event":"\(gap\|reset\)"' followed.txt)" -eq 0 ] || fail "there are gaps"
stop TERM
if grep -E ' (WARN|ERROR) |panicked at' log | grep -v 'may use any name' >&2; then
    fail "the server has logged what nobody expected"
fi
echo "test-http: the examples work; $records records once and in order, through two kills and a restart"
