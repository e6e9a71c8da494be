#!/bin/sh
# make test-fallback: the tests that ask for no native module, in an environment that has none: the pure wheel, installed
# as a user gets it. What compares the backends, or measures them, is left out.
set -eu
cd "$(dirname "$0")/.."
place=$PWD/target/fallback
rm -rf "$place"
mkdir -p "$place"
"${PYTHON:-python3}" -m venv "$place/venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1
pip() { "$place/venv/bin/pip" "$@"; }
pip install -q --constraint constraints.txt hatchling pytest pytest-timeout pytest-xdist hypothesis
"$place/venv/bin/hatchling" build --target=wheel --directory="$place"
pip install -q --constraint constraints.txt "$(ls "$place"/pbs_fast-*-py3-none-any.whl)[bdb]"
"$place/venv/bin/pbs-fast" version
"$place/venv/bin/pbs-fast" version | grep -q '^core: *python$' || { echo "test-fallback: a native module is there" >&2; exit 1; }
exec "$place/venv/bin/pytest" -q -n "${WORKERS:-2}" --dist loadfile -k 'not rust' --ignore=tests/cli/test_bench.py \
    --ignore=tests/cli/test_bench_shown.py \
    --deselect=tests/cli/test_catalogue.py::test_version_says_which_twin_and_why \
    --deselect=tests/sources/test_pieces.py::test_the_limit_is_the_matchers \
    tests/cli tests/config tests/daemon tests/follow tests/guards tests/ledger tests/netblocks tests/sources tests/zones
