"""What an administrator of this machine has configured is not what the tests start from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mta import unavailable

HERE = Path(__file__).parent.parent

WITH_A_CONFIGURATION = """
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" overlay /etc || exit 77
mkdir -p /etc/pbs-fast
echo 'grce = 1' >/etc/pbs-fast/pbs-fast.toml
shift
exec "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_tests_start_from_the_defaults(tmp_path: Path) -> None:
    inside = ["unshare", "--mount", "sh", "-euc", WITH_A_CONFIGURATION, "sh", str(tmp_path)]
    seen = subprocess.run(
        [*inside, sys.executable, "-m", "pbs_fast", "config"], capture_output=True, text=True, check=False
    )
    if seen.returncode == 77 or "unshare" in seen.stderr:
        unavailable("needs an overlay file system")
    assert (seen.returncode, "grce" in seen.stderr) == (2, True)
    test = f"{HERE}/cli/test_bench_shown.py::test_what_an_empty_log_says"
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={HERE.parent}", test]
    ran = subprocess.run([*inside, *pytest_], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
