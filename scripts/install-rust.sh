#!/bin/sh
# Installs Rust into ~/.cargo and ~/.rustup where a machine has none (x86_64 Linux): rustup of one version, whose file
# must have this SHA-256, and one toolchain, which rustup checks against its own manifest.
set -eu
rustup=1.28.2
sum=20a06e644b0d9bd2fbdbfd52d42540bdde820ea7df86e92e533c073da0cdd43c
toolchain=1.95.0
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
curl -fsS --proto '=https' --tlsv1.2 -o "$place/rustup-init" \
    "https://static.rust-lang.org/rustup/archive/$rustup/x86_64-unknown-linux-gnu/rustup-init"
echo "$sum  $place/rustup-init" | sha256sum --check --quiet
chmod 700 "$place/rustup-init"
"$place/rustup-init" -y -q --profile minimal --default-toolchain "$toolchain" --no-modify-path
