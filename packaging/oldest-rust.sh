#!/bin/sh
# make oldest-rust: builds everything and tests the core with the oldest Rust that Cargo.toml promises (rust-version).
# Uses that toolchain of rustup's; where the compiler in PATH is of that version already, that one.
set -eu
cd "$(dirname "$0")/.."
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
case $(rustc --version) in
    "rustc $oldest"[.\ ]*) ;;
    *)
        command -v rustup >/dev/null || { echo "make oldest-rust: needs rustc $oldest or rustup" >&2; exit 1; }
        rustup toolchain install "$oldest" --profile minimal
        export RUSTUP_TOOLCHAIN="$oldest"
        ;;
esac
rustc --version
export CARGO_TARGET_DIR=target/oldest-rust
cargo check --locked --workspace
cargo test --quiet --locked --package pbs-core
