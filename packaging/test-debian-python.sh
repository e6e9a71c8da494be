#!/bin/sh
# make test-debian-python: both backends and what is made of patterns, on the Python that Debian has (SUITE: bookworm by
# default, whose 3.11.2 has faults of its own). As root, on Debian.
#
# Cheaper than make test-fresh: nothing is compiled, for the native module in this checkout serves every CPython from 3.11
# on; no test is run that does not depend on the interpreter (nor the stub's, which wants mypy); and of properties, whose
# many examples `make test` tries on the same code, it takes a few.
set -eu
cd "$(dirname "$0")/.."
. packaging/root.sh
begin test-debian-python
.venv/bin/hatchling build --target=wheel --directory="$root/root/dist" >/dev/null
cp python/pbs_fast/_core.abi3.so "$root/root/dist/"
# shellcheck disable=SC2016  # expanded inside
inside 1200 PBS_FAST_HYPOTHESIS=short PIP_DISABLE_PIP_VERSION_CHECK=1 DEBIAN_FRONTEND=noninteractive sh -euc '
    apt-get install -y -q --no-install-recommends python3-venv >/dev/null
    python3 -m venv /root/venv
    cd /root/pbs-fast
    /root/venv/bin/pip install -q -c constraints.txt /root/dist/*.whl pytest pytest-timeout pytest-xdist hypothesis
    cp /root/dist/_core.abi3.so /root/venv/lib/python3*/site-packages/pbs_fast/
    exec /root/venv/bin/pytest -q -n "$WORKERS" --dist loadfile tests/backends tests/formats tests/native tests/rewrite \
        --ignore=tests/native/test_stub.py tests/legacy tests/zones' || { said "FAILED" >&2; exit 1; }
said "passed"
