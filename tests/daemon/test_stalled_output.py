"""The reader of the daemon's output stops reading: logins are granted, rows end and signals are heard all the same."""

from __future__ import annotations

import os
import pty
import subprocess
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

from daemon.running import PROGRAM, Site, login
from mta import PATIENCE, wait_for


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
@pytest.mark.parametrize("stream", ["output", "error"])
def test_a_reader_that_hangs_stops_nothing(site: Site, kind: str, stream: str, tmp_path: Path) -> None:
    reading, writing = os.pipe() if kind == "pipe" else pty.openpty()
    if kind == "terminal":
        termios.tcflow(writing, termios.TCOOFF)
    else:
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
    site.log_to_file = stream == "error"
    if stream == "error":  # only warnings go there
        arguments = [each for each in site.arguments() if not each.startswith("--logto")]
    else:
        arguments = [*site.arguments("--debug"), "--logto=-"]
    with (tmp_path / "other").open("wb") as other:
        process = subprocess.Popen(
            [PROGRAM, "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=writing if stream == "output" else other,
            stderr=writing if stream == "error" else other,
        )
    try:
        wait_for("a table", lambda: site.holds())
        for part in range(8):
            # Old logins of a host are worth a warning; new ones are granted, and said with --debug.
            late = time.time() - 7 * 3600
            site.append(
                *(login("192.0.2.1", at=late, host=f"host{part}") for _ in range(3)),
                *(login(f"10.{part}.0.{n}") for n in range(250)),
            )
        wait_for("all rows", lambda: len(site.rows()) == 2_000)
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        if kind == "terminal":
            termios.tcflow(writing, termios.TCOON)
        os.close(reading)
        os.close(writing)
