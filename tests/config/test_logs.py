"""The daemon's own log: the old program's line, three levels, five targets, and faults that never reach the caller."""

from __future__ import annotations

import logging
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.errors import LogError
from pbs_fast.log import handlers as logs
from pbs_fast.log.handlers import is_file, own_log
from pbs_fast.log.targets import JournalTarget, Level, StreamTarget, SyslogTarget
from support.own_log import Log

#: 2026-11-02 03:04:05 UTC
NOW = 1_793_588_645.9


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_line_is_stamp_blank_text(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    path.write_text("before\n")
    log = Log(str(path), clock=lambda: NOW)
    log.info("added 192.0.2.1 to DB")
    log.warning("mind this")
    log.debug("not asked for")
    log.close()
    assert path.read_text() == "before\nNov  2 03:04:05 added 192.0.2.1 to DB\nNov  2 03:04:05 mind this\n"


def test_debug_lines_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    log = Log(str(path), debug=True, clock=lambda: NOW)
    log.debug("found it")
    assert path.read_text() == "Nov  2 03:04:05 found it\n"
    assert path.stat().st_mode & 0o137 == 0


def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log("-", clock=lambda: NOW)
    log.info("one")
    log.reopen()
    log.close()
    assert capfd.readouterr() == ("Nov  2 03:04:05 one\n", "")
    os.fstat(1)


def test_without_a_log_only_warnings_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(None, debug=True)
    log.debug("no")
    log.info("no")
    log.warning("the disk is full")
    assert capfd.readouterr() == ("", "the disk is full\n")


@given(st.text(st.characters(), max_size=40))
def test_one_line_stays_one_line(text: str) -> None:
    reading, writing = os.pipe()
    saved = os.dup(1)
    os.dup2(writing, 1)
    try:
        Log("-", clock=lambda: NOW).info(text)
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    shown = data.decode()
    assert shown.startswith("Nov  2 03:04:05 ")
    assert len(shown.splitlines()) == 1
    assert shown.endswith("\n")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)


def test_bytes_that_are_no_utf8_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    Log(str(path), clock=lambda: NOW).info(b"user \xff\xfe\x1b".decode(errors="surrogateescape"))
    assert path.read_text().endswith(" user \\xff\\xfe\\x1b\n")


def test_reopen_follows_a_rotation_and_a_new_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = Log("own.log", clock=lambda: NOW)
    monkeypatch.chdir("/")
    log.info("one")
    (tmp_path / "own.log").rename(tmp_path / "own.log.1")
    log.info("two")
    log.reopen()
    log.info("three")
    assert [line[16:] for line in (tmp_path / "own.log.1").read_text().splitlines()] == ["one", "two"]
    assert [line[16:] for line in (tmp_path / "own.log").read_text().splitlines()] == ["three"]
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    log.reopen()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_reopen_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "dir" / "own.log"
    path.parent.mkdir()
    with own_log(str(path), clock=lambda: NOW) as own:
        path.parent.rename(tmp_path / "moved")
        own.reopen()
        logging.getLogger("pbs_fast.any").info("still here")
    lines = (tmp_path / "moved" / "own.log").read_text().splitlines()
    assert "cannot open our own log" in lines[0]
    assert "No such file or directory; still writing" in lines[0]
    assert lines[1].endswith(" still here")


@pytest.mark.parametrize("target", ["/no/such/place/log", "/", "/dev/null/x", "a\0b"])
def test_a_log_that_cannot_be_opened_is_one_line(target: str) -> None:
    with pytest.raises(LogError, match="cannot open our own log ") as caught:
        Log(target)
    assert caught.value.exit_status == 1
    assert f"uid {os.geteuid()}" in str(caught.value)


