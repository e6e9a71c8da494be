"""Where `logger` of util-linux splits what it reads: above the bound for any writer (docs/MATCHING.md, 4, `SPLIT`)."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from mta import unavailable

SPLIT = 700


@pytest.mark.parametrize("options", [(), ("--rfc5424",), ("--id",), ("--tag", "d" * 200)], ids=str)
def test_logger_splits_at_1024_bytes_of_text(tmp_path: Path, options: tuple[str, ...]) -> None:
    program = shutil.which("logger")
    if program is None:
        unavailable("there is no logger")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        log.settimeout(30)
        subprocess.run([program, "--socket", str(tmp_path / "log"), *options], input=b"~" * 3000 + b"\n", check=True)
        parts = [log.recv(1 << 16).count(b"~") for _ in range(3)]
    assert parts == [1024, 1024, 3000 - 2 * 1024]
    assert min(parts[:-1]) >= SPLIT
