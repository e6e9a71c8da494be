#!/bin/sh
# make audit: asks the advisory databases of Rust and PyPI about everything that is pinned, and holds the crates'
# licences and sources to deny.toml. The tools are fetched into target/audit; both need the network.
set -eu
cd "$(dirname "$0")/.."
place=$PWD/target/audit
export PIP_DISABLE_PIP_VERSION_CHECK=1
[ -x "$place/venv/bin/pip-audit" ] || {
    "${PYTHON:-python3}" -m venv "$place/venv"
    "$place/venv/bin/pip" install -q 'pip-audit>=2.9,<3'
}
command -v cargo-deny >/dev/null || [ -x "$place/bin/cargo-deny" ] ||
    cargo install --quiet --locked --root "$place" cargo-deny
PATH=$place/bin:$PATH
status=0
for manifest in ./Cargo.toml ./rust/fuzz/Cargo.toml; do
    cargo deny --manifest-path "$manifest" check --config "$PWD/deny.toml" || status=1
done
"$place/venv/bin/pip-audit" --requirement constraints.txt --no-deps --disable-pip || status=1
exit $status
