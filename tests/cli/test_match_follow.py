"""`pbs-fast match --follow` and `match journal:`: logs that grow, rotate, come late; the journal; a quiet end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from cli.test_match import LOGIN, MISSED, OTHER
from pbs_fast.cli import main
from pbs_fast.match.follow import Following as Logs
from pbs_fast.sources.wakeup import Pause
from sources.journals import fields, message, store

#: Seconds that a slow machine may take for what is awaited.
PATIENCE = 60.0

#: Processes that wait for others, and journals.
pytestmark = pytest.mark.system


class Following:
    """`pbs-fast match --follow` as a process; its output line by line."""

    def __init__(self, *arguments: str, where: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pbs_fast", "match", "--follow", "--json", *arguments],
            cwd=where,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._lines: Queue[bytes] = Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self._lines.put(line)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._thread.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def next(self) -> dict[str, Any]:
        """The next object; waits for it."""
        found: dict[str, Any] = json.loads(self._lines.get(timeout=PATIENCE))
        return found

    def end(self) -> tuple[int, str]:
        """Interrupt it; its status and what it said on standard error."""
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        return status, self.process.stderr.read().decode()


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Any]:
    made: list[Following] = []

    def start(*arguments: str) -> Following:
        made.append(Following(*arguments, where=tmp_path))
        return made[-1]

    yield start
    for each in made:
        each.close()


def append(file: Path, data: bytes) -> None:
    with file.open("ab", buffering=0) as log:
        log.write(data)


def test_it_goes_on_as_the_log_grows_and_through_rotation(tmp_path: Path, following: Any) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(OTHER + LOGIN + LOGIN[:20])
    run = following("--missed", "a.log")
    assert (run.next()["line"], log.exists()) == (2, True)
    append(log, LOGIN[20:])
    assert run.next()["line"] == 3
    append(log, OTHER + MISSED)
    assert run.next() == {"file": "a.log", "line": 5, "missed": "no-pattern", "text": MISSED[:-1].decode()}
    log.rename(tmp_path / "a.log.1")
    append(tmp_path / "a.log.1", LOGIN)
    append(log, OTHER + LOGIN)
    assert sorted(run.next()["line"] for _ in range(2)) == [2, 6]
    assert run.end() == (130, "")


def test_a_log_that_comes_later_and_several_at_once(tmp_path: Path, following: Any) -> None:
    (tmp_path / "a.log").write_bytes(LOGIN)
    run = following("a.log", "b.log")
    assert run.next()["file"] == "a.log"
    append(tmp_path / "b.log", LOGIN)
    assert run.next()["file"] == "b.log"
    append(tmp_path / "a.log", LOGIN)
    assert (run.next() | {"time": ""})["line"] == 2
    status, said = run.end()
    assert (status, said) == (130, "pbs-fast match: b.log does not exist; waiting for it\n")


def test_standard_input_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pbs_fast", "match", "--follow", "--json"],
        cwd=tmp_path,
        input=LOGIN + LOGIN,
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    assert [json.loads(line)["line"] for line in done.stdout.splitlines()] == [1, 2]


def test_the_end_of_standard_input_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, LOGIN)
    os.close(write_end)
    monkeypatch.setattr(Pause, "wait", lambda *_: pytest.fail("there is nothing to wait for"))
    before = os.dup(0)
    try:
        os.dup2(read_end, 0)
        with Logs(["-"], pytest.fail) as logs:
            (found,) = logs.pieces()
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(read_end)
    assert b"".join(bytes(piece.data[piece.start : piece.stop]) for piece in found[1]) == LOGIN


def test_a_compressed_log_does_not_grow(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import gzip

    (tmp_path / "a.gz").write_bytes(gzip.compress(LOGIN))
    assert main(["match", "--follow", str(tmp_path / "a.gz")]) == 1
    assert capfd.readouterr().err == (
        f"pbs-fast match: {tmp_path}/a.gz: is compressed (gzip) and does not grow; leave out --follow\n"
    )


def test_the_journal_as_a_source(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    store(
        tmp_path / "journal" / "system.journal",
        fields(message("203.0.113.5"), now - 3000),
        fields("something else", now - 2000),
        fields(message("203.0.113.6", user="bert"), now - 1000),
    )
    (tmp_path / "a.log").write_bytes(LOGIN)
    spec = f"journal:directory={tmp_path}/journal"
    assert main(["match", "--json", spec, str(tmp_path / "a.log")]) == 0
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [each["ip"] for each in found] == ["203.0.113.5", "203.0.113.6", "203.0.113.41"]
    assert found[0]["file"] == f"journal in {tmp_path}/journal"
    assert found[0]["time"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 3000))
    assert found[2]["line"] == 1


def test_the_journal_followed(tmp_path: Path, following: Any) -> None:
    journal = tmp_path / "journal" / "system.journal"
    store(journal, fields(message("203.0.113.5")))
    run = following(f"journal:directory={tmp_path}/journal")
    assert run.next()["ip"] == "203.0.113.5"
    store(journal, fields(message("203.0.113.6")))
    assert run.next()["ip"] == "203.0.113.6"
    assert run.end()[0] == 130


def test_a_journal_that_is_not_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["match", f"journal:directory={tmp_path}/none"]) == 1
    assert capfd.readouterr().err.startswith("pbs-fast match: ")
    assert main(["match", "journal:nonsense=1"]) == 2
    assert capfd.readouterr().err.count("\n") == 1
