#!/bin/sh
# make docs: the documentation site into target/site. MkDocs is in an environment of its own, target/docs-venv, which only this makes.
set -eu
cd "$(dirname "$0")/.."
VENV=target/docs-venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
if ! [ "$VENV/.ready" -nt constraints-docs.txt ]; then
    "${PYTHON:-python3}" -m venv --clear "$VENV"
    "$VENV/bin/pip" install -q --upgrade 'pip>=25.1'
    "$VENV/bin/pip" install -q -c constraints-docs.txt --group docs
    touch "$VENV/.ready"
fi
# Its advertisement of a successor; ARCHITECTURE.md names it.
# Not --quiet: with it nothing counts as a warning.
export NO_MKDOCS_2_WARNING=1
exec "$VENV/bin/mkdocs" build --strict
