#!/usr/bin/env bash
# Installs what a build needs beside Rust: a C++ compiler (RocksDB, aws-lc) and libclang (RocksDB's bindings). As root or
# with sudo on a Debian-like machine; elsewhere it says what to install. Says nothing if all is there.
set -euo pipefail

has() { command -v "$1" >/dev/null 2>&1; }

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    ldconfig -p 2>/dev/null | grep -q 'libclang\(-[0-9.]*\)\?\.so' && return 0
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || compgen -G '/usr/lib*/libclang*.so*' >/dev/null
}

if ! has cargo; then
    echo "setup: Rust is missing. Install it from https://rustup.rs, open a new shell and try again." >&2
    exit 1
fi

missing=()
{ has c++ || has g++ || has clang++; } || missing+=(g++)
{ has cc || has gcc || has clang; } || missing+=(gcc libc6-dev)
has_libclang || missing+=(libclang-dev)
[ ${#missing[@]} -eq 0 ] && exit 0

manual="Install a C++ compiler and libclang: on Debian and Ubuntu 'apt-get install g++ libclang-dev', on Fedora
'dnf install gcc-c++ clang-devel', on Arch 'pacman -S gcc clang', on macOS 'xcode-select --install' and 'brew install
llvm' with LIBCLANG_PATH=\$(brew --prefix llvm)/lib."

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=(sudo)
    else
        printf 'setup: %s missing, and this is neither root nor able to use sudo.\n%s\n' "${missing[*]}" "$manual" >&2
        exit 1
    fi
fi
if ! has apt-get; then
    printf 'setup: %s missing, and there is no apt-get here.\n%s\n' "${missing[*]}" "$manual" >&2
    exit 1
fi

echo "setup: installs ${missing[*]}" >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
