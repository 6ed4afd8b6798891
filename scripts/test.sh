#!/usr/bin/env bash
# Everything that has to hold, in the order of what fails fastest. Figures last.
set -euo pipefail

: "${CARGO_TARGET_DIR:?make sets it}"
mkdir -p "$CARGO_TARGET_DIR"
log="$CARGO_TARGET_DIR/test.log"
figures=()

step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@"
    figures+=("$(printf '%-8s %4d s' "$name" $((SECONDS - start)))")
}

# The failpoints are what the fault tests kill the server at; a release has none.
features=(--features loquic/failpoints)

tests() {
    scripts/cargo.sh test --workspace --release --locked "${features[@]}" -- --show-output 2>&1 | tee "$log"
}

# Which crates may be in the build at all. cargo-deny knows it best; without it, what can be read from Cargo.lock is
# checked, and the last lines say what was not.
dependencies() {
    if ! command -v cargo-deny >/dev/null 2>&1; then
        lock_only
        return
    fi
    cargo deny --locked check --hide-inclusion-graph bans licenses sources
    if [ -n "${LOQUIC_ADVISORY_DB:-}" ]; then
        advisories_offline "$LOQUIC_ADVISORY_DB"
    else
        note="advisories were not checked: LOQUIC_ADVISORY_DB names no copy of RustSec's advisory-db"
    fi
}

# cargo-deny wants the database as a Git repository under a name of its own.
advisories_offline() {
    local dir="$CARGO_TARGET_DIR/advisory-db"
    local repository="$dir/advisory-db-3157b0e258782691"
    rm -rf "$dir"
    mkdir -p "$repository"
    cp -R "$1/crates" "$repository/"
    git -C "$repository" init --quiet
    git -C "$repository" add --all
    git -C "$repository" -c user.name=loquic -c user.email=loquic@localhost commit --quiet --message copy
    sed "s|^yanked|db-path = \"$dir\"\nyanked|" deny.toml >"$dir/deny.toml"
    # Offline, cargo only knows the crates it has, and those of other platforms are needed as well.
    cargo fetch --locked --quiet
    cargo deny --locked --offline --config "$dir/deny.toml" check --hide-inclusion-graph advisories
}

lock_only() {
    note="licences and advisories were not checked: cargo-deny is missing (cargo install cargo-deny --locked)"
    local foreign
    foreign=$(grep '^source = ' Cargo.lock | grep -v '"registry+https://github.com/rust-lang/crates.io-index"' || true)
    foreign+=$(grep -E '^name = "openssl(-sys)?"' Cargo.lock || true)
    [ -z "$foreign" ] || { printf 'not allowed in the build:\n%s\n' "$foreign" >&2; return 1; }
}

note=""
step fmt cargo fmt --all --check
step clippy scripts/cargo.sh clippy --workspace --all-targets --release --locked "${features[@]}" -- -D warnings
# Private items are documented for whoever works on this, so links to them hold.
RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" step doc scripts/cargo.sh doc --workspace --no-deps --document-private-items --release --locked
step deny dependencies
# The page goes into the server, so it comes first.
step web scripts/test_web.sh
step tests tests
step openapi scripts/test_openapi.sh
step http scripts/test_http.sh
step browsers scripts/test_browsers.sh
step webkit scripts/test_webkit.sh
step foreign scripts/test_foreign.sh

printf '\n'
grep -hE '^figure:' "$log" || true
printf '%s\n' "${figures[@]}"
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
     END { printf "%d tests passed, %d failed, %d ignored\n", passed, failed, ignored }' "$log"
[ -z "$note" ] || echo "NOTE: $note"