def test_a_named_pipe_without_a_reader_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LogError, match="No such device or address"):
        Log(str(tmp_path / "pipe"))


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """Writes beyond `size` bytes of a file fail or are cut short, as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_was_lost_is_said_and_a_torn_line_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    log = Log(str(path), clock=lambda: NOW)
    log.info("whole")
    with disk_full_at(path.stat().st_size + 20):
        log.info("cut off here and not in the next line")
        log.info("lost")
        assert log.lost == 2
    log.info("after")
    assert log.lost == 0
    assert [line[16:] for line in path.read_text().splitlines()] == [
        "whole",
        "cut ",
        "2 lines of this log could not be written",
        "after",
    ]


def test_many_lines_go_out_in_few_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.log"
    log = Log(str(path), clock=lambda: NOW)
    writes = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(fd) or real(fd, data))
    log.infos(f"line {number}\n" for number in range(1000))
    log.infos(())
    assert path.read_text() == "".join(f"Nov  2 03:04:05 line {number}\\x0a\n" for number in range(1000))
    assert len(writes) < 20


@pytest.mark.parametrize(("room", "written"), [(0, 0), (24, 0), (25, 1), (50, 2), (74, 2), (75, 3)])
def test_of_lines_that_come_together_those_cut_off_are_counted(room: int, written: int, tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    log = Log(str(path), clock=lambda: NOW)
    with disk_full_at(room):
        log.infos(["whole it", "whole it", "whole it"])
        assert log.lost == 3 - written
    log.infos(["one", "two"])
    texts = [line[16:] for line in path.read_text().splitlines()]
    assert texts[:written] == ["whole it"] * written
    said = [f"{3 - written} lines of this log could not be written"] if written < 3 else []
    torn = room % 25 > 0
    assert texts[written + torn :] == [*said, "one", "two"]


def test_a_line_cut_off_twice_is_not_taken_for_written(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    log = Log(str(path), clock=lambda: NOW)
    with disk_full_at(20):
        log.info("cut off")
    with disk_full_at(30):
        log.info("lost")
    assert log.lost == 2
    log.info("after")
    assert [line[16:] for line in path.read_text().splitlines()] == [
        "cut ",
        "",
        "2 lines of this log could not be written",
        "after",
    ]


def test_writing_after_close_or_into_a_closed_pipe_is_no_fault() -> None:
    log = Log("-", clock=lambda: NOW)
    log.close()
    log.warning("into the void")
    assert log.lost == 1
    reading, writing = os.pipe()
    os.close(reading)
    saved = os.dup(1)
    os.dup2(writing, 1)
    try:
        piped = Log("-")
        piped.info("x")
        assert piped.lost == 1
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(writing)


class Listener:
    """A syslog daemon, a journal: a datagram socket at a path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(60)

    def line(self) -> str:
        return self.socket.recv(100_000).decode()

    def silent(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(100_000)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(60)
        return False

    def close(self) -> None:
        self.socket.close()
        self.path.unlink(missing_ok=True)


NewLog = Callable[..., Log]


@pytest.fixture
def new_log() -> Iterator[NewLog]:
    """Logs that are closed."""
    with ExitStack() as stack:
        yield lambda target, **options: stack.enter_context(closing(Log(target, **options)))


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(tmp_path / "socket")
    yield made
    made.close()


def test_syslog_gets_facility_level_name_and_pid(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, new_log: NewLog
) -> None:
    monkeypatch.setattr(logs, "DEV_LOG", str(listener.path))
    log = new_log("syslog", debug=True, clock=lambda: NOW)
    log.warning("mind this\n<0>forged")
    log.info("added 192.0.2.1 to DB")
    log.debug("why")
    before = f"Nov  2 03:04:05 pbs-fast[{os.getpid()}]: "
    # mail is facility 2, so 16 and the level.
    assert [listener.line() for _ in range(3)] == [
        f"<20>{before}mind this\\x0a<0>forged",
        f"<22>{before}added 192.0.2.1 to DB",
        f"<23>{before}why",
    ]
    log.reopen()
    log.close()
    log.warning("into the void")
    assert log.lost == 1


def test_the_journal_gets_fields(listener: Listener, monkeypatch: pytest.MonkeyPatch, new_log: NewLog) -> None:
    monkeypatch.setattr(logs, "JOURNAL_SOCKET", str(listener.path))
    log = new_log("journal", debug=False)
    log.warning("mind\nPRIORITY=0")
    log.info("two")
    log.debug("not asked for")
    common = "SYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=pbs-fast\n"
    assert listener.line() == f"PRIORITY=4\n{common}MESSAGE=mind\\x0aPRIORITY=0\n"
    assert listener.line() == f"PRIORITY=6\n{common}MESSAGE=two\n"
    assert listener.silent()


@pytest.mark.parametrize("target", [SyslogTarget, JournalTarget])
def test_who_listens_may_be_restarted(
    target: type[SyslogTarget | JournalTarget], tmp_path: Path, new_log: NewLog
) -> None:
    first = Listener(tmp_path / "socket")
    log = new_log(target(str(first.path)))
    first.close()
    log.warning("one")
    log.warning("two")
    assert log.lost == 2
    second = Listener(tmp_path / "socket")
    log.warning("three")
    assert "2 lines of this log could not be written" in second.line()
    assert "three" in second.line()
    assert log.lost == 0
    second.close()


def test_a_listener_that_hangs_is_not_waited_for(listener: Listener, new_log: NewLog) -> None:
    log = new_log(SyslogTarget(str(listener.path)))
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    for _ in range(20_000):  # far more than net.unix.max_dgram_qlen
        log.warning("flood")
    waits = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before
    assert waits < 2_000, "the thread sleeps for few of them, if for any"
    assert log.lost > 0
    while not listener.silent():
        pass
    log.warning("after")
    assert "lines of this log could not be written" in listener.line()
    assert listener.line().endswith(": after")


@pytest.mark.parametrize(("name", "place"), [("syslog", "DEV_LOG"), ("journal", "JOURNAL_SOCKET")])
def test_without_a_listener_at_the_start_it_is_an_error(
    name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, place, str(tmp_path / "nobody"))
    with pytest.raises(LogError, match=rf"cannot open our own log {name} \(.*/nobody\) .*No such file .*--logto=FILE"):
        Log(name)


def test_syslog_may_be_missing_where_it_is_not_required(tmp_path: Path, new_log: NewLog) -> None:
    log = new_log(SyslogTarget(str(tmp_path / "later"), required=False))
    log.warning("lost")
    assert log.lost == 1
    late = Listener(tmp_path / "later")
    log.warning("seen")
    assert "1 lines" in late.line()
    assert "seen" in late.line()
    late.close()


@pytest.mark.parametrize("name", ["syslog", "journal"])
def test_a_file_of_such_a_name_is_reachable(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_log: NewLog
) -> None:
    monkeypatch.chdir(tmp_path)
    log = new_log(f"./{name}", clock=lambda: NOW)
    log.info("to the file")
    log.close()
    assert (tmp_path / name).read_text() == "Nov  2 03:04:05 to the file\n"
    assert is_file(f"./{name}")
    assert not any(is_file(each) for each in (None, "-", name))


@pytest.mark.parametrize(
    ("timestamped", "in_journal", "line"),
    [
        (False, True, "<4>text\n"),
        (True, True, "<4>text\n"),
        (False, False, "text\n"),
        (True, False, "Nov  2 03:04:05 text\n"),
    ],
)
def test_a_stream_of_the_journal_carries_the_level(
    timestamped: bool, in_journal: bool, line: str, tmp_path: Path
) -> None:
    with (tmp_path / "stream").open("wb") as stream:
        status = os.fstat(stream.fileno())
        inode = status.st_ino if in_journal else status.st_ino + 1
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{inode}"}
        target = StreamTarget(stream.fileno(), timestamped=timestamped, clock=lambda: NOW, environ=environ)
        assert target.put(Level.WARNING, ["text"]) == 0
    assert (tmp_path / "stream").read_text() == line


@pytest.mark.parametrize(
    ("arguments", "out", "err"),
    [("'-', debug=True", "<7>d\n<6>i\n<4>w\n", ""), ("None, debug=True", "", "<4>w\n")],
)
def test_levels_under_systemd(arguments: str, out: str, err: str, tmp_path: Path) -> None:
    """As systemd starts a service: standard output and error are one stream, which JOURNAL_STREAM names."""
    code = (
        "import logging\n"
        "from pbs_fast.log.handlers import own_log\n"
        "l = logging.getLogger('pbs_fast.any')\n"
        f"with own_log({arguments}): l.debug('d'); l.info('i'); l.warning('w')"
    )
    for number, expected in ((1, out), (2, err)):
        path = tmp_path / f"stream{number}"
        with path.open("wb") as stream:
            status = os.fstat(stream.fileno())
            where = {"stdout" if number == 1 else "stderr": stream}
            environ = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
            subprocess.run([sys.executable, "-c", code], env=environ, check=True, **where)  # type: ignore[call-overload]
        assert path.read_text() == expected
