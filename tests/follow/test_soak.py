"""Real writers, a real rotation, full speed: nothing lost, nothing twice.

`PBS_SOAK_LINES` and `PBS_SOAK_ROTATIONS` make it as long as wanted; the defaults take a few seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pbs_fast.sources.file import FileSource

LINES = int(os.environ.get("PBS_SOAK_LINES", "300000"))
ROTATIONS = int(os.environ.get("PBS_SOAK_ROTATIONS", "20"))
WRITERS = 3

#: Opens the log anew when it was told, as syslog daemons are: some lines after the rotation still go to the old file.
WRITER = r"""
import os, signal, sys, time
path, name, count, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
told = False
def tell(*_):
    global told
    told = True
signal.signal(signal.SIGHUP, tell)
log = os.open(path, flags)
print("ready", flush=True)
began = time.monotonic()
for number in range(count):
    if told:
        told = False
        os.close(log)
        log = os.open(path, flags)
    os.write(log, b"%s %09d " % (name.encode(), number) + b"x" * (number % 150) + b"\n")
    if number % 500 == 0 and (ahead := number * seconds / count - (time.monotonic() - began)) > 0:
        time.sleep(ahead)
# An interpreter that ends gives its signals their defaults back, and this one's would kill it.
signal.signal(signal.SIGHUP, signal.SIG_IGN)
"""


@pytest.mark.timeout(3600)
def test_writers_and_rotations_lose_and_double_nothing(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.touch()
    source = FileSource(log)
    source.open()
    share = LINES // WRITERS
    seconds = LINES / 100_000
    command = [sys.executable, "-c", WRITER, str(log)]
    writers = [
        subprocess.Popen([*command, f"w{number}", str(share), str(seconds)], stdout=subprocess.PIPE)
        for number in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        writer.stdout.close()
    expected = dict.fromkeys((b"w%d" % number for number in range(WRITERS)), 0)
    total = late = 0
    rotated, next_rotation, told = 0, time.monotonic(), True
    quiet_since = None
    while quiet_since is None or time.monotonic() - quiet_since < 1:
        for piece in source.poll():
            for line in piece.data[piece.start : piece.stop].splitlines():
                name, number, rest = line.split(b" ")
                assert len(rest) == int(number) % 150
                # A writer's lines come in its order, whatever the others do.
                assert int(number) == expected[name], (line, expected[name], rotated)
                expected[name] += 1
                total += 1
        now = time.monotonic()
        if now >= next_rotation:
            next_rotation = now + seconds / ROTATIONS / 2
            if told and rotated < ROTATIONS:
                for old in range(rotated, 0, -1):
                    log.with_name(f"mail.log.{old}").rename(log.with_name(f"mail.log.{old + 1}"))
                log.rename(log.with_name("mail.log.1"))
                log.touch()
                rotated, told = rotated + 1, False
            elif not told:
                told = True
                for writer in writers:
                    if writer.poll() is None:
                        writer.send_signal(1)
        source.wait(0.01)
        if all(writer.poll() is not None for writer in writers):
            quiet_since = quiet_since or now
        late += len(source._old.files) > 0
    assert [writer.wait() for writer in writers] == [0] * WRITERS
    assert total == share * WRITERS
    assert rotated == ROTATIONS
    assert source.counters["rotated"] == ROTATIONS
    assert source.counters["partial_lost"] == 0
    assert late > 0
    source.close()
