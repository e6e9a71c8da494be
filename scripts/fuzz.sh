#!/bin/sh
# Runs the fuzz targets of rust/fuzz, each for half of the given seconds (60). A finding ends it with status 1 and lies in
# rust/fuzz/artifacts; what a run learns stays in rust/fuzz/corpus for the next.
#
# cargo-fuzz asks for a nightly toolchain, because it turns on address sanitizer. The core holds no unsafe code, so that
# finds nothing here; coverage, which steers the fuzzer, is an LLVM pass that the stable compiler runs too. Needs a C++
# compiler for libFuzzer.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:-60}
fuzz=rust/fuzz
command -v c++ >/dev/null || { echo "fuzz: needs a C++ compiler (Debian: apt-get install g++) to build libFuzzer" >&2; exit 1; }
.venv/bin/python $fuzz/prepare.py

host=$(rustc -vV | sed -n 's/^host: //p')
pass=-Cllvm-args=-sanitizer-coverage
# With --target these flags are for the targets only, not for what cargo runs while it builds.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module $pass-level=4 $pass-inline-8bit-counters $pass-pc-table $pass-trace-compares" \
    cargo build --quiet --release --locked --manifest-path $fuzz/Cargo.toml --target-dir $fuzz/target --target "$host"

for target in envelope scan; do
    mkdir -p "$fuzz/artifacts/$target"
    # An input that takes 5 s is a finding: the core is linear in its input, and these are small.
    "$fuzz/target/$host/release/$target" "$fuzz/corpus/$target" -dict=$fuzz/words.dict -max_len=4096 -timeout=5 \
        -max_total_time=$((seconds / 2)) -artifact_prefix="$fuzz/artifacts/$target/" -print_final_stats=1 -verbosity=0
done
